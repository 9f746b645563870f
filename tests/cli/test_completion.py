from __future__ import annotations

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
