"""Series of runs made ready to draw: which charts there are, their lines, and the values under a cursor.

Hit ratios over a size are drawn as miss ratios, as the field draws them. Knows nothing of Textual.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.dashboard.sides import name_of
from harness.errors import BenchError
from harness.ids import short_id
from harness.store.queries import Store
from harness.store.records import CellRecord, SeriesRecord

SIZES = ("rows", "bytes", "entries", "capacity", "items", "size")  # axes that are drawn logarithmically
MOST_LINES = 24
MOST_RUNS = 10  # of a cell
SERIES_COLOURS = 6
_QUIET = ("rank", "phase")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line. `colour` counts from 1; curves of one colour belong to the same configuration."""

    name: str
    cell_id: str
    run_id: str
    repeat: int
    colour: int
    x: tuple[float, ...]
    y: tuple[float | None, ...]

    def value_at(self, x: float) -> float | None:
        """The value of the point that is not behind `x`; None where there is none, or the curve has ended."""
        place = bisect.bisect_right(self.x, x) - 1
        if place < 0 or (place == len(self.x) - 1 and x > self.x[-1] * (1 + 1e-9)):
            return None
        return self.y[place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Curves that share their axes."""

    name: str
    axis: str
    unit: str
    curves: tuple[Curve, ...]
    left_out: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.axis

    @property
    def title(self) -> str:
        return f"{self.name.replace('_', ' ')} by {'size' if self.axis in SIZES else self.axis}"

    @property
    def is_ratio(self) -> bool:
        return self.name.endswith("_ratio")

    @property
    def logarithmic(self) -> bool:
        return self.axis in SIZES and all(value > 0 for curve in self.curves for value in curve.x)

    @property
    def axis_unit(self) -> str:
        return "s" if self.axis == "seconds" else self.axis

    @property
    def places(self) -> tuple[float, ...]:
        """Every x that a curve has a value at, in order: where a cursor may stand."""
        return tuple(sorted({value for curve in self.curves for value in curve.x}))


def read(path: Path, cells: Sequence[str]) -> tuple[Chart, ...]:
    """The charts of these cells: curves over a size first, then over time, then the rest. BenchError passes through."""
    found: list[tuple[CellRecord, str, int, SeriesRecord]] = []
    names: dict[str, str] = {}
    with Store(path, busy_timeout_s=2.0) as store:
        for identifier in cells:
            cell = store.cell(identifier)
            names[cell.id] = name_of(store.experiment(cell.experiment_id), cell)
            runs = [run for run in cell.runs if run.started_at is not None]
            for run in sorted(runs, key=lambda run: (run.status != "ok", run.repeat))[:MOST_RUNS]:
                found += [(cell, run.id, run.repeat, series) for series in store.series(run.id) if series.x]
    if len(set(names.values())) < len(names):
        names = {cell: f"{name} {short_id(cell)}" for cell, name in names.items()}
    charts = []
    for key in dict.fromkeys((series.name, series.axis, series.unit) for _, _, _, series in found):
        of_chart = [one for one in found if (one[3].name, one[3].axis, one[3].unit) == key]
        charts.append(_chart(*key, of_chart, names, single=len(cells) == 1))
    return tuple(sorted(charts, key=lambda chart: (chart.axis not in SIZES, chart.name != "throughput", chart.name)))


def cells_of(path: Path, experiment: str) -> tuple[str, ...]:
    """The cells of an experiment, none where it cannot be read."""
    try:
        with Store(path, busy_timeout_s=2.0) as store:
            return tuple(cell.id for cell in store.experiment(experiment).cells)
    except BenchError:
        return ()


def _chart(
    name: str,
    axis: str,
    unit: str,
    found: Sequence[tuple[CellRecord, str, int, SeriesRecord]],
    names: dict[str, str],
    *,
    single: bool,
) -> Chart:
    missed = name.endswith("hit_ratio") and axis in SIZES
    passing = axis in SIZES  # an exact curve: one run of a configuration shows it
    curves: list[Curve] = []
    colours: dict[tuple[object, ...], int] = {}
    for cell, run_id, repeat, series in found:
        labels = {key: value for key, value in series.labels.items() if key not in _QUIET}
        if series.labels.get("rank", "0") != "0" or series.labels.get("phase", "measure") not in ("measure", ""):
            continue
        told = _label(labels, names[cell.id])
        mark = (cell.id, told, repeat) if single and not passing and not labels else (cell.id, told)
        if passing and mark in colours:
            continue
        colour = colours.setdefault(mark, len(colours) % SERIES_COLOURS + 1)
        shown = f"{told} #{repeat + 1}" if not passing else told
        y = tuple(None if value is None else 1 - value for value in series.y) if missed else series.y
        curves.append(Curve(name=shown, cell_id=cell.id, run_id=run_id, repeat=repeat, colour=colour, x=series.x, y=y))
    return Chart(
        name=name.replace("hit_ratio", "miss_ratio") if missed else name, axis=axis, unit=unit,
        curves=tuple(curves[:MOST_LINES]), left_out=max(0, len(curves) - MOST_LINES),
    )  # fmt: skip


def _label(labels: dict[str, str], name: str) -> str:
    """The cell's name with the labels that it does not say already."""
    more = [value if key == "policy" else f"{key} {value}" for key, value in sorted(labels.items()) if value != name]
    return " ".join([name, *more]) if more and name not in more else (more[0] if more else name)


def nearest(places: Sequence[float], value: float) -> int:
    """The index of the place nearest to a value."""
    if not places:
        return 0
    at = bisect.bisect_left(places, value)
    around = [index for index in (at - 1, at) if 0 <= index < len(places)]
    return min(around, key=lambda index: abs(places[index] - value))


def last_common(curves: Iterable[Curve]) -> float | None:
    """Where the shortest curve ends: a cursor there reads every curve."""
    ends = [curve.x[-1] for curve in curves if curve.x and math.isfinite(curve.x[-1])]
    return min(ends) if ends else None
