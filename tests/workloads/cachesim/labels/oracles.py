"""The two-list LRU of RecMG, driven by labels: the slow, obvious form."""

from __future__ import annotations

from collections import OrderedDict


def two_lists(ids, labels, capacity):
    """Hits [N] and how many victims came from the list of rows to keep.

    Each access puts its row at the young end of the list that its label names. The victim is the oldest row not to
    keep, if there is one, else the oldest to keep.
    """
    drop, keep = OrderedDict(), OrderedDict()
    hits, kept_victims = [], 0
    for row, label in zip(ids, labels, strict=True):
        hit = row in drop or row in keep
        hits.append(int(hit))
        if hit:
            drop.pop(row, None)
            keep.pop(row, None)
        elif len(drop) + len(keep) == capacity:
            if drop:
                drop.popitem(last=False)
            else:
                keep.popitem(last=False)
                kept_victims += 1
        (keep if label else drop)[row] = None
    return hits, kept_victims


def slow_labels(ids, capacity):
    """OPT by looking for the farthest next use in the whole cache, as the original does; hits and labels."""
    following = {}
    next_use = [0] * len(ids)
    for place in range(len(ids) - 1, -1, -1):
        next_use[place] = following.get(ids[place], len(ids))
        following[ids[place]] = place
    cache, hits = {}, []
    for place, row in enumerate(ids):
        hits.append(int(row in cache))
        if row not in cache and len(cache) == capacity:
            del cache[max(cache, key=lambda other: cache[other])]
        cache[row] = next_use[place]
    keep = [hits[after] if after < len(ids) else 0 for after in next_use]
    return hits, keep
