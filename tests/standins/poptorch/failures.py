"""What goes wrong on purpose, by POPTORCH_STANDIN_FAIL: `KIND@WHEN`, WHEN being `compile` or the number of a call.

recoverable, unrecoverable and error raise PopTorch's errors; abort and exit end the process; hang stays silent.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from .errors import Error, RecoverableError, UnrecoverableError


def perhaps(when: str) -> None:
    kind, _, due = os.environ.get("POPTORCH_STANDIN_FAIL", "").partition("@")
    if not kind or due != when:
        return
    print("[poplar:warn] a failure was asked for: " + kind, flush=True)
    if kind == "recoverable":
        raised = RecoverableError("In unknown file: The IPU has raised a runtime error: tile exception\nTEXCPT_TILE 12")
        raised.recovery_action = "IPU_RESET"
        raised.type = "poplar_recoverable_runtime_error"
        raised.location = "executable.run"
        raise raised
    if kind == "unrecoverable":
        raise UnrecoverableError("Hardware failure of IPU 3")
    if kind == "error":
        raise Error("Out of memory on tile 7: 812345 bytes used but tiles only have 638976 bytes of memory")
    if kind == "abort":
        sys.stderr.write("terminate called after throwing an instance of 'poplar::link_error'\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGABRT)
    if kind == "exit":
        os._exit(3)
    if kind == "hang":
        time.sleep(600)
