from __future__ import annotations

from harness.dashboard.pace import BUDGET, LONGEST_S, SHORTEST_S, UNSEEN_S, Pacer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.used = 0.0


def _pacer(clock: Clock) -> Pacer:
    return Pacer(cpu=lambda: clock.used, clock=lambda: clock.now)


def _draw(pacer: Pacer, clock: Clock, cost_s: float, times: int) -> None:
    for _ in range(times):
        clock.now += pacer.due_in()
        pacer.drawn()
        clock.used += cost_s


def test_the_first_picture_is_due_at_once_and_the_next_a_quarter_second_later() -> None:
    clock = Clock()
    pacer = _pacer(clock)
    assert pacer.due_in() == 0.0
    pacer.drawn()
    assert pacer.due_in() == SHORTEST_S


def test_cheap_pictures_come_four_times_a_second() -> None:
    clock = Clock()
    pacer = _pacer(clock)
    _draw(pacer, clock, 0.001, 20)
    assert pacer.period_s == SHORTEST_S


def test_dear_pictures_come_so_seldom_that_the_budget_is_kept() -> None:
    clock = Clock()
    pacer = _pacer(clock)
    _draw(pacer, clock, 0.012, 30)
    before, used = clock.now, clock.used
    _draw(pacer, clock, 0.012, 30)
    assert (clock.used - used) / (clock.now - before) <= BUDGET * 1.05


def test_there_is_an_end_to_waiting() -> None:
    clock = Clock()
    pacer = _pacer(clock)
    _draw(pacer, clock, 5.0, 10)
    assert pacer.period_s == LONGEST_S


def test_unseen_is_seldom_and_building_a_screen_is_not_drawing() -> None:
    clock = Clock()
    pacer = _pacer(clock)
    pacer.unseen = True
    assert pacer.period_s == UNSEEN_S
    pacer.unseen = False
    pacer.drawn()
    clock.used += 3.0
    pacer.forget()
    pacer.drawn()
    assert pacer.period_s == SHORTEST_S


def test_one_dear_picture_does_not_slow_those_after_it() -> None:
    """The first picture of a screen costs as ten others: it is not what a picture costs."""
    clock = Clock()
    pacer = _pacer(clock)
    _draw(pacer, clock, 0.002, 4)
    _draw(pacer, clock, 0.200, 1)
    _draw(pacer, clock, 0.002, 1)
    assert pacer.period_s == SHORTEST_S


def test_a_dear_picture_in_every_two_is_counted() -> None:
    clock = Clock()
    pacer = _pacer(clock)
    for _ in range(40):
        _draw(pacer, clock, 0.002, 1)
        _draw(pacer, clock, 0.022, 1)
    before, used = clock.now, clock.used
    for _ in range(20):
        _draw(pacer, clock, 0.002, 1)
        _draw(pacer, clock, 0.022, 1)
    assert (clock.used - used) / (clock.now - before) <= BUDGET * 1.3
