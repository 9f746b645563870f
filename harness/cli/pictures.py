"""Pictures of a result: in the terminal (`--plot`), as a page (`--html FILE`), as a PNG (`--png FILE`).

What cannot be written is refused before the work begins; a file that is there is replaced with `--force` only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.api import Description, Figure
from harness.cli import options
from harness.errors import RunFailed, UsageError
from harness.ids import short_id
from harness.registry import Registry
from harness.store.records import ExperimentRecord

PICTURE = "Picture"

Plot = Annotated[
    bool,
    typer.Option("--plot", metavar="", help="draw the result in the terminal", rich_help_panel=PICTURE),
]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", help="draw it as a page of its own, light and dark", rich_help_panel=PICTURE
    ),
]
Png = Annotated[
    Path | None,
    typer.Option("--png", metavar="FILE", help="draw it as a picture; needs recbench\\[plot]", rich_help_panel=PICTURE),
]
Force = Annotated[
    bool, typer.Option("--force", metavar="", help="replace a picture that is there", rich_help_panel=PICTURE)
]
FIXED: Mapping[str, tuple[Any, Any]] = {"plot": (Plot, False), "html": (Html, None), "png": (Png, None)}
FORCE: Mapping[str, tuple[Any, Any]] = {"force": (Force, False)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which pictures were asked for."""

    plot: bool = False
    html: Path | None = None
    png: Path | None = None

    @property
    def any(self) -> bool:
        return self.plot or self.html is not None or self.png is not None


def wanted(values: Mapping[str, Any], *, json: bool) -> Wanted:
    """What the flags of `FIXED` and `force` ask for. Raises UsageError or UnavailableError where it cannot be had."""
    found = Wanted(plot=bool(values.get("plot")), html=values.get("html"), png=values.get("png"))
    if found.plot and json:
        raise UsageError(
            "--plot draws on stdout, which --json keeps for its document", hint="write a page with it: --html FILE"
        )
    for flag, path in (("--html", found.html), ("--png", found.png)):
        if path is not None:
            _check_free(flag, path, force=bool(values.get("force")))
    if found.html is not None and found.html == found.png:
        raise UsageError(f"--html and --png both name {found.html}", hint="give each a file of its own")
    if found.png is not None:
        from harness.report.figure_png import require_png

        require_png()
    return found


def draw(asked: Wanted, figures: Sequence[Figure], *, title: str, notes: Sequence[str] = ()) -> None:
    """Draws what was asked for: stdout first, then the files, which are named on stderr."""
    if asked.any and not figures:
        raise UsageError(f"{title} gave nothing that could be drawn")
    if asked.plot:
        from harness.report.figure_terminal import figure_lines

        out = options.out()
        for figure in figures:
            out.print()
            for line in figure_lines(figure, width=out.width):
                out.print(line, soft_wrap=True)
    if asked.html is not None:
        from harness.report.figure_html import page

        _write(asked.html, page(figures, title=title, notes=notes).encode())
    if asked.png is not None:
        from harness.report.figure_png import png

        _write(asked.png, png(figures))


def draw_experiment(asked: Wanted, experiment: ExperimentRecord, description: Description, where: str) -> None:
    """The figure of an experiment's workload; `where` names its database. UsageError where there is nothing to draw."""
    if not asked.any:
        return
    from harness.report.experiment_figure import data_notes, experiment_figure

    figure = experiment_figure(experiment, description)
    short = short_id(experiment.id)
    draw(
        asked,
        [figure],
        title=f"{description.name}, experiment {short}",
        notes=[*data_notes(experiment), f"experiment {short} in {where}"],
    )


def description_of(experiment: ExperimentRecord, database: Path) -> Description:
    """The workload of an experiment, a plug-in's too."""
    from harness.execution.plan import Plan
    from harness.store.queries import Store

    if not experiment.cells:
        raise UsageError(f"experiment {short_id(experiment.id)} has no cell, so there is nothing to draw")
    with Store(database) as store:
        plan = Plan.from_json(store.plan(experiment.id))
    return Registry(plan.cells[0].spec.plugins if plan.cells else ()).workload(experiment.cells[0].workload)


def _check_free(flag: str, path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder, expected a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{flag} {path}: there is no folder {path.parent}")
    if path.exists() and not force:
        raise UsageError(f"{flag} {path} is there already", hint="choose another name, or add --force")


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as problem:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise RunFailed(f"{path} cannot be written: {problem.strerror}") from problem
    options.say(f"wrote {path}")
