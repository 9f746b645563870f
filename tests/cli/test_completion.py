from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Bench


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("bench ", {"run", "compare", "list"}),
        ("bench run ", {"dlrm"}),
        ("bench run dlrm --prof", {"--profile"}),
        ("bench run dlrm --profile ", {"demo", "smoke"}),
        ("bench run dlrm --device ", {"cpu", "cuda", "npu", "ipu"}),
        ("bench run dlrm --optimizer a", {"adagrad"}),
        ("bench list --workload d", {"dlrm"}),
    ],
)
def test_the_shell_completes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, words: str, expected: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit) as ended:
        bench()
    assert ended.value.code in (0, None)
    found = set(capsys.readouterr().out.split())
    assert expected <= found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("bench show ", {"@latest", "baseline", "busy"}),
        ("bench tag base", {"baseline"}),
        ("bench note @", {"@latest"}),
        ("bench rerun sto", {"stopped"}),
        ("bench compare baseline reference:bars-electronics-din-a", {"reference:bars-electronics-din-auc"}),
        ("bench compare baseline reference : bars-electronics-din-a", {"bars-electronics-din-auc"}),
        ("bench run dlrm --set opt", {"optimizer="}),
        ("bench run dlrm --set optimizer=s", {"optimizer=sgd"}),
        ("bench sweep dlrm --over bat", {"batch="}),
        ("bench ab a b --workload dlrm --set bat", {"batch="}),
    ],
)
def test_the_shell_completes_what_is_stored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, words: str, expected: set[str], capsys: pytest.CaptureFixture[str],
    example: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("BENCH_DB", str(example))
    test_the_shell_completes(bench, monkeypatch, words, expected, capsys)


def test_without_a_database_nothing_is_offered_and_nothing_is_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    test_the_shell_completes(bench, monkeypatch, "bench show ", set(), capsys)
    assert not Path("results.db").exists()
