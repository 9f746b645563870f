from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.cachesim.traces.factorize import IntegerFactorizer, TextFactorizer, Texts

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def texts_of(words: list[bytes]) -> Texts:
    ends = np.cumsum([len(word) for word in words], dtype=np.int64)
    starts = ends - np.array([len(word) for word in words], np.int64)
    return Texts(np.frombuffer(b"".join(words) or b"\0", np.uint8), starts, ends)


def numbered(values: list[object]) -> list[int]:
    known: dict[object, int] = {}
    return [known.setdefault(value, len(known)) for value in values]


@settings(deadline=None)
@given(st.lists(st.lists(INT64 | st.integers(-3, 3))))
def test_numbers_get_rows_by_first_appearance_over_all_pieces(pieces):
    factorizer = IntegerFactorizer()
    rows = [row for piece in pieces for row in factorizer.add(np.array(piece, np.int64)).tolist()]
    flat = [value for piece in pieces for value in piece]
    assert rows == numbered(flat)
    assert factorizer.keys().tolist() == list(dict.fromkeys(flat))


@settings(deadline=None)
@given(st.lists(st.lists(st.binary(max_size=12) | st.sampled_from([b"", b"a", b"b", b"ab"]))))
def test_strings_get_rows_by_first_appearance_over_all_pieces(pieces):
    factorizer = TextFactorizer()
    rows = [row for piece in pieces for row in factorizer.add(texts_of(piece)).tolist()]
    flat = [value for piece in pieces for value in piece]
    assert rows == numbered(flat)
    blob, offsets = factorizer.texts()
    known = [blob[start:stop].tobytes() for start, stop in itertools.pairwise(offsets)]
    assert known == list(dict.fromkeys(flat))


def test_tables_grow_over_many_ids():
    ids = np.random.Generator(np.random.PCG64(1)).integers(-(1 << 63), (1 << 63) - 1, 200_000)
    factorizer = IntegerFactorizer()
    rows = factorizer.add(np.concatenate((ids, ids)))
    assert factorizer.count == np.unique(ids).size
    assert np.array_equal(factorizer.keys()[rows], np.concatenate((ids, ids)))
    words = [str(value).encode() * 3 for value in ids[:20_000]]
    texts = TextFactorizer()
    assert np.array_equal(texts.add(texts_of(words)), np.arange(20_000))
    assert np.array_equal(texts.add(texts_of(words)), np.arange(20_000))
