"""Seeded synthetic samples with a planted interest and a known best possible AUC.

A user has a few interests, each a category. Most items of the past come from them, the rest from anywhere, and so do
the targets: half from one of the interests, half from anywhere. The click depends on whether the target's category is
among those of the past (what attention can find and an average blurs), on how popular the category is anyway, and on
chance:

    logit = bias + interest * [the target's category is in the past] + popularity * e(category)

Samples come in pairs of one user and one past with two targets, as in the real files; each has its own label. Lengths
are geometric, cut at the longest, or all the longest. Everything is a function of (spec, pair) alone, in integers from
counter-based random numbers. GENERATOR_VERSION is raised when a byte changes.

    P pairs, n = 2 P samples, T longest past
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from workloads.common.click_sources import LOGIT_BITS, PROBABILITY_BITS, factor_of, sigmoid, sigmoid_table
from workloads.common.counter import GAUSSIAN_UNIT, Stream, below, gaussian_like, splitmix64, stream
from workloads.common.sampling import CellTable, Scatter, cell_table, zipf_table
from workloads.din.samples import Samples, Sequences

GENERATOR_VERSION = 1
INTERESTS = 3  # of each user
_BLOCK_PAIRS = 1 << 12
_LOYAL = 70  # of 100 items of the past come from the interests
_WANTED = 50  # of 100 targets come from them

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSpec:
    """What the samples are, whatever their number. `mean_length` None: every past is the longest."""

    seed: int = 0
    users: int = 543_060
    items: int = 367_983
    categories: int = 1_601
    max_seq_len: int = 100
    mean_length: int | None = 9
    zipf_exponent: float = 1.0
    bias: float = -1.5
    interest: float = 2.5
    popularity: float = 0.5

    def __post_init__(self) -> None:
        if min(self.users, self.items, self.categories) < 2:
            raise ValueError("the synthetic tables need at least two rows each")
        if self.items < self.categories:
            raise ValueError(f"{self.items} items cannot fill {self.categories} categories")
        if self.mean_length is not None and not 1 <= self.mean_length <= self.max_seq_len:
            raise ValueError(f"the mean length must lie between 1 and {self.max_seq_len}, not {self.mean_length}")

    def fingerprint(self) -> str:
        text = json.dumps({"din": GENERATOR_VERSION, **asdict(self)}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    spec: SyntheticSpec
    lengths: CellTable
    popular: CellTable  # over ranks of categories
    scatter: Scatter
    sigmoid: Integers
    streams: dict[str, Stream]


def generate(
    spec: SyntheticSpec, samples: int, progress: Callable[[int, int], None] | None = None
) -> tuple[Samples, int]:
    """The first `samples` (rounded up to pairs), and how many different ones there are among them."""
    pairs = -(-samples // 2)
    plan = _plan(spec)
    blocks = []
    for start in range(0, pairs, _BLOCK_PAIRS):
        blocks.append(_block(plan, start, min(start + _BLOCK_PAIRS, pairs)))
        if progress is not None:
            progress(2 * min(start + _BLOCK_PAIRS, pairs), 2 * pairs)
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    lengths = columns["lengths"]
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    users = np.repeat(columns["users"], 2)
    made = Samples(
        sequences=Sequences(columns["past_items"], columns["past_categories"]),
        users=users,
        items=columns["items"],
        categories=columns["categories"],
        starts=np.repeat(starts, 2),
        lengths=np.repeat(lengths, 2),
        labels=columns["labels"],
        groups=users,
        probabilities=np.ldexp(columns["chances"].astype(np.float64), -PROBABILITY_BITS),
    )
    return made, _different(made, starts)


def categories_of(items: npt.NDArray[np.integer], spec: SyntheticSpec) -> npt.NDArray[np.int32]:
    """The category of each item: items 1, 2, … fill categories 1, 2, … evenly; 0 is nobody's."""
    place = items.astype(np.int64) - 1
    return (place * (spec.categories - 1) // (spec.items - 1) + 1).astype(np.int32)


@functools.lru_cache(maxsize=4)
def _plan(spec: SyntheticSpec) -> _Plan:
    longest = spec.max_seq_len
    if spec.mean_length is None:
        lengths = cell_table([longest], [1], [1])
    else:
        # P(length = k) falls by (mean - 1) / mean from one length to the next; exact integers.
        mean = spec.mean_length
        masses = [(mean - 1) ** (k - 1) * mean ** (longest - k) for k in range(1, longest + 1)]
        lengths = cell_table(list(range(1, longest + 1)), [1] * longest, masses)
    names = ("length", "user", "interest", "loyal", "which", "item", "category", "label", "effect", "place")
    streams = {name: stream(spec.seed, GENERATOR_VERSION, f"din {name}") for name in names}
    return _Plan(
        spec=spec,
        lengths=lengths,
        popular=zipf_table(spec.categories - 1, spec.zipf_exponent),
        scatter=Scatter.of(streams["place"], spec.categories - 1),
        sigmoid=sigmoid_table(),
        streams=streams,
    )


def _block(plan: _Plan, start: int, stop: int) -> dict[str, npt.NDArray[np.integer]]:
    spec, words = plan.spec, plan.streams
    pair = np.arange(start, stop, dtype=np.int64)
    user = below(words["user"].at(pair), spec.users)
    length_words = words["length"].at(pair)
    lengths = plan.lengths.values(length_words, plan.lengths.cells(length_words))
    interest = _categories(plan, words["interest"].at(_spread(user, INTERESTS)))  # [P * INTERESTS], the user's own
    interest = interest.reshape(-1, INTERESTS)

    owner = np.repeat(np.arange(len(pair)), lengths)
    inside = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    past_at = pair[owner] * (spec.max_seq_len + 2) + inside
    past_items = _draw(plan, past_at, interest[owner], _LOYAL)
    target_at = (pair[:, None] * (spec.max_seq_len + 2) + spec.max_seq_len + np.arange(2)).reshape(-1)
    items = _draw(plan, target_at, np.repeat(interest, 2, 0), _WANTED)

    past_categories, categories = categories_of(past_items, spec), categories_of(items, spec)
    matches = _seen(past_categories, owner, categories.reshape(-1, 2), spec.categories)
    logits = np.full(len(items), factor_of(spec.bias, 1), np.int64)
    logits += factor_of(spec.interest, 1) * matches
    logits += factor_of(spec.popularity, GAUSSIAN_UNIT, LOGIT_BITS) * gaussian_like(words["effect"].at(categories))
    chances = sigmoid(logits, plan.sigmoid)
    row = (2 * pair[:, None] + np.arange(2)).reshape(-1)
    coins = (words["label"].at(row) >> np.uint64(64 - PROBABILITY_BITS)).astype(np.int64)
    return {
        "users": user.astype(np.int32),
        "lengths": lengths.astype(np.int32),
        "past_items": past_items.astype(np.int32),
        "past_categories": past_categories,
        "items": items.astype(np.int32),
        "categories": categories,
        "labels": (coins < chances).astype(np.int8),
        "chances": chances,
    }


def _draw(plan: _Plan, at: Integers, interest: npt.NDArray[np.int64], percent: int) -> Integers:
    """An item for each place of `at`: of one of its user's interests [m, INTERESTS] so often, else of any category."""
    spec, words = plan.spec, plan.streams
    loyal = below(words["loyal"].at(at), 100) < percent
    which = below(words["which"].at(at), INTERESTS)
    category = np.where(loyal, interest[np.arange(len(at)), which], _categories(plan, words["category"].at(at)))
    groups, count = spec.categories - 1, spec.items - 1
    first = -(-(category - 1) * count // groups)  # the least place whose category this is
    after = -(-category * count // groups)
    share = words["item"].at(at) >> np.uint64(40)  # 24 bits
    items: Integers = first + (share.astype(np.int64) * (after - first) >> 24) + 1
    return items


def _categories(plan: _Plan, words: npt.NDArray[np.uint64]) -> Integers:
    """Categories from 1, some popular and most not."""
    return plan.scatter(plan.popular.values(words, plan.popular.cells(words))) + 1


def _spread(numbers: Integers, count: int) -> Integers:
    spread: Integers = (numbers[:, None] * count + np.arange(count)).reshape(-1)
    return spread


def _seen(
    past: npt.NDArray[np.int32], owner: npt.NDArray[np.intp], wanted: npt.NDArray[np.int32], categories: int
) -> Integers:
    """1 for each of `wanted` [P, 2] that is among the past of its own pair, as [2 P]."""
    known = np.unique(owner.astype(np.int64) * categories + past)
    keys = (np.arange(len(wanted), dtype=np.int64)[:, None] * categories + wanted).reshape(-1)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found: Integers = (known[place] == keys).astype(np.int64)
    return found


def _different(samples: Samples, starts: npt.NDArray[np.int64]) -> int:
    """How many samples differ in user, target or past: by a 64-bit hash of all their ids."""
    past = splitmix64(1, samples.sequences.items.astype(np.uint64))
    inside = (np.arange(len(past)) - np.repeat(starts, samples.lengths[::2])).astype(np.uint64)
    past = splitmix64(2, past + inside)
    sums = np.add.reduceat(past, starts)
    own = samples.users.astype(np.uint64) << np.uint64(32) | samples.items.astype(np.uint64)
    return len(np.unique(splitmix64(3, np.repeat(sums, 2) + splitmix64(4, own))))
