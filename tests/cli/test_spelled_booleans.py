"""`--flag=True` is `--flag`, as the words of other programs have it."""

from __future__ import annotations

import json

import pytest

from harness.cli.app import main
from harness.cli.arguments import spell_booleans

FLAGS = {"--shuffle", "--use-synthetic-data"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--use-synthetic-data=True"], ["--use-synthetic-data"]),
        (["--use-synthetic-data", "True", "--seed", "1"], ["--use-synthetic-data", "--seed", "1"]),
        (["--shuffle=false"], ["--no-shuffle"]),
        (["--shuffle", "False"], ["--no-shuffle"]),
        (["--shuffle", "true"], ["--shuffle", "true"]),
        (["--shuffle=perhaps"], ["--shuffle=perhaps"]),
        (["--note=True", "--shuffle"], ["--note=True", "--shuffle"]),
        (["--", "--shuffle=True"], ["--", "--shuffle=True"]),
    ],
)
def test_flags_that_are_on_or_off_take_a_word(given, expected):
    assert spell_booleans(given, FLAGS) == expected


@pytest.mark.parametrize("words", [[""], ["=True"], ["", "True"]])
def test_the_seeds_own_spelling_is_understood(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [f"--use-synthetic-data{words[0]}", *words[1:]]
    assert main(["run", "din", *words, "--no-shuffle", "--json", "--dry-run"]) == 0
    params = json.loads(capsys.readouterr().out)["cells"][0]["params"]
    assert params["use_synthetic_data"] is True
    assert params["shuffle"] is False
