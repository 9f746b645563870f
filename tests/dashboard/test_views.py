from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dashboard.details import Details, RunDetails, SettingLine
from harness.dashboard.history import History
from harness.dashboard.views.happenings import event_rows
from harness.dashboard.views.machine import device_rows, host_rows, lamp, machine_rows
from harness.dashboard.views.quality import loss_plot, quality_rows
from harness.dashboard.views.status import progress_text, status_rows
from harness.dashboard.views.tabs import log_rows, setting_rows
from harness.dashboard.views.throughput import says_something, throughput_bars, throughput_plot, throughput_row
from harness.dashboard.views.tree import nodes
from harness.dashboard.views.words import names_of, shown_run
from harness.dashboard.widgets.paint import LIVE, Row, clipped, levels, text_of, width_of
from harness.execution.snapshot import Snapshot
from tests.dashboard.pictures import card, changed, current, host, metric, over, steady, sweep


def _texts(rows: tuple[Row, ...]) -> str:
    return "\n".join(map(text_of, rows))


def _history(*pictures: Snapshot) -> History:
    history = History()
    for picture in pictures:
        history.take(picture)
    return history


def test_time_left_that_is_not_known_is_not_made_up() -> None:
    picture = steady(18)
    runs = tuple(replace(run, eta_s=None) for run in picture.cells[0].runs)
    picture = replace(picture, eta_s=None, cells=(replace(picture.cells[0], runs=runs),))
    assert "time left not known yet" in text_of(status_rows(picture, 140)[1])
    assert "left –" in text_of(status_rows(picture, 80)[1])


@given(st.integers(0, 200), st.sampled_from(["steady", "sweep", "over", "waiting"]))
def test_the_status_never_exceeds_its_width(width: int, kind: str) -> None:
    picture = {"steady": steady(18), "sweep": sweep(), "over": over(), "waiting": steady(3, waiting_for="x" * 90)}[kind]
    for row in status_rows(picture, width, lamp=(("● contended ", "warn"), ("y" * 90, "warn"))):
        assert width_of(clipped(row, width)) <= width


def test_the_state_is_told_even_where_the_reason_of_the_lamp_has_no_room() -> None:
    first = text_of(status_rows(steady(18), 80, lamp=(("● contended ", "warn"), ("y" * 90, "warn")))[0])
    assert "contended" in first
    assert "running" in first
    assert "yyy" not in first


def test_the_end_tells_how_many_went_well_and_why_not_all() -> None:
    text = text_of(status_rows(over(state="failed", exit_code=1, message="2 of 5 runs failed"), 140)[1])
    assert "5 of 5 runs ok" in text
    assert "2 of 5 runs failed" in text


def test_the_lamp_speaks_only_while_something_is_measured() -> None:
    assert "not measuring" in text_of(lamp(changed(steady(3), current_run=None), History(), None))
    assert lamp(over(), History(), None) == ()
    assert "not known" in text_of(lamp(steady(10), _history(steady(10)), 6))


def test_the_lamp_is_lit_by_the_rules_of_the_verdict() -> None:
    quiet = [steady(at) for at in range(5, 12)]
    busy = [steady(at, telemetry={"host": host(70.0 + at, foreign=3.0)}) for at in range(5, 12)]
    assert "quiet" in text_of(lamp(quiet[-1], _history(*quiet), 6))
    text = text_of(lamp(busy[-1], _history(*busy), 6))
    assert "contended" in text
    assert "other processes used" in text


def test_a_card_tells_its_readings_with_units() -> None:
    text = _texts(device_rows(steady(5, device="cuda:0", telemetry={"cuda:0": card(3.0)}), 38))
    for word in ("busy", "%", "32 GiB of 80 GiB", "W", "63 °C", "1760 MHz"):
        assert word in text


def test_a_card_that_is_held_back_or_shared_says_so() -> None:
    reading = card(3.0, slowed_by=("power cap",), other_pids=(17, 18))
    text = _texts(device_rows(steady(5, device="cuda:0", telemetry={"cuda:0": reading}), 38))
    assert "slowed by power cap" in text
    assert "also used by 2 other processes" in text


def test_a_device_without_readings_says_why() -> None:
    from harness.execution.snapshot import LineView

    line = LineView(number=1, at="14:05:00", level="info", text="no telemetry of cuda:0: the driver is not loaded")
    picture = steady(5, device="cuda:0", telemetry={"host": host(1.0)}, lines=(line,))
    assert "not readable: the driver is not loaded" in " ".join(_texts(device_rows(picture, 38)).split())
    assert "is the host itself" in _texts(device_rows(steady(5), 38))


def test_readings_that_are_missing_are_dashes_not_zeros() -> None:
    reading = dict.fromkeys(card(1.0)) | {"slowed_by": None, "other_pids": None}
    text = _texts(device_rows(steady(5, device="cuda:0", telemetry={"cuda:0": reading}), 38))
    assert "–" in text
    assert "0 %" not in text
    text = _texts(host_rows(steady(5, telemetry={"host": dict.fromkeys(host(1.0))}), History(), 38))
    assert "0 %" not in text


@given(st.integers(0, 60), st.integers(0, 40))
def test_the_machine_can_be_told_in_any_room(width: int, height: int) -> None:
    assert machine_rows(
        steady(5, device="cuda:0", telemetry={"cuda:0": card(1.0), "host": host(1.0)}), History(), width, height
    )


def test_many_cores_are_shown_by_level() -> None:
    reading = host(1.0) | {"cpu_by_core": [index / 128 for index in range(128)]}
    text = _texts(host_rows(steady(5, telemetry={"host": reading}), History(), 38))
    assert "█" in text
    assert max(map(len, text.split("\n"))) <= 38


def test_storage_rates_come_from_counters() -> None:
    pictures = [steady(at) for at in range(5, 12)]
    assert "181 MiB/s" in _texts(host_rows(pictures[-1], _history(*pictures), 38))


def test_throughput_is_compared_with_the_other_repeats() -> None:
    cell = steady(18).cells[0]
    text = text_of(throughput_row(cell, cell.runs[2], History()))
    assert text.startswith(" 61.4k samples/s")
    assert "others 61.1k  +0.4 %" in text


def test_earlier_repeats_lie_behind_and_later_ones_do_not() -> None:
    cell = over().cells[0]
    plot = throughput_plot(cell, cell.runs[2], History())
    assert sum(line.behind for line in plot.lines) == 2


def test_a_window_that_was_cut_short_is_no_point() -> None:
    run = current(0, 10)
    short = replace(run.windows[-1], seconds=0.01, samples=9000, number=999, at_s=13.01)
    cell = replace(steady(3).cells[0], runs=(replace(run, windows=(*run.windows, short)),))
    plot = throughput_plot(cell, cell.runs[0], History())
    assert max(value or 0.0 for line in plot.lines for value in line.y) < 70_000


def test_bytes_written_make_a_rate_of_their_own() -> None:
    pictures = []
    for at in range(4, 10):
        run = current(2, 0, elapsed_s=float(at), phase="measure", progress_done=at * 2.0**30, progress_total=2.0**40,
                      progress_unit="bytes", throughput=None, windows=())  # fmt: skip
        pictures.append(replace(steady(4), cells=(replace(steady(4).cells[0], runs=(run,)),)))
    history = _history(*pictures)
    cell = pictures[-1].cells[0]
    assert "1 GiB/s" in text_of(throughput_row(cell, cell.runs[0], history))
    assert throughput_plot(cell, cell.runs[0], history).y_unit == "bytes/s"


def test_a_sweep_shows_the_cells_side_by_side() -> None:
    picture = sweep()
    text = _texts(throughput_bars(picture, picture.cells[-1], 60))
    assert [line.split()[0] for line in text.split("\n") if line] == [cell.label for cell in picture.cells]
    assert throughput_bars(steady(3), steady(3).cells[0], 60) == ()


def test_quality_stands_beside_the_known_optimum() -> None:
    picture = over()
    cell = picture.cells[0]
    assert "auc 0.7931  best possible 0.8125  −0.0194" in _texts(quality_rows(picture, cell, cell.runs[0], 60))


def test_earlier_repeats_lend_their_quality_and_are_named() -> None:
    picture = steady(18)
    cell = picture.cells[0]
    assert "auc, earlier repeats 0.7933" in _texts(quality_rows(picture, cell, cell.runs[2], 60))


def test_an_undefined_quality_is_said_to_be() -> None:
    run = replace(over().cells[0].runs[0], metrics=(metric("auc", None, role="primary"),))
    cell = replace(over().cells[0], runs=(run,))
    assert "auc –  undefined on these rows" in _texts(quality_rows(over(), cell, run, 60))


def test_hit_ratios_of_policies_are_bars_the_best_first() -> None:
    picture = sweep()
    lines = _texts(quality_rows(picture, picture.cells[-1], picture.cells[-1].runs[0], 60)).split("\n")
    assert lines[0].strip() == "hit ratio"
    assert [line.split()[0] for line in lines[1:]] == ["policy=s3-fifo", "policy=lfu", "policy=lru"]
    assert loss_plot(picture.cells[-1], picture.cells[-1].runs[0]) is None


def test_the_tree_tells_the_order_of_what_is_to_come() -> None:
    rows = nodes(steady(3), 34, open_cells=())
    assert [text_of(node.row).split()[2] for node in rows[3:]] == ["next", "in"]
    picture = sweep(("lru", "lfu"))
    pending = "s11aaaaaaaaa"
    assert "waits" in _texts(tuple(node.row for node in nodes(picture, 34, open_cells={"c1"})))
    shown = nodes(picture, 34, open_cells={"c1"}, order=("s00aaaaaaaaa", "s10aaaaaaaaa", "s01aaaaaaaaa", pending))
    assert "next" in text_of(next(node.row for node in shown if node.run_id == pending))


@given(st.integers(4, 60))
def test_a_row_of_the_tree_never_exceeds_its_width(width: int) -> None:
    for picture in (steady(3), sweep(), over()):
        for node in nodes(picture, width, open_cells={"c0", "c3"}):
            assert width_of(clipped(node.row, width)) <= width


def test_a_long_sweep_is_laid_out_in_lines_of_cells() -> None:
    picture = sweep(tuple(f"policy-{number}" for number in range(200)))
    assert len(nodes(picture, 34, open_cells=())) == 200


def test_markup_in_text_is_text() -> None:
    from harness.execution.snapshot import LineView

    line = LineView(number=1, at="14:05:00", level="error", text="[red]not red[/] \n second line")
    assert "[red]not red[/] second line" in _texts(event_rows(changed(steady(3), lines=(line,))))


def test_settings_show_where_each_value_came_from() -> None:
    lines = (SettingLine("batch", "512", "profile demo"), SettingLine("seed", "0", "default"))
    details = Details("e", {"c0": lines}, ("run", "dlrm"))
    text = _texts(setting_rows(details, steady(3), "c0"))
    assert "$ bench run dlrm" in text
    assert "profile demo" in text
    assert "the plan does not know" in _texts(setting_rows(details, steady(3), "cX"))
    assert "…" in _texts(setting_rows(None, steady(3), "c0"))
    assert "is locked" in _texts(setting_rows(Details("e", {}, problem="x is locked"), steady(3), "c0"))


def test_the_log_says_where_it_lies_or_why_there_is_none() -> None:
    assert "/tmp/log.txt" in _texts(log_rows(RunDetails("r", ("hello",), "/tmp/log.txt")))
    assert "printed nothing" in _texts(log_rows(RunDetails("r", (), "/tmp/log.txt")))
    assert "no log" in _texts(log_rows(RunDetails("r", problem="no log: No such file")))


@pytest.mark.parametrize(("value", "expected"), [(0.0, "▁"), (1.0, "█"), (None, "·"), (0.5, "▅"), (7.0, "█")])
def test_levels_go_from_low_to_high(value: float | None, expected: str) -> None:
    assert levels([value]) == expected


def test_what_is_cut_off_says_so() -> None:
    row: Row = (("abc", "text"), ("defgh", "muted"))
    assert text_of(clipped(row, 5)) == "abcd…"
    assert clipped(row, 8) == row
    assert text_of(clipped(row, 0)) == ""
    assert width_of(clipped((("日本語", "text"),), 4)) <= 4


def test_the_run_to_look_at_is_the_current_one_else_the_last_that_began() -> None:
    found = shown_run(steady(3))
    assert found is not None
    assert found.id == "r2aaaaaaaaaa"
    last = shown_run(over())
    assert last is not None
    assert last.repeat == 4


def test_cells_are_called_by_their_values_where_names_and_values_do_not_fit() -> None:
    cells = [replace(sweep().cells[0], id=str(place), label=f"policy={policy}, capacity=10%")
             for place, policy in enumerate(("lru", "s3-fifo"))]  # fmt: skip
    assert list(names_of(cells, 40).values()) == ["policy=lru, capacity=10%", "policy=s3-fifo, capacity=10%"]
    assert list(names_of(cells, 20).values()) == ["lru, 10%", "s3-fifo, 10%"]
    same = [replace(cells[0], label="a=1, b=2"), replace(cells[1], label="c=1, d=2")]
    assert list(names_of(same, 3).values()) == ["a=1, b=2", "c=1, d=2"], "short names that are one would mislead"


def test_a_line_of_two_windows_says_nothing_and_bars_stand_instead() -> None:
    picture = steady(18)
    cell = picture.cells[0]
    run = cell.runs[2]
    assert says_something(throughput_plot(cell, run, History()))
    alone = replace(cell, runs=(replace(run, windows=run.windows[2:4]),))
    assert not says_something(throughput_plot(alone, alone.runs[0], History()))


def test_parts_of_epochs_have_two_decimals_and_other_counts_their_own() -> None:
    run = steady(18).cells[0].runs[2]
    assert (
        progress_text(replace(run, progress_done=5.87e-5, progress_total=2.0, progress_unit="epochs"))
        == "0.00 of 2 epochs"
    )
    assert (
        progress_text(replace(run, progress_done=0.5705, progress_total=1.0, progress_unit="epochs"))
        == "0.57 of 1 epoch"
    )
    assert progress_text(replace(run, progress_done=3.0, progress_total=10.0, progress_unit="steps")) == "3 of 10 steps"


def _side_by_side() -> Snapshot:
    """Two of four cells go on, in two lanes."""
    picture = sweep()
    first, *others = picture.cells
    going = replace(first.runs[0], status="running", phase="setup", throughput=None, metrics=())
    return replace(picture, cells=(replace(first, runs=(going, first.runs[1])), *others), lanes=2)


def test_every_run_that_goes_on_beside_others_is_marked_in_the_tree() -> None:
    picture = _side_by_side()
    lit = [node.cell_id for node in nodes(picture, 40, open_cells=()) if node.row[0][1] == LIVE]
    assert lit == ["c0", "c3"]


def test_runs_side_by_side_are_counted_and_not_timed() -> None:
    picture = _side_by_side()
    assert ", 2 side by side" in text_of(status_rows(picture, 140)[1])
    assert "side by side, not timed" in text_of(lamp(picture, History(), None))
    cell = picture.cells[3]
    row = throughput_row(cell, cell.runs[0], History(), lanes=2)
    assert text_of(row).strip() == "– runs side by side are not timed"
    assert not throughput_plot(cell, cell.runs[0], History(), lanes=2).lines


def test_the_progress_of_every_run_that_goes_on_is_remembered() -> None:
    picture = _side_by_side()
    history = History()
    for done in (1e6, 2e6):
        cells = tuple(
            replace(
                cell,
                runs=tuple(
                    replace(run, phase="measure", progress_done=done, elapsed_s=done / 1e6)
                    if run.status == "running"
                    else run
                    for run in cell.runs
                ),
            )
            for cell in picture.cells
        )
        history.take(replace(picture, cells=cells))
    assert len(history.progress) == 2
