"""Doubly linked lists of rows in one flat array: `links[node] = (newer, older)`.

Nodes 0 .. n - 1 are rows; node n + k is the knot of list k, whose OLDER neighbour is the list's newest row
and whose NEWER neighbour is its oldest: the list closes to a ring. A row is in at most one list of an array.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workloads.cachesim.policies.jit import compiled

Links = npt.NDArray[np.uint32]
NEWER, OLDER = 0, 1


def empty_lists(n_rows: int, lists: int) -> Links:
    """Links of `n_rows` rows in no list, and of `lists` empty lists."""
    links = np.zeros((n_rows + lists, 2), dtype=np.uint32)
    links[n_rows:] = np.arange(n_rows, n_rows + lists, dtype=np.uint32)[:, None]
    return links


@compiled
def push(links: Links, knot: int, node: int) -> None:
    """Makes `node`, which is in no list, the newest of the list."""
    newest = links[knot, OLDER]
    links[node, NEWER] = knot
    links[node, OLDER] = newest
    links[newest, NEWER] = node
    links[knot, OLDER] = node


@compiled
def unlink(links: Links, node: int) -> None:
    newer, older = links[node, NEWER], links[node, OLDER]
    links[newer, OLDER] = older
    links[older, NEWER] = newer
