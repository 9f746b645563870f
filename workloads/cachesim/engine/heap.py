"""Binary heaps of resident rows, many in one array: the least row of a heap is its next victim.

Heap g lies in `lines[base[g]:base[g] + size[g]]`. Rows compare by `keys[row]` = (rank, clock), clocks being different;
`rows[row, PLACE]` is where in its heap a row stands. A set of 32 ways is a heap of five levels, a fully associative
cache is one heap, so associativity needs no code of its own.
"""

from __future__ import annotations

from workloads.cachesim.policies.engine import Integers
from workloads.cachesim.policies.jit import compiled

RANK, CLOCK = 0, 1  # columns of keys
PLACE = 3  # column of rows


@compiled
def rise(lines: Integers, base: int, position: int, rows: Integers, keys: Integers) -> None:
    """Moves the row at `position` towards the root until no parent is greater."""
    row = lines[base + position]
    rank, clock = keys[row, RANK], keys[row, CLOCK]
    while position > 0:
        parent = (position - 1) >> 1
        other = lines[base + parent]
        if keys[other, RANK] < rank or (keys[other, RANK] == rank and keys[other, CLOCK] < clock):
            break
        lines[base + position] = other
        rows[other, PLACE] = position
        position = parent
    lines[base + position] = row
    rows[row, PLACE] = position


@compiled
def sink(lines: Integers, base: int, size: int, position: int, rows: Integers, keys: Integers) -> None:
    """Moves the row at `position` towards the leaves until no child is less."""
    row = lines[base + position]
    rank, clock = keys[row, RANK], keys[row, CLOCK]
    while True:
        child = 2 * position + 1
        if child >= size:
            break
        other = lines[base + child]
        if child + 1 < size:
            right = lines[base + child + 1]
            if keys[right, RANK] < keys[other, RANK] or (
                keys[right, RANK] == keys[other, RANK] and keys[right, CLOCK] < keys[other, CLOCK]
            ):
                child += 1
                other = right
        if keys[other, RANK] > rank or (keys[other, RANK] == rank and keys[other, CLOCK] > clock):
            break
        lines[base + position] = other
        rows[other, PLACE] = position
        position = child
    lines[base + position] = row
    rows[row, PLACE] = position


@compiled
def restore(lines: Integers, base: int, size: int, position: int, rows: Integers, keys: Integers) -> None:
    """Puts the row at `position` right after its key has changed either way."""
    row = lines[base + position]
    rise(lines, base, position, rows, keys)
    if rows[row, PLACE] == position:
        sink(lines, base, size, position, rows, keys)


@compiled
def take_least(lines: Integers, base: int, size: int, rows: Integers, keys: Integers) -> int:
    """Removes the least row of a heap that is not empty, and returns it; the heap has `size - 1` rows then."""
    least = lines[base]
    if size > 1:
        lines[base] = lines[base + size - 1]
        sink(lines, base, size - 1, 0, rows, keys)
    return int(least)
