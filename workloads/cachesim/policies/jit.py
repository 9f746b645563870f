"""The one way this package compiles a function: numba without the GIL, kept in numba's cache folder.

No fast mathematics, no parallel threads: a simulation uses one core and its counts are exact. The cache folder is
numba's own choice (`NUMBA_CACHE_DIR` moves it). Numba renews a cached function when the file that holds it changes,
not when a helper in another file does: after editing a helper here, remove the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """`function`, compiled at its first call for the types of its arguments.

    Where numba finds no folder to keep its cache in, each process compiles anew.
    """
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast(F, numba.njit(nogil=True)(function))
