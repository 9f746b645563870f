"""Simulation that knows what an embedding cache is: tables, batches, sets of ways, samples, and two memories.

`request_cache` replays any policy request by request; `batch_cache` replays de-duplicated batches through caches of
any associativity; both write a hit mask, from which `tally` makes every ratio; `cost` turns misses into time.
"""
