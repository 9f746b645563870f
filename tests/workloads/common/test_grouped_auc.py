"""GAUC: the exact AUC of every user's rows, weighted by their number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.common.metrics import grouped_auc, roc_auc


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 5)), max_size=60))
def test_it_is_the_weighted_mean_of_the_groups_own(rows):
    labels, scores, groups = (np.array([row[each] for row in rows]) for each in range(3))
    whole, weight = 0.0, 0
    for group in set(groups.tolist()):
        own = roc_auc(labels[groups == group], scores[groups == group])
        if own is not None:
            whole += own * int((groups == group).sum())
            weight += int((groups == group).sum())
    found = grouped_auc(labels, scores, groups)
    assert found == (None if not weight else pytest.approx(whole / weight, abs=1e-12))


def test_pairs_of_a_user_are_the_share_of_them_in_the_right_order():
    assert grouped_auc([1, 0, 0, 1, 1, 0], [0.9, 0.1, 0.8, 0.2, 0.5, 0.5], [1, 1, 2, 2, 3, 3]) == 0.5


def test_groups_must_be_as_many_as_labels():
    with pytest.raises(ValueError, match="2 labels but groups of shape"):
        grouped_auc([0, 1], [0.1, 0.2], [1])
