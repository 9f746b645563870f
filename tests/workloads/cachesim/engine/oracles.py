"""The batch cache, slow and obvious: dictionaries and lists, every rank made anew from its definition."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Line:
    """A resident row: when it was touched and inserted (in steps), asked for since then, changed since fetched."""

    touched: int
    inserted: int
    requests: int
    dirty: bool


@dataclass
class Counts:
    calls: int = 0
    requested: int = 0
    unique: int = 0
    unique_misses: int = 0
    conflict_unique: int = 0
    conflicts: int = 0
    insertions: int = 0
    evictions: int = 0
    write_backs: int = 0
    flushed: int = 0
    mask: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)


def simulate(batches, group_of, capacity_of, policy, in_flight=1, look_ahead=0, training=False, flush_every=0):
    """`batches`: lists of rows. `group_of(row)` names a group, `capacity_of[group]` its lines."""
    counts = Counts()
    resident: dict[int, Line] = {}
    ever: dict[int, int] = {}
    last_batch: dict[int, int] = {}
    step = 0

    def next_batch(row, now):
        return next((b for b in range(now + 1, len(batches)) if row in batches[b]), None)

    def rank(row, line, now):
        """Least first out."""
        following = next_batch(row, now)
        if look_ahead and following is not None and following <= now + look_ahead:
            return (1, -following, order(row, line))
        if policy == "belady":
            return (0, -len(batches) if following is None else -following, order(row, line))
        if policy == "lfu":
            return (0, line.requests, order(row, line))
        if policy == "fbgemm-lfu":
            return (0, ever[row], order(row, line))
        return (0, 0, order(row, line))

    def order(row, line):
        return line.inserted if policy == "fifo" else line.touched

    for now, batch in enumerate(batches):
        distinct = list(dict.fromkeys(batch))
        counts.calls += bool(distinct)
        counts.requested += len(batch)
        counts.unique += len(distinct)
        for row in distinct:
            ever[row] = ever.get(row, 0) + batch.count(row)
            last_batch[row] = now
        hits = [row for row in distinct if row in resident]
        for row in hits:
            step += 1
            line = resident[row]
            line.touched = step
            line.requests += batch.count(row)
            line.dirty = line.dirty or training
        for row in distinct:
            if row in hits:
                continue
            counts.unique_misses += 1
            group = group_of(row)
            mates = [each for each in resident if group_of(each) == group]
            admitted = True
            if len(mates) == capacity_of[group]:
                free = [each for each in mates if last_batch[each] <= now - in_flight]
                victim = min(free, key=lambda each: rank(each, resident[each], now), default=None)
                admitted = victim is not None
                if admitted and policy == "fbgemm-lfu":
                    newcomer = Line(0, 0, 0, False)
                    admitted = rank(victim, resident[victim], now)[:2] <= rank(row, newcomer, now)[:2]
                if admitted:
                    counts.evictions += 1
                    counts.write_backs += resident.pop(victim).dirty
            if not admitted:
                counts.conflict_unique += 1
                counts.conflicts += batch.count(row)
                continue
            step += 1
            counts.insertions += 1
            resident[row] = Line(step, step, batch.count(row), training)
        counts.mask += [int(row in hits) for row in batch]
        if flush_every and training and (now + 1) % flush_every == 0:
            counts.flushed += sum(line.dirty for line in resident.values())
            for line in resident.values():
                line.dirty = False
    counts.resident = list(resident)
    return counts
