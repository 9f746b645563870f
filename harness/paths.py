"""Where things lie: caches, the user's configuration, shipped profiles, sockets and locks.

Every folder can be moved by an environment variable, so that tests and shared machines keep apart.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import harness
from harness.errors import UsageError


def cache_dir() -> Path:
    """Parsed inputs and ceilings; safe to delete. `RECBENCH_CACHE` moves it."""
    return _folder("RECBENCH_CACHE", "XDG_CACHE_HOME", Path.home() / ".cache")


def config_file() -> Path:
    """The user's own defaults, a TOML file. `RECBENCH_CONFIG` names another."""
    named = os.environ.get("RECBENCH_CONFIG")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "recbench" / "config.toml"


def user_profiles_dir() -> Path:
    """The user's own profiles, searched before the shipped ones."""
    return config_file().parent / "profiles"


def runtime_dir() -> Path:
    """Sockets and locks of running experiments: short-lived, private to the user. `RECBENCH_RUNTIME` moves it.

    It is never on a network file system: XDG_RUNTIME_DIR where there is one, else a folder in the system's
    temporary directory. Unix socket addresses are limited to 107 bytes, so it is short.
    """
    named = os.environ.get("RECBENCH_RUNTIME")
    if named:
        folder = Path(named)
    elif os.environ.get("XDG_RUNTIME_DIR") and os.access(os.environ["XDG_RUNTIME_DIR"], os.W_OK):
        folder = Path(os.environ["XDG_RUNTIME_DIR"]) / "recbench"
    else:
        folder = Path(tempfile.gettempdir()) / f"recbench-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise UsageError(
            f"{folder} belongs to somebody else, and recbench keeps its sockets there",
            hint="name a folder of your own in RECBENCH_RUNTIME",
        )
    return folder


def measurement_lock() -> Path:
    """The machine-wide lock that keeps two measurements apart, whoever runs them."""
    named = os.environ.get("RECBENCH_RUNTIME")
    return (Path(named) if named else Path(tempfile.gettempdir())) / "recbench-measurement.lock"


def profiles_dir() -> Path:
    """The shipped profiles: inside the installed package, or at the top of a checkout."""
    package = Path(harness.__file__).resolve().parent
    packaged = package / "_profiles"
    return packaged if packaged.is_dir() else package.parent / "profiles"


def checkout() -> Path | None:
    """The top of the checkout that this code runs from, or None for an installed wheel."""
    top = Path(harness.__file__).resolve().parent.parent
    return top if (top / "pyproject.toml").is_file() and (top / ".git").exists() else None


def default_database() -> Path:
    """`results.db` in the working folder."""
    return Path("results.db")


def output_dir(database: Path) -> Path:
    """Where the artifacts, logs and checkpoints of a database's runs lie: beside it."""
    return database.resolve().parent / "recbench-output"


def _folder(variable: str, base_variable: str, fallback: Path) -> Path:
    named = os.environ.get(variable)
    folder = Path(named) if named else Path(os.environ.get(base_variable) or fallback) / "recbench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
