from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.common.vocabulary import MISSING_ID, RARE, Vocabulary, build_vocabulary, digest

fields = st.lists(st.one_of(st.none(), st.integers(0, 9), st.sampled_from([2**32 - 1, 2**31])), max_size=80)


def arrays(values):
    ids = np.array([value or 0 for value in values], np.uint32)
    return ids, np.array([value is None for value in values], np.bool_)


def rows_by_hand(training, threshold, max_rows):
    counts = Counter(value for value in training if value is not None)
    frequent = sorted((-count, value) for value, count in counts.items() if count >= threshold)
    if max_rows is not None:
        frequent = frequent[: max_rows - 2]
    return {value: row for row, (_, value) in enumerate(frequent, 2)}


@given(fields, fields, st.integers(1, 4), st.one_of(st.none(), st.integers(2, 8)))
@settings(deadline=None)
def test_rows_are_those_of_the_stated_order(training, later, threshold, max_rows):
    vocabulary = build_vocabulary(*arrays(training), frequency_threshold=threshold, max_table_rows=max_rows)
    rows = rows_by_hand(training, threshold, max_rows)
    assert vocabulary.table_rows == len(rows) + 2
    assert vocabulary.hashes.tolist() == list(rows)
    expected = [MISSING_ID if value is None else rows.get(value, RARE) for value in [*training, *later]]
    assert vocabulary.encode(*arrays([*training, *later])).tolist() == expected


def test_a_missing_field_a_rare_id_and_the_hash_zero_are_three_rows():
    vocabulary = build_vocabulary(*arrays([0, 0, 0, None, None, 5]), frequency_threshold=2)
    assert vocabulary.encode(*arrays([None, 5, 0, 77])).tolist() == [MISSING_ID, RARE, 2, RARE]


def test_a_vocabulary_without_ids_encodes_everything_as_rare():
    vocabulary = build_vocabulary(*arrays([1, 2]), frequency_threshold=3)
    assert vocabulary.table_rows == 2
    assert vocabulary.encode(*arrays([1, None])).tolist() == [RARE, MISSING_ID]


def test_the_digest_tells_order_and_columns_apart():
    one, other = Vocabulary.of(np.array([1, 2], np.uint32)), Vocabulary.of(np.array([2, 1], np.uint32))
    none = Vocabulary.of(np.array([], np.uint32))
    digests = {digest(each) for each in ([one], [other], [one, none], [none, one], [])}
    assert len(digests) == 5
    assert digest([one]) == digest([Vocabulary.of(np.array([1, 2], np.uint32))])


def test_encoded_rows_are_int32():
    assert Vocabulary.of(np.array([7], np.uint32)).encode(*arrays([7])).dtype == np.int32
