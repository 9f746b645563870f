"""The settings of cache simulation, checked before anything runs."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.settings import build
from workloads.cachesim import config as cachesim
from workloads.cachesim import reading
from workloads.cachesim.config import DESCRIPTION, CacheSimConfig, split_policies, split_words, trace_key
from workloads.cachesim.engine import batch_cache
from workloads.cachesim.generators.registry import GENERATORS
from workloads.cachesim.traces.formats import FORMATS


def make(**values):
    return build(CacheSimConfig, "simulate", values)


def test_what_is_named_here_is_what_the_engines_know():
    assert tuple(batch_cache.POLICIES) == cachesim.BATCH_POLICIES
    assert set(reading.FormatName.__args__) == set(FORMATS)
    assert set(cachesim.GeneratorName.__args__) == set(GENERATORS)


def test_other_names_of_a_policy_are_one_cell():
    assert make(policy="OPT").policy == make(policy="belady").policy == "belady"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"policy": "lru,fifo"}, "is more than one"),
        ({"policy": "all"}, "is more than one"),
        ({"policy": "lur"}, "unknown policy 'lur'"),
        ({"capacity": "1,2"}, "is more than one"),
        ({"capacity": "0"}, "is nothing"),
        ({"cache_warmup": "much"}, "neither a number of requests nor a share"),
        ({"cache_warmup": "100%"}, "neither a number of requests nor a share"),
        ({"cache_warmup": "-1"}, "neither a number of requests nor a share"),
        ({"look_ahead": 2}, "look_ahead = 2 counts batches"),
        ({"in_flight": 2}, "in_flight = 2 counts batches"),
        ({"policy": "arc", "granularity": "batch"}, "'arc' cannot be simulated by de-duplicated batches"),
        ({"policy": "sieve", "ways": 32}, "'sieve' cannot be simulated in sets of 32 ways"),
        ({"granularity": "batch", "flush_every": 3}, "none change"),
        ({"fast_bandwidth": "1G"}, "both fast_bandwidth and slow_bandwidth"),
        ({"generator_settings": "rows"}, "expected NAME=VALUE"),
        ({"generator_settings": "seed=3"}, "sets 'seed'"),
    ],
)
def test_what_makes_no_sense_is_refused(values, sentence):
    with pytest.raises(UsageError, match=sentence) as error:
        make(**values)
    assert error.value.hint or sentence.startswith(("both", "none", "expected"))


def test_a_warm_up_is_requests_or_a_share():
    assert make(cache_warmup="1_000").warmup_requests(50) == 1000
    assert make(cache_warmup="10%").warmup_requests(55) == 5
    assert make(cache_warmup="0.5").warmup_requests(55) == 27


def test_generator_settings_are_numbers_where_they_can_be():
    assert make(generator_settings="rows=10,exponent=0.5,histogram=meta-2021").generator_values() == {
        "rows": 10, "exponent": 0.5, "histogram": "meta-2021"
    }  # fmt: skip


def test_lists_of_values_are_cells():
    assert split_words(" 1%, 5% ,,1%") == ["1%", "5%"]
    assert split_policies("mine,all,lru")[:2] == ["mine", "lru"]


def test_only_what_decides_the_trace_decides_who_shares_a_worker():
    assert trace_key(make(policy="fifo", capacity="5", windows=3)) == trace_key(make())
    for other in ({"limit": 3}, {"batch_size": 3}, {"columns": "a"}, {"generator": "drift"}, {"requests": 7}):
        assert trace_key(make(**other)) != trace_key(make())


def test_one_metric_decides():
    assert [metric.name for metric in DESCRIPTION.metrics if metric.role == "primary"] == ["hit_ratio"]
