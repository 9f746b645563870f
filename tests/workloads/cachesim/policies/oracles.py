"""Slow and obvious policies, written from the papers with lists and dictionaries and nothing shared with the product.

Each is a class with `access(row) -> bool` and `resident()`, the set of rows it holds. Queues are lists whose first
element is the oldest.
"""

from __future__ import annotations


class Lru:
    def __init__(self, capacity):
        self.capacity, self.queue = capacity, []

    def access(self, row):
        hit = row in self.queue
        if hit:
            self.queue.remove(row)
        elif len(self.queue) == self.capacity:
            self.queue.pop(0)
        self.queue.append(row)
        return hit

    def resident(self):
        return set(self.queue)


class Fifo(Lru):
    def access(self, row):
        if row in self.queue:
            return True
        if len(self.queue) == self.capacity:
            self.queue.pop(0)
        self.queue.append(row)
        return False


class Clock(Lru):
    """As a FIFO that puts referenced rows back at its end."""

    def __init__(self, capacity):
        super().__init__(capacity)
        self.referenced = set()

    def access(self, row):
        if row in self.queue:
            self.referenced.add(row)
            return True
        if len(self.queue) == self.capacity:
            while self.queue[0] in self.referenced:
                self.referenced.discard(self.queue[0])
                self.queue.append(self.queue.pop(0))
            self.queue.pop(0)
        self.queue.append(row)
        return False


class Sieve(Lru):
    """`hand` is the row to look at next; None means the oldest."""

    def __init__(self, capacity):
        super().__init__(capacity)
        self.visited, self.hand = set(), None

    def after(self, row):
        position = self.queue.index(row) + 1
        return self.queue[position] if position < len(self.queue) else None

    def access(self, row):
        if row in self.queue:
            self.visited.add(row)
            return True
        if len(self.queue) == self.capacity:
            candidate = self.queue[0] if self.hand is None else self.hand
            while candidate in self.visited:
                self.visited.discard(candidate)
                following = self.after(candidate)
                candidate = self.queue[0] if following is None else following
            self.hand = self.after(candidate)
            self.queue.remove(candidate)
        self.queue.append(row)
        return False


class Lfu:
    def __init__(self, capacity):
        self.capacity, self.now, self.held = capacity, 0, {}

    def access(self, row):
        self.now += 1
        hit = row in self.held
        if hit:
            self.held[row] = (self.held[row][0] + 1, self.now)
        else:
            if len(self.held) == self.capacity:
                del self.held[min(self.held, key=self.held.get)]
            self.held[row] = (1, self.now)
        return hit

    def resident(self):
        return set(self.held)


class FbgemmLfu:
    def __init__(self, capacity):
        self.capacity, self.now, self.count, self.reached, self.held = capacity, 0, {}, {}, set()

    def access(self, row):
        self.now += 1
        self.count[row] = self.count.get(row, 0) + 1
        self.reached[row] = self.now
        if row in self.held:
            return True
        if len(self.held) == self.capacity:
            coldest = min(self.held, key=lambda other: (self.count[other], self.reached[other]))
            if self.count[coldest] > self.count[row]:
                return False
            self.held.remove(coldest)
        self.held.add(row)
        return False

    def resident(self):
        return set(self.held)


class S3Fifo:
    def __init__(self, capacity):
        self.capacity = capacity
        self.most_small = max(1, capacity // 10)
        self.most_main = capacity - self.most_small
        self.small, self.main, self.hits = [], [], {}
        self.ghosts = []  # every id evicted from the small queue, None where it came back

    def evict_main(self):
        while self.main:
            row = self.main.pop(0)
            if self.hits[row] == 0:
                return
            self.hits[row] -= 1
            self.main.append(row)

    def evict_small(self):
        while self.small:
            row = self.small.pop(0)
            if self.hits[row] >= 2:
                if len(self.main) >= self.most_main:
                    self.evict_main()
                self.hits[row] = 0
                self.main.append(row)
            else:
                self.ghosts.append(row)
                return

    def access(self, row):
        if row in self.small or row in self.main:
            self.hits[row] = min(3, self.hits[row] + 1)
            return True
        while len(self.small) + len(self.main) == self.capacity:
            if len(self.small) >= self.most_small:
                self.evict_small()
            else:
                self.evict_main()
        recent = self.ghosts[-self.most_main :] if self.most_main else []
        if row in recent:
            self.ghosts = [None if ghost == row else ghost for ghost in self.ghosts]
            self.main.append(row)
        else:
            self.small.append(row)
        self.hits[row] = 0
        return False

    def resident(self):
        return set(self.small) | set(self.main)


class TwoQ:
    def __init__(self, capacity):
        self.capacity = capacity
        self.k_in, self.k_out = max(1, capacity // 4), max(1, capacity // 2)
        self.a1in, self.a1out, self.am = [], [], []

    def make_room(self):
        if len(self.a1in) + len(self.am) < self.capacity:
            return
        if len(self.a1in) > self.k_in or not self.am:
            self.a1out.append(self.a1in.pop(0))
            if len(self.a1out) > self.k_out:
                self.a1out.pop(0)
        else:
            self.am.pop(0)

    def access(self, row):
        if row in self.am:
            self.am.remove(row)
            self.am.append(row)
            return True
        if row in self.a1in:
            return True
        goal = self.a1in
        if row in self.a1out:
            self.a1out.remove(row)
            goal = self.am
        self.make_room()
        goal.append(row)
        return False

    def resident(self):
        return set(self.a1in) | set(self.am)


class Slru:
    def __init__(self, capacity):
        self.capacity = capacity
        self.most_protected = min(capacity * 8 // 10, capacity - 1)
        self.probation, self.protected = [], []

    def access(self, row):
        if row in self.protected:
            self.protected.remove(row)
            self.protected.append(row)
            return True
        if row in self.probation:
            self.probation.remove(row)
            self.protected.append(row)
            if len(self.protected) > self.most_protected:
                self.probation.append(self.protected.pop(0))
            return True
        if len(self.probation) + len(self.protected) == self.capacity:
            self.probation.pop(0)
        self.probation.append(row)
        return False

    def resident(self):
        return set(self.probation) | set(self.protected)


class Arc:
    """Figure 4 of the paper; the target is a double, as real numbers are everywhere."""

    def __init__(self, capacity):
        self.c, self.p = capacity, 0.0
        self.t1, self.t2, self.b1, self.b2 = [], [], [], []

    def replace(self, row):
        if self.t1 and (len(self.t1) > self.p or (row in self.b2 and len(self.t1) == self.p)):
            self.b1.append(self.t1.pop(0))
        else:
            self.b2.append(self.t2.pop(0))

    def access(self, row):
        t1, t2, b1, b2 = self.t1, self.t2, self.b1, self.b2
        if row in t1 or row in t2:  # case I
            (t1 if row in t1 else t2).remove(row)
            t2.append(row)
            return True
        if row in b1:  # case II
            delta = 1 if len(b1) >= len(b2) else len(b2) / len(b1)
            self.p = min(self.p + delta, float(self.c))
            self.replace(row)
            b1.remove(row)
            t2.append(row)
        elif row in b2:  # case III
            delta = 1 if len(b2) >= len(b1) else len(b1) / len(b2)
            self.p = max(self.p - delta, 0.0)
            self.replace(row)
            b2.remove(row)
            t2.append(row)
        else:  # case IV
            if len(t1) + len(b1) == self.c:
                if len(t1) < self.c:
                    b1.pop(0)
                    self.replace(row)
                else:
                    t1.pop(0)
            elif len(t1) + len(t2) + len(b1) + len(b2) >= self.c:
                if len(t1) + len(t2) + len(b1) + len(b2) == 2 * self.c:
                    b2.pop(0)
                self.replace(row)
            t1.append(row)
        return False

    def resident(self):
        return set(self.t1) | set(self.t2)


class Lirs:
    """S and Q as lists, the state of a row as membership: LIR, resident (in the cache), neither."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.most_lir = capacity - max(1, capacity // 100)
        self.stack, self.queue, self.lir, self.cache = [], [], set(), set()

    def prune(self):
        while self.stack and self.stack[0] not in self.lir:
            self.stack.pop(0)

    def to_top(self, row):
        if row in self.stack:
            self.stack.remove(row)
        self.stack.append(row)

    def becomes_lir(self, row):
        self.lir.add(row)
        if len(self.lir) > self.most_lir:
            bottom = self.stack[0]
            self.lir.remove(bottom)
            self.queue.append(bottom)
            self.prune()

    def access(self, row):
        hit = row in self.cache
        if not hit and len(self.cache) == self.capacity:
            self.cache.remove(self.queue.pop(0))
        self.cache.add(row)
        if row in self.lir:
            self.to_top(row)
            self.prune()
            return True
        if row in self.queue:
            self.queue.remove(row)
        if self.most_lir == 0:
            self.queue.append(row)
            return hit
        if (not hit and len(self.lir) < self.most_lir) or row in self.stack:
            self.to_top(row)
            self.becomes_lir(row)
        else:
            self.stack.append(row)
            self.queue.append(row)
        return hit

    def resident(self):
        return set(self.cache)


class WTinyLfu:
    """With any estimate of frequencies: `sketch` has count(row), halve() and estimate(row)."""

    def __init__(self, capacity, sketch, sample):
        self.sketch, self.sample, self.counted, self.refused = sketch, sample, 0, 0
        self.most_window = max(1, capacity // 100)
        self.most_main = capacity - self.most_window
        self.most_protected = self.most_main * 8 // 10
        self.window, self.probation, self.protected = [], [], []

    def access(self, row):
        self.sketch.count(row)
        self.counted += 1
        if self.counted == self.sample:
            self.sketch.halve()
            self.counted = 0
        if row in self.window:
            self.window.remove(row)
            self.window.append(row)
            return True
        if row in self.protected:
            self.protected.remove(row)
            self.protected.append(row)
            return True
        if row in self.probation:
            self.probation.remove(row)
            self.protected.append(row)
            if len(self.protected) > self.most_protected:
                self.probation.append(self.protected.pop(0))
            return True
        self.window.append(row)
        if len(self.window) > self.most_window:
            self.offer(self.window.pop(0))
        return False

    def offer(self, candidate):
        if len(self.probation) + len(self.protected) < self.most_main:
            self.probation.append(candidate)
        elif self.most_main:
            segment = self.probation or self.protected
            wanted = self.sketch.estimate(candidate)
            admit = wanted > self.sketch.estimate(segment[0])
            if not admit and wanted >= 6:
                self.refused += 1
                admit = self.refused % 128 == 0
            if admit:
                segment.pop(0)
                self.probation.append(candidate)

    def resident(self):
        return set(self.window) | set(self.probation) | set(self.protected)


class ExactCounts:
    """A sketch without collisions, of any size: counts to 15, halved on request."""

    def __init__(self):
        self.counts = {}

    def count(self, row):
        self.counts[row] = min(15, self.counts.get(row, 0) + 1)

    def halve(self):
        self.counts = {row: count // 2 for row, count in self.counts.items()}

    def estimate(self, row):
        return self.counts.get(row, 0)


class RandomVictim:
    """SplitMix64 as its authors give it, in Python's unbounded integers."""

    MASK = (1 << 64) - 1

    def __init__(self, capacity, seed):
        self.capacity, self.state, self.lines = capacity, seed & self.MASK, []

    def draw(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & self.MASK
        word = self.state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & self.MASK
        return word ^ (word >> 31)

    def access(self, row):
        if row in self.lines:
            return True
        if len(self.lines) < self.capacity:
            self.lines.append(row)
        else:
            self.lines[((self.draw() >> 32) * self.capacity) >> 32] = row
        return False

    def resident(self):
        return set(self.lines)


class Belady:
    """Knows the trace; looks for each resident row's next use from the present on."""

    def __init__(self, capacity, trace, bypass=False):
        self.capacity, self.trace, self.bypass, self.position, self.held = capacity, trace, bypass, 0, set()

    def distance(self, row):
        later = self.trace[self.position :]
        return later.index(row) if row in later else len(self.trace) + 1

    def access(self, row):
        self.position += 1
        if row in self.held:
            return True
        if self.bypass and self.distance(row) > len(self.trace):
            return False
        if len(self.held) == self.capacity:
            victim = max(self.held, key=self.distance)
            if self.bypass and self.distance(victim) <= self.distance(row):
                return False
            self.held.remove(victim)
        self.held.add(row)
        return False

    def resident(self):
        return set(self.held)


class StaticTop:
    def __init__(self, capacity, trace, train):
        order = sorted(set(trace[:train]), key=lambda row: (-trace[:train].count(row), trace.index(row)))
        self.pinned, self.train, self.position = set(order[:capacity]), train, 0

    def access(self, row):
        self.position += 1
        return self.position > self.train and row in self.pinned

    def resident(self):
        return self.pinned if self.position >= self.train else set()


def replay(oracle, trace):
    """The hit mask, insertions and evictions, told from outside by what the oracle holds before and after."""
    mask, insertions, evictions, before = [], 0, 0, oracle.resident()
    for row in trace:
        mask.append(int(oracle.access(row)))
        after = oracle.resident()
        insertions += len(after - before)
        evictions += len(before - after)
        before = after
    return mask, insertions, evictions
