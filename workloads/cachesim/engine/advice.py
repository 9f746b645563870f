"""The cache that was simulated, as settings of FBGEMM and TorchRec to paste.

Names are those of fbgemm_gpu's SplitTableBatchedEmbeddingBagsCodegen and torchrec.distributed.types.CacheParams.
"""

from __future__ import annotations

_ALGORITHMS = {"lru": "LRU", "fbgemm-lfu": "LFU"}
WAYS = 32  # DEFAULT_ASSOC of FBGEMM on NVIDIA cards


def advice(
    policy: str, lines: int, table_rows: int | None, *, unified: bool, ways: int | None, in_flight: int
) -> list[str]:
    """Lines of text; none where FBGEMM has no such policy: its cache knows LRU and LFU."""
    algorithm = _ALGORITHMS.get(policy)
    if algorithm is None:
        return []
    sets = -(-lines // (ways or WAYS))
    factor = None if not table_rows else min(1.0, lines / table_rows)
    settings = [f"cache_algorithm=CacheAlgorithm.{algorithm}", f"cache_sets={sets}"]
    found = ["FBGEMM: SplitTableBatchedEmbeddingBagsCodegen(..., " + ", ".join(settings)]
    if in_flight > 1 and algorithm == "LRU":
        found[0] += ", prefetch_pipeline=True"
    found[0] += ")"
    if factor is None:
        found.append("TorchRec: load_factor needs the tables' rows; give them in --schema")
    else:
        found.append(
            f"TorchRec: ParameterConstraints(compute_kernels=['fused_uvm_caching'], "
            f"cache_params=CacheParams(algorithm=CacheAlgorithm.{algorithm}, load_factor={factor:.6g}))"
        )
    if not unified:
        found.append("FBGEMM shares one cache among the tables of a module: for one each, give each table its own")
    if ways is None:
        found.append(f"FBGEMM's cache has sets of {WAYS} ways and works by batches: --granularity batch --ways {WAYS}")
    return found
