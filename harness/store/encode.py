"""Rows into SQL and back: the statements of each table, the values that go into them, and what is read from them."""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.store import rows
from harness.store.rows import Row, SeriesRow

Value = str | int | float | None
_KEPT = ("first_seen",)  # written once, whatever comes later


@dataclass(frozen=True, slots=True)
class Table:
    """How rows of one class are written and read. `encoders` and `decoders` follow `columns`."""

    kind: type[Row]
    name: str
    columns: tuple[str, ...]
    encoders: tuple[Callable[[Any], Value], ...]
    decoders: tuple[Callable[[Any], Any], ...]
    upsert: str

    def values(self, row: Row) -> tuple[Value, ...]:
        return tuple(encode(getattr(row, column)) for column, encode in zip(self.columns, self.encoders, strict=True))

    def row(self, values: Sequence[Value]) -> Any:
        """The row of `values`, which follow `columns`."""
        return self.kind(
            **{column: decode(value) for column, decode, value in zip(self.columns, self.decoders, values, strict=True)}
        )

    def encode(self, column: str, value: Any) -> Value:
        """The value for one column. Raises KeyError where there is no such column."""
        return dict(zip(self.columns, self.encoders, strict=True))[column](value)


def table_of(kind: type[Row]) -> Table:
    """The table of a row class other than SeriesRow, whose points go to a table of their own."""
    return tables_by_name()[kind.table]


@cache
def tables_by_name() -> Mapping[str, Table]:
    return {kind.table: _table(kind) for kind in typing.get_args(Row) if kind is not SeriesRow}


def _table(kind: type[Row]) -> Table:
    hints = typing.get_type_hints(kind)
    columns = tuple(field.name for field in dataclasses.fields(kind))
    coders = [_coders(hints[column]) for column in columns]
    return Table(
        kind,
        kind.table,
        columns,
        tuple(encoder for encoder, _ in coders),
        tuple(decoder for _, decoder in coders),
        # An upsert, not INSERT OR REPLACE: that deletes the old row first, and all its children with it.
        upsert_statement(kind.table, columns, kind.key),
    )


def upsert_statement(table: str, columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    """INSERT that replaces the other columns where the key is there already. No key: it always inserts."""
    names = ", ".join(map(quoted, columns))
    insert = f"INSERT INTO {quoted(table)} ({names}) VALUES ({', '.join('?' * len(columns))})"
    if not key:
        return insert
    others = [column for column in columns if column not in key and column not in _KEPT]
    action = "UPDATE SET " + ", ".join(f"{quoted(c)} = excluded.{quoted(c)}" for c in others) if others else "NOTHING"
    return f"{insert} ON CONFLICT ({', '.join(map(quoted, key))}) DO {action}"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def json_text(value: Any) -> str:
    """Compact JSON with sorted keys, so that equal labels are equal text; numbers that are not finite become null."""
    return text(json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def text(value: str) -> str:
    """TEXT: bytes of a log that were no UTF-8 (lone surrogates here) become question marks."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def number(value: float | None) -> float | None:
    """A REAL: what is not finite was not measured."""
    return None if value is None or not math.isfinite(value) else float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(inner) for inner in value)
    return str(value) if isinstance(value, Path) else value


def _coders(hint: Any) -> tuple[Callable[[Any], Value], Callable[[Any], Any]]:
    """How a field of this type is stored, and read back."""
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    base = parts[0] if isinstance(hint, types.UnionType) and len(parts) == 1 else hint
    origin = typing.get_origin(base)
    if origin is tuple:
        return json_text, lambda stored: tuple(json.loads(stored))
    if origin is Mapping:
        return json_text, json.loads
    if base is float:
        return number, _same
    if base is bool:
        return _flag, lambda stored: None if stored is None else bool(stored)
    if base is int:
        return _whole, _same
    return _words, _same


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _whole(value: int | None) -> int | None:
    return None if value is None else operator.index(value)  # 3.7 is a mistake here, not a 3


def _words(value: str | None) -> str | None:
    return None if value is None else text(value)


def _same(value: Value) -> Value:
    return value


def series_statements() -> tuple[str, str, str]:
    """(insert the series, find its number, put a point)."""
    columns = ("run_id", "name", "labels", "axis", "unit")
    return (
        upsert_statement(rows.SeriesRow.table, columns, rows.SeriesRow.key),
        "SELECT id FROM series WHERE run_id = ? AND name = ? AND labels = ?",
        upsert_statement("point", ("series_id", "index", "x", "y"), ("series_id", "index")),
    )
