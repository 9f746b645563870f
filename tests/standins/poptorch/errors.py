"""PopTorch's errors: type, message and location stand on the class, as its C++ side sets them."""

from __future__ import annotations

from typing import Optional


class Error(Exception):
    type = "poptorch_cpp_error"
    message = ""
    location: Optional[str] = None

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.message = text


class RecoverableError(Error):
    recovery_action = ""


class UnrecoverableError(Error):
    pass
