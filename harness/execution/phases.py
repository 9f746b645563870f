"""The measurement itself: phases, warm-up, windows, stopping. The only place that looks at the clock.

A step costs the harness one call, two additions, three comparisons and one clock reading (`benchmarks/overhead.py`
measures it). Device time comes from device events, host time from `perf_counter_ns`; the measure phase is the sum of
segments that are synchronised at both ends, and nothing inside a window waits for the device.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.api import Device, DeviceEvent, Metric, RunFailed, Step, Workload
from harness.execution import checkpoint
from harness.execution.channel import Channel
from harness.execution.context import WorkerContext
from harness.spec import RunSpec, Target, parse_target

_NEVER = 1 << 62
WARMUP_WINDOW_S = 0.2  # long enough that one scheduler slice (4 ms) is 2 % of it
WARMUP_WINDOWS = 4  # this many windows in a row must agree
WARMUP_SPREAD = 0.05  # within this share of their median
WARMUP_SHARE = 0.2  # and it may cost at most this share of a run whose length is known
EVALUATIONS_PER_EPOCH = 20  # of a run with a target; MLPerf Training's DLRM evaluates every 5 % of an epoch
_NS = 1e-9


@dataclass(slots=True)
class _Piece:
    """Work between two device events, not yet known to be finished."""

    samples: int
    total: int  # samples of the run at its end
    begin: DeviceEvent
    end: DeviceEvent


class WindowCutter:
    """Cuts windows by device events without waiting: a window is sent once its last event is ready."""

    def __init__(self, device: Device, window_s: float, send: Callable[[int, float, bool, int], None]) -> None:
        self._device = device
        self._window_s = window_s * 0.999
        self._send = send
        self._pieces: deque[_Piece] = deque()
        self._begin: DeviceEvent | None = None
        self._samples = 0
        self._total = 0
        self._seconds = 0.0

    def begin(self) -> None:
        """A segment begins."""
        self._begin = self._device.record_event()

    def cut(self, samples: int, total: int) -> None:
        """`samples` were asked for since the last cut or begin, `total` since the run began."""
        assert self._begin is not None
        end = self._device.record_event()
        self._pieces.append(_Piece(samples, total, self._begin, end))
        self._begin = end
        self._collect(wait=False)

    def finish(self, *, last: bool) -> None:
        """A segment has ended and the device is idle. `last` sends what is left as a partial window."""
        self._begin = None
        self._collect(wait=True)
        if last and self._samples:
            self._send(self._samples, self._seconds, True, self._total)
            self._samples, self._seconds = 0, 0.0

    def _collect(self, *, wait: bool) -> None:
        while self._pieces and (wait or self._pieces[0].end.ready()):
            piece = self._pieces.popleft()
            self._samples += piece.samples
            self._total = piece.total
            self._seconds += piece.end.seconds_since(piece.begin)
            if self._seconds >= self._window_s:
                self._send(self._samples, self._seconds, False, self._total)
                self._samples, self._seconds = 0, 0.0


class Measurement:
    """One cell through its five phases."""

    def __init__(
        self,
        workload: Workload,
        context: WorkerContext,
        channel: Channel,
        spec: RunSpec,
        *,
        latency: bool = False,  # each step answers a request: its time is kept
    ) -> None:
        self._workload = workload
        self._context = context
        self._channel = channel
        self._spec = spec
        self._settings = spec.settings
        self._device = context.device
        self._pause_for_epoch = self._settings.timing_scope == "compute"
        self._pause_for_evaluation = self._settings.timing_scope != "end_to_end"
        self._target: Target | None = parse_target(self._settings.target) if self._settings.target else None
        self._reached = False
        self._steps = 0  # of the whole run, warm-up counted
        self._samples = 0
        self._epochs = 0
        self._epoch_begun = False
        self._measured_steps = 0
        self._measured_samples = 0
        self._measured_s = 0.0
        self._window_index = 0
        self._done = False
        self._evaluate_every = self._settings.evaluate_every
        self._next_evaluation = _NEVER
        self._next_checkpoint = self._settings.checkpoint_every or _NEVER
        self._cutter = WindowCutter(self._device, self._settings.window_s, self._send_window)
        self._latencies_s: list[float] | None = [] if latency else None
        self._phase_s: dict[str, float] = {}
        self._earlier_warmup_s = 0.0  # of the process that this one goes on from
        self._learning_s = 0.0  # warm-up + measure: the clock of time_to_target_s

    def run(self, resumed: dict[str, Any] | None = None) -> None:
        """From set-up to the last evaluation; `close` of the workload is the caller's."""
        with self.phase("setup"):
            self._workload.setup(self._context)
            if resumed is not None:
                self._restore(resumed)
            self._workload.synchronize()
        self._plan_evaluations()
        self._describe_work()
        if self._spec.mode_kind == "driven":
            self._drive()
        else:
            # A resumed run was warmed up, and counted so, in its first process.
            if self._spec.mode_kind != "steady" or resumed is not None or self._warm_up():
                self._measure()
        if not self._context.should_stop():
            with self.phase("evaluate"):
                self._evaluate_test()
        stopped_half_way = self._context.should_stop() and self._measured_steps > 0
        if self._settings.checkpoint or (self._settings.checkpoint_every and stopped_half_way):
            self._checkpoint()
        self._report()

    def _plan_evaluations(self) -> None:
        """A target needs evaluations: every twentieth of an epoch, as MLPerf does, where nobody says otherwise."""
        size = self._workload.epoch_samples()
        if self._target is not None and self._evaluate_every is None:
            if not size:
                raise RunFailed(
                    "a target needs evaluations on the way, and the size of an epoch is not known here",
                    hint="say how often: --evaluate-every SAMPLES",
                )
            self._evaluate_every = max(1, size // EVALUATIONS_PER_EPOCH)
        self._next_evaluation = _next_multiple(self._samples, self._evaluate_every)

    def _describe_work(self) -> None:
        work = self._workload.work_per_step()
        if work is not None:
            facts = {name: getattr(work, name) for name in work.__slots__}
            self._context.engine(work=facts)

    def _warm_up(self) -> bool:
        """Steps that teach the model and heat the machine, and count for no rate. False where it was stopped."""
        if self._settings.warmup in ("none", "0"):
            return True
        fixed = None if self._settings.warmup == "auto" else int(self._settings.warmup)
        with self.phase("warmup") as facts:
            ended = self._warm_up_steps(fixed) if fixed is not None else self._warm_up_until_steady()
            facts["ended"] = ended
        return ended != "stopped"

    def _warm_up_steps(self, count: int) -> str:
        for _ in range(count):
            if self._advance_one():
                return "the work was done"
            if self._context.should_stop():
                return "stopped"
        self._workload.synchronize()
        return "steps"

    def _warm_up_until_steady(self) -> str:
        limit = self._planned_samples()
        most_samples = _NEVER if limit is None else self._samples + int(limit * WARMUP_SHARE)
        begun = time.perf_counter()
        rates: deque[float] = deque(maxlen=WARMUP_WINDOWS)
        while True:
            start, samples = time.perf_counter(), self._samples
            over = False
            while time.perf_counter() - start < WARMUP_WINDOW_S and not over:
                over = self._advance_one()
                if self._samples >= most_samples:
                    over = True
            self._workload.synchronize()
            seconds = time.perf_counter() - start
            self._channel.send(
                "window",
                phase="warmup",
                index=self._window_index,
                window_samples=self._samples - samples,
                total=self._samples,
                seconds=seconds,
                partial=over,
            )
            self._window_index += 1
            rates.append((self._samples - samples) / seconds)
            if over:
                return "a fifth of the planned samples" if not self._done else "the work was done"
            if len(rates) == WARMUP_WINDOWS and max(rates) - min(rates) <= WARMUP_SPREAD * median(rates):
                return "steady"
            if time.perf_counter() - begun >= self._settings.warmup_cap_s:
                return "cap"
            if self._context.should_stop():
                return "stopped"

    def _advance_one(self) -> bool:
        """One step outside the measure phase. True when there is nothing left to do."""
        if not self._epoch_begun:
            self._begin_epoch()
        step = self._workload.step()
        self._count(step, 1, step.samples)
        if step.epoch_end:
            self._end_epoch()
        self._done = self._done or step.done or self._planned_end()
        return self._done

    def _measure(self) -> None:
        self._require_work()
        self._window_index = 0
        with self.phase("measure") as facts:
            learning_before = self._earlier_warmup_s + self._phase_s.get("warmup", 0.0)
            while not self._done:
                if not self._epoch_begun and self._pause_for_epoch:
                    self._begin_epoch()
                self._segment(learning_before)
                self._between_segments(learning_before)
            facts["segment_samples"] = self._measured_samples
            facts["segment_steps"] = self._measured_steps
            facts["segment_seconds"] = self._measured_s

    def _require_work(self) -> None:
        if self._done or self._planned_end():
            raise RunFailed(
                "nothing was left to measure: the checkpoint or the warm-up had done all the work that was asked for",
                hint="ask for more (epochs, steps, seconds) or a shorter warm-up (--warmup none)",
            )

    def _segment(self, learning_before: float) -> None:
        """Measured steps without a pause, synchronised at both ends."""
        settings, clock, step = self._settings, time.perf_counter_ns, self._workload.step
        if self._latencies_s is not None:
            step = self._timed(step, self._latencies_s)
        window_ns = int(settings.window_s * 1e9)
        self._workload.synchronize()
        begun = clock()
        self._cutter.begin()
        if not self._epoch_begun:
            self._begin_epoch()
        steps_limit = settings.steps - self._measured_steps if settings.steps else _NEVER
        samples_limit = self._samples_to_pause()
        seconds_left = (settings.seconds - self._measured_s) if settings.seconds else math.inf
        end_ns = begun + int(seconds_left * 1e9) if seconds_left < 1e9 else _NEVER
        deadline = min(begun + window_ns, end_ns)
        steps = samples = cut_samples = cut_steps = 0
        pausing = False
        while not pausing:
            taken = step()
            steps += 1
            samples += taken.samples
            if (
                clock() < deadline
                and steps < steps_limit
                and samples < samples_limit
                and not taken.epoch_end
                and not taken.done
            ):
                continue
            now = clock()
            self._count(taken, steps - cut_steps, samples - cut_samples)
            self._cutter.cut(samples - cut_samples, self._samples)
            cut_samples, cut_steps = samples, steps
            self._done = (
                taken.done
                or steps >= steps_limit
                or now >= end_ns
                or self._channel.stop_requested
                or self._channel.skip_requested
            )
            pausing = self._done or samples >= samples_limit
            if taken.epoch_end:
                self._end_epoch()
                self._done = self._done or self._planned_end()
                pausing = pausing or self._done or self._pause_for_epoch
                if not pausing:
                    self._begin_epoch()
            elif self._planned_end():
                self._done = pausing = True
            deadline = min(now + window_ns, end_ns)
        self._workload.synchronize()
        seconds = (clock() - begun) * _NS
        self._measured_s += seconds
        self._measured_steps += steps
        self._measured_samples += samples
        self._learning_s = learning_before + self._measured_s
        self._cutter.finish(last=self._done)

    def _between_segments(self, learning_before: float) -> None:
        """Evaluation and checkpoints, outside the clock unless the timing scope says otherwise."""
        begun = time.perf_counter()
        if self._samples >= self._next_evaluation and not self._context.should_stop():
            self._next_evaluation = _next_multiple(self._samples, self._evaluate_every)
            self._evaluate_validation()
        if self._samples >= self._next_checkpoint and not self._done:
            self._next_checkpoint = _next_multiple(self._samples, self._settings.checkpoint_every)
            self._checkpoint()
        if not self._pause_for_evaluation:
            self._measured_s += time.perf_counter() - begun
            self._learning_s = learning_before + self._measured_s

    def _drive(self) -> None:
        """An outside clock: count what it reports, and time the whole."""
        latencies: list[float] = []

        def observe(samples: int, seconds: float) -> None:
            self._measured_steps += 1
            self._measured_samples += samples
            latencies.append(seconds)
            self._channel.step, self._channel.samples = self._measured_steps, self._measured_samples

        with self.phase("measure") as facts:
            begun = time.perf_counter()
            self._workload.drive(observe)
            self._workload.synchronize()
            self._measured_s = time.perf_counter() - begun
            facts["segment_samples"] = self._measured_samples
            facts["segment_steps"] = self._measured_steps
            facts["segment_seconds"] = self._measured_s
            self._report_latencies(latencies)

    def _timed(self, step: Callable[[], Step], seconds: list[float]) -> Callable[[], Step]:
        """A step that returns when its answer is there, and the time it took."""
        clock = time.perf_counter_ns

        def timed() -> Step:
            begun = clock()
            taken = step()
            seconds.append((clock() - begun) * _NS)
            return taken

        return timed

    def _report_latencies(self, seconds: list[float]) -> None:
        for name, share in (("latency_p50_s", 0.5), ("latency_p90_s", 0.9), ("latency_p99_s", 0.99)):
            self._context.emit(Metric(name, percentile(seconds, share)), "measure")

    def _evaluate_validation(self) -> None:
        with self.phase("evaluate"):
            metrics = self._workload.evaluate("validation")
            for metric in metrics:
                if metric.value is not None and not metric.labels:
                    self._context.series(
                        metric.name, "samples", "", [self._samples], [metric.value], labels={"part": "validation"}
                    )
        if self._target is None:
            return
        found = next((metric for metric in metrics if metric.name == self._target.metric), None)
        if found is None:
            raise RunFailed(
                f"the target names {self._target.metric!r}, which this workload does not measure",
                hint="measured: " + ", ".join(sorted({metric.name for metric in metrics})),
            )
        if self._target.reached(found.value):
            self._reached = self._done = True
            self._cutter.finish(last=True)

    def _evaluate_test(self) -> None:
        metrics = self._workload.evaluate("test")
        for metric in metrics if self._context.rank == 0 else ():
            self._context.emit(metric)

    def _report(self) -> None:
        if self._target is not None:
            self._context.emit(Metric("time_to_target_s", self._learning_s if self._reached else None), "measure")
        if self._latencies_s is not None:
            self._report_latencies(self._latencies_s)
        peak = self._device.memory_peak_bytes()
        self._context.emit(Metric("memory_peak_bytes", None if peak is None else float(peak)), "measure")
        for name, seconds in self._context.timers.items():
            self._context.emit(Metric(f"{name}_s", seconds), "setup" if name == "compile" else "measure")

    def _checkpoint(self) -> None:
        state = {
            "workload": dict(self._workload.state_dict()),
            "harness": {
                "step": self._steps,
                "samples": self._samples,
                "epochs": self._epochs,
                "epoch_begun": self._epoch_begun,
                "measured_steps": self._measured_steps,
                "measured_samples": self._measured_samples,
                "measured_s": self._measured_s,
                "warmup_s": self._earlier_warmup_s + self._phase_s.get("warmup", 0.0),
            },
        }
        path = checkpoint.save(self._context.output_dir / "checkpoint.pt", state)
        self._channel.send("checkpoint", path=str(path))

    def _restore(self, state: dict[str, Any]) -> None:
        self._workload.load_state_dict(state["workload"])
        self._steps = state["harness"]["step"]
        self._samples = state["harness"]["samples"]
        self._epochs = state["harness"]["epochs"]
        self._epoch_begun = state["harness"]["epoch_begun"]
        self._measured_steps = state["harness"]["measured_steps"]
        self._measured_samples = state["harness"]["measured_samples"]
        self._measured_s = state["harness"]["measured_s"]
        self._earlier_warmup_s = state["harness"]["warmup_s"]
        self._next_checkpoint = _next_multiple(self._samples, self._settings.checkpoint_every)
        self._stamp()

    @contextmanager
    def phase(self, name: str) -> Iterator[dict[str, Any]]:
        """A phase between its two events; what the body puts into the dict travels with the second."""
        outer, self._context.phase = self._context.phase, name
        self._channel.send("phase", name=name, state="begin")
        begun = time.perf_counter()
        facts: dict[str, Any] = {}
        yield facts
        seconds = time.perf_counter() - begun
        self._phase_s[name] = self._phase_s.get(name, 0.0) + seconds
        self._channel.send("phase", name=name, state="end", seconds=seconds, **facts)
        self._context.phase = outer

    def _begin_epoch(self) -> None:
        self._workload.begin_epoch(self._epochs)
        self._epoch_begun = True

    def _end_epoch(self) -> None:
        self._epochs += 1
        self._epoch_begun = False
        self._stamp()

    def _count(self, last: Step, steps: int, samples: int) -> None:
        self._steps += steps
        self._samples += samples
        self._stamp()

    def _stamp(self) -> None:
        self._channel.step, self._channel.samples = self._steps, self._samples
        self._channel.epoch = self._epoch_fraction()

    def _epoch_fraction(self) -> float:
        size = self._workload.epoch_samples()
        if not size:
            return float(self._epochs)
        return max(float(self._epochs), min(self._samples / size, self._epochs + 1.0))

    def _planned_samples(self) -> int | None:
        """All samples of this run, where they are known beforehand."""
        known = [self._settings.samples] if self._settings.samples else []
        size = self._workload.epoch_samples()
        if self._settings.epochs and size:
            known.append(round(self._settings.epochs * size))
        return min(known) if known else None

    def _planned_end(self) -> bool:
        planned = self._planned_samples()
        if planned is not None and self._samples >= planned:
            return True
        return bool(self._settings.epochs) and self._epochs >= (self._settings.epochs or 0)

    def _samples_to_pause(self) -> int:
        """Samples until something is due: the planned end, an evaluation or a checkpoint."""
        due = min(self._next_evaluation, self._next_checkpoint, self._planned_samples() or _NEVER)
        return max(1, due - self._samples)

    def _send_window(self, samples: int, seconds: float, partial: bool, total: int) -> None:
        loss = None if self._device.capabilities.asynchronous and not partial else self._workload.training_loss()
        if loss is not None and not math.isfinite(loss):
            raise RunFailed(
                f"the training loss is {loss} after {self._samples} samples", hint="try a lower learning rate"
            )
        self._channel.send(
            "window",
            phase="measure",
            index=self._window_index,
            window_samples=samples,
            total=total,
            seconds=seconds,
            loss=loss,
            partial=partial,
        )
        self._window_index += 1


def percentile(values: list[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _next_multiple(samples: int, every: int | None) -> int:
    return _NEVER if every is None else (samples // every + 1) * every
