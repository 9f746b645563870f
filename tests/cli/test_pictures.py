"""--plot, --html and --png: of a run, of a recorded experiment, and of a contributed command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Bench

PLUGIN = """
from dataclasses import dataclass
from harness.api import Answer, Command, CommandGroup, Figure, Line, setting

@dataclass(frozen=True, kw_only=True)
class Config:
    lines: int = setting(1, minimum=0, help="how many")

@dataclass(frozen=True, kw_only=True)
class OwnForce(Config):
    force: bool = setting(False, help="replace whatever is there")

def work(config, job):
    figure = Figure(title="Drawn", x_label="x", y_label="y", log_x=True, lines=[
        Line(name=f"line {number}", x=[1, 10, 100], y=[0.5, None, number]) for number in range(config.lines)])
    return Answer(lines=["told"], value={"lines": config.lines}, figures=[figure] if config.lines else [])

GROUP = CommandGroup(name="pictured", summary="Pictures", commands=(
    Command(name="curve", summary="draws", config=Config, work="pictured_commands:work", draws=True),
    Command(name="other", summary="draws", config=OwnForce, work="pictured_commands:work", draws=True),
    Command(name="plain", summary="draws nothing", config=Config, work="pictured_commands:work"),
))
"""


@pytest.fixture
def drawn(own_folders: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of commands that draw, known to this process and, by an entry point, to the job's."""
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "pictured_commands.py").write_text(PLUGIN)
    about = folder / "pictured-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: pictured\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[recbench.commands]\npictured = pictured_commands:GROUP\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_command_that_draws_does_so_in_the_terminal_on_a_page_and_as_a_picture(bench: Bench, drawn: None) -> None:
    told = bench("pictured", "curve", "--lines", "2", "--plot", "--html", "a.html", "--png", "a.png")
    assert told.code == 0, told.err
    assert told.out.startswith("told\n\nDrawn\n") and "line 1" in told.out
    assert "wrote a.html" in told.err and "wrote a.png" in told.err
    page = Path("a.html").read_text()
    assert "<title>bench pictured curve</title>" in page and "line 1" in page
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in Path().iterdir()) == ["a.html", "a.png"]


def test_a_document_and_a_page_go_together_a_document_and_a_plot_do_not(bench: Bench, drawn: None) -> None:
    told = bench("pictured", "curve", "--json", "--html", "a.html")
    assert json.loads(told.out) == {"schema": 1, "lines": 1}
    assert Path("a.html").exists()
    told = bench("pictured", "curve", "--json", "--plot")
    assert told.code == 2 and "--plot draws on stdout, which --json keeps" in told.err


def test_nothing_is_overwritten_unless_told_to(bench: Bench, drawn: None) -> None:
    Path("a.html").write_text("mine")
    Path("folder").mkdir()
    for arguments, sentence in (
        (("--html", "a.html"), "--html a.html is there already"),
        (("--png", "folder"), "--png folder is a folder, expected a file"),
        (("--html", "no/a.html"), "--html no/a.html: there is no folder no"),
        (("--html", "b", "--png", "b"), "--html and --png both name b"),
    ):
        told = bench("pictured", "curve", *arguments)
        assert told.code == 2 and sentence in told.err
        assert "told" not in told.out  # refused before the work
    assert Path("a.html").read_text() == "mine"
    assert bench("pictured", "curve", "--html", "a.html", "--force").code == 0
    assert Path("a.html").read_text() != "mine"


def test_a_commands_own_force_serves_its_pictures_too(bench: Bench, drawn: None) -> None:
    Path("a.html").write_text("mine")
    assert bench("pictured", "other", "--html", "a.html").code == 2
    assert bench("pictured", "other", "--html", "a.html", "--force").code == 0


def test_only_what_draws_has_the_flags_and_no_figure_is_said(bench: Bench, drawn: None) -> None:
    assert "unknown flag --plot" in bench("pictured", "plain", "--plot").err
    told = bench("pictured", "curve", "--lines", "0", "--plot")
    assert told.code == 2 and "gave nothing that could be drawn" in told.err
    assert "unknown flag --plot" in bench("run", "dlrm", "--plot").err
    for words in (("pictured", "curve"), ("run", "cachesim"), ("sweep", "cachesim"), ("show",)):
        assert "needs recbench[plot]" in bench(*words, "--help").out


def test_a_run_draws_its_cells_and_a_recorded_experiment_again(bench: Bench) -> None:
    Path("a.ids").write_text("".join(f"{number % 7}\n" for number in range(200)))
    Path("b.ids").write_text("".join(f"{number * number % 11}\n" for number in range(200)))
    told = bench(
        "run", "cachesim", "--trace", "?.ids", "--policy", "lru,fifo", "--size", "2,50%", "--ui", "plain", "--plot",
        "--html", "run.html",
    )  # fmt: skip
    assert told.code == 0, told.err
    assert "Miss ratio by cache size" in told.out and "● lru" in told.out and "■ fifo" in told.out
    assert " requests/s" in told.err and "samples" not in told.err
    page = Path("run.html").read_text()
    assert "400 requests" in page
    again = bench("show", "--plot", "--html", "show.html", "--png", "show.png")
    assert again.code == 0, again.err
    assert again.out == told.out[told.out.index("\nMiss ratio") :]
    assert Path("show.html").read_text() == page
    assert Path("show.png").read_bytes().startswith(b"\x89PNG")
    assert bench("show", "--html", "show.html").code == 2


def test_an_experiment_without_a_figure_says_so(bench: Bench, example: Path) -> None:
    told = bench("show", "baseline", "--db", str(example), "--plot")
    assert told.code == 2
    assert "workload 'dlrm' says no figure to draw" in told.err
