"""A worker that speaks the protocol and misbehaves as asked: `params.behaviour` of each cell's spec.

Like the real one it dies with its parent: by the kernel's signal, and by the end of its channel.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from harness.execution.events import encode


class Worker:
    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.reader = self.socket.makefile("rb")
        self.seq = self.step = self.samples = 0
        self.stopping = self.skipping = False
        self.given: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.start: dict[str, Any] = json.loads(self.reader.readline())
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != self.start["orchestrator_pid"]:
            os._exit(71)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        for line in self.reader:
            message = json.loads(line)
            kind = message["type"]
            if kind in ("cell", "enough", "stop"):
                self.given.put(message.get("cell"))
            self.stopping = self.stopping or kind == "stop"
            self.skipping = self.skipping or kind == "skip_cell"
        os._exit(71)

    def send(self, type: str, **body: Any) -> None:
        line = encode(
            type, seq=self.seq, t=time.monotonic(), wall=time.time(), step=self.step, samples=self.samples,
            epoch=self.samples / 1000, body=body,
        )  # fmt: skip
        self.seq += 1
        self.socket.sendall(line)

    def run(self) -> int:
        rank = self.start["rank"]
        self.send("hello", pid=os.getpid(), rank=rank, python="3.11.0")
        if self.start.get("job") == "ceilings":
            self.send("metric", name="stream_bytes_per_s", value=1e10, unit="")
            self.send("metric", name="matrix_flops{precision=fp32}", value=1e11, unit="")
            self.send("done")
            return 0
        self.send("environment", values={"device": {"name": "fake"}, "device_kind": "emulated"})
        code = 0
        cells = list(self.start["cells"])
        while cells:
            cell = cells.pop(0)
            self.skipping = False
            self.step = self.samples = 0
            self.send("cell", cell=cell["cell"], run=cell["run"], state="begin")
            params = cell["spec"]["params"]
            behaviour = params["behaviour"]
            if params["only_repeat"] not in (None, cell["repeat"]):
                behaviour = "normal"
            code = self.cell(cell, params, behaviour) or code
            if self.stopping:
                break
            if not cells and self.start["more"] and (given := self.given.get()) is not None:
                cells.append(given)
        self.send("done")
        return code

    def cell(self, cell: dict[str, Any], params: dict[str, Any], behaviour: str) -> int:
        rank = self.start["rank"]
        named = {"cell": cell["cell"], "run": cell["run"]}
        self.phase("setup", "begin")
        time.sleep(params["setup_s"])
        if behaviour == "usage":
            self.send("error", message="data/x.tsv:3: column 2 holds 'q'", kind="data", hint="fix it", exit_code=2)
            self.send("cell", **named, state="failed")
            return 2
        self.send("data", fingerprint="f00d", kind="generated", rows=100)
        self.send("engine", values={"engine_resolved": "fake", "precision": "fp32"})
        self.send("engine", values={"work": {"flops": 1e6, "stream_bytes": 1e6}})
        print("printed by a library", flush=True)
        self.phase("setup", "end", seconds=params["setup_s"])
        self.phase("warmup", "begin")
        self.phase("warmup", "end", seconds=0.5)
        self.phase("measure", "begin")
        if behaviour == "marked":
            with open(os.environ["FAKE_MARK"], "a") as marks:  # noqa: PTH123
                marks.write(f"{os.getpid()}\n")
        endless = behaviour in ("endless", "marked", "ignore_stop")
        index = 0
        while index < params["windows"] or endless:
            time.sleep(params["pause_s"])
            self.step += 10
            self.samples += 100 * (rank + 1)
            self.send(
                "window", phase="measure", index=index, window_samples=100 * (rank + 1), seconds=params["pause_s"],
                loss=1.0 / (index + 1),
            )  # fmt: skip
            index += 1
            if (self.stopping or self.skipping) and behaviour != "ignore_stop":
                break
            if index == 2:
                self.misbehave(behaviour, rank)
        steps, samples = self.step, self.samples
        self.phase(
            "measure", "end", seconds=index * params["pause_s"], segment_samples=samples, segment_steps=steps,
            segment_seconds=index * params["pause_s"] * (1 + rank),
        )  # fmt: skip
        if not (self.stopping or self.skipping):
            self.phase("evaluate", "begin")
            if rank == 0:
                self.send("metric", name="auc", value=0.75, unit="", better="higher", role="gate", kind="difference",
                          phase="evaluate", labels={})  # fmt: skip
                self.send("series", name="curve", axis="samples", unit="", x=[1, 2], y=[0.5, None])
                file = os.path.join(cell["output_dir"], "predictions.csv")  # noqa: PTH118
                os.makedirs(cell["output_dir"], exist_ok=True)  # noqa: PTH103
                with open(file, "w") as out:  # noqa: PTH123
                    out.write("p\n")
                self.send("artifact", kind="predictions", path=file)
                self.send("checkpoint", path=file)
            self.phase("evaluate", "end", seconds=0.25)
        self.send("metric", name="memory_peak_bytes", value=1e6 + rank, unit="B", phase="measure", labels={})
        self.phase("teardown", "begin")
        self.phase("teardown", "end", seconds=0.0)
        self.send("cell", **named, state="end")
        if behaviour == "segfault_after":
            self.send("done")
            os.kill(os.getpid(), signal.SIGSEGV)
        return 0

    def phase(self, name: str, state: str, **facts: Any) -> None:
        self.send("phase", name=name, state=state, **facts)

    def misbehave(self, behaviour: str, rank: int) -> None:
        if behaviour == "kill" or (behaviour == "kill_rank_1" and rank == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        elif behaviour == "exit":
            os._exit(3)
        elif behaviour == "raise":
            self.send("error", message="ValueError: no", kind="internal", hint=None, exit_code=1, traceback="trace")
            self.send("done")
            sys.exit(1)
        elif behaviour == "silent":
            time.sleep(600)
        elif behaviour == "deaf":  # holds out against SIGTERM, with a child of its own in its group
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            child = subprocess.Popen(["sleep", "600"])
            self.send("log", level="info", text=f"child {child.pid}")
            time.sleep(600)
        elif behaviour == "garbage":
            self.socket.sendall(b'library noise\n{"half": \n\xff\xfe\n')
        elif behaviour == "flood":
            self.socket.sendall(b"noise\n" * 1500)
            time.sleep(600)
        elif behaviour == "endless_line":
            for _ in range(65 * 16):
                self.socket.sendall(b"x" * 65536)
            time.sleep(600)
        elif behaviour == "lost":
            self.seq += 2
        elif behaviour == "partial":
            self.socket.sendall(b'{"v": 1, "seq"')
            os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int)
    sys.exit(Worker(parser.parse_args().channel).run())
