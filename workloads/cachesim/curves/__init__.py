"""Curves of hits over cache sizes, and what follows from them: splits of a memory budget, sizes for a hit ratio.

`stack` has LRU and OPT at every size at once (`opt` is how OPT's is made), `runs` any policy at chosen sizes, `shards`
LRU from a sample; all give a `curve.Curve`, and `make` chooses among them; `files` keeps curves. `split` shares a
budget out among tables, `proposer` does so as TorchRec would, `offload_stats` tells TorchRec.
"""
