"""Identifiers of experiments, cells and runs: random, short to type, unique by a short prefix."""

from __future__ import annotations

import secrets

_LETTERS = "abcdefghjkmnpqrstvwxyz"  # no i, l, o, u: they look like digits or make words
_ALPHABET = "0123456789" + _LETTERS
_LENGTH = 12  # 31^11 * 22, about 58 bits: a million ids collide with probability 2e-6


def new_id() -> str:
    """Twelve characters, a letter first, so that an id is never read as a number."""
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH - 1))


def short_id(identifier: str) -> str:
    """What tables show; any unique prefix of three or more characters is accepted where an id is asked for."""
    return identifier[:6]
