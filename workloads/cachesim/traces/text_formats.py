"""Readers of text: one id a line, CSV, and the two columns that RecMG's `sample.py` writes.

Ids are signed 64-bit numbers or strings; which of both is told by the first piece of a file (or by the person), and a
later line that does not fit is an error. Numbers beyond 64 bits, hexadecimal ones and the like are strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.api import DataError, UsageError
from harness.errors import did_you_mean
from workloads.cachesim.traces.builder import Block, Column, Requests, Samples, Values
from workloads.cachesim.traces.factorize import TextFactorizer, Texts
from workloads.cachesim.traces.files import ByteSource, lines
from workloads.cachesim.traces.options import ReadOptions
from workloads.cachesim.traces.schema import Schema, Table
from workloads.cachesim.traces.tokens import all_integers, fields, integers, not_empty

RECMG_STRIDE = 1000  # RecMG's sample.py writes "table, row * 1000 + table"
RECMG_HINT = 'expected lines of "table, row * 1000 + table", as RecMG\'s sample.py writes them'
ID_COLUMNS = ("id", "row", "key", "row_id", "obj_id", "object_id", "index", "item_id")
DELIMITERS = ("\t", ";", ",", "|")
AS_TEXT = "if the ids are strings, say so: --id-type text"


def read_lines(path: Path, options: ReadOptions) -> Iterator[Block]:
    """One id a line."""
    with ByteSource(path, progress=options.progress) as source:
        line, as_text = 1, options.id_type == "text"
        for piece, number, last in _with_last(lines(source)):
            piece = _without_blank_end(piece) if last else piece
            (found,) = fields(piece, None, (0,), path, line)
            if number == 0 and options.id_type == "auto":
                as_text = not all_integers(found) and not _has_gap(found)
            values = not_empty(found, path, line) if as_text else integers(found, path, line, hint=AS_TEXT)
            line += len(found)
            if len(found):
                yield Requests(values)
        if line == 1:
            raise DataError(f"{path} has no line with an id")


def read_recmg(path: Path, options: ReadOptions) -> Iterator[Block]:
    """Lines of table and row * 1000 + table. Raises DataError where the two columns contradict each other."""
    with ByteSource(path, progress=options.progress) as source:
        line = 1
        for piece, _, last in _with_last(lines(source)):
            piece = _without_blank_end(piece) if last else piece
            first, second = fields(piece, ",", (0, 1), path, line)
            tables = integers(first, path, line, what="table")
            encoded = integers(second, path, line, what="encoded row", hint=RECMG_HINT)
            wrong = np.flatnonzero((tables < 0) | (encoded < tables) | ((encoded - tables) % RECMG_STRIDE != 0))
            if wrong.size:
                at = int(wrong[0])
                raise DataError(
                    f"{path}, line {line + at}: {encoded[at]} is no row * {RECMG_STRIDE} + {tables[at]}",
                    hint=RECMG_HINT,
                )
            if tables.size and int(tables.max()) >= 1 << 20:
                at = int(tables.argmax())
                raise DataError(f"{path}, line {line + at}: table {tables[at]} of at most {1 << 20}", hint=RECMG_HINT)
            line += len(first)
            yield Requests((encoded - tables) // RECMG_STRIDE, tables, row_numbers=True)


def read_csv(path: Path, options: ReadOptions) -> Iterator[Block]:
    """One column of ids; several, each a table; or one of ids and one that names the table."""
    with ByteSource(path, progress=options.progress) as source:
        layout: _Layout | None = None
        line = 1
        kinds: dict[int, bool] = {}
        names = TextFactorizer()
        for piece, _, last in _with_last(lines(source)):
            piece = _without_blank_end(piece) if last else piece
            if layout is None:
                layout = _layout(piece, path, options)
                if layout.header:
                    piece = piece[piece.index(b"\n") + 1 :]
                    line += 1
            if not piece:
                continue
            wanted = layout.columns if layout.table is None else (*layout.columns, layout.table)
            found = fields(piece, layout.delimiter, wanted, path, line)
            values = [
                _values(each, column, kinds, path, line, options)
                for column, each in zip(layout.columns, found, strict=False)
            ]
            count = len(found[0])
            if layout.table is not None:
                tables = names.add(not_empty(found[-1], path, line)).astype(np.int64)
                yield Requests(values[0], tables)
            elif len(values) == 1:
                yield Requests(values[0], schema=layout.schema)
            else:
                yield Samples([Column(each) for each in values], count, layout.schema)
            line += count
        if layout is None or line == 1 + layout.header:
            raise DataError(f"{path} has no line with an id")


def sniff_csv_delimiter(first: bytes) -> str:
    """The first of tab, semicolon, comma and bar that a line holds; a comma where it holds none."""
    return next((each for each in DELIMITERS if each.encode() in first), ",")


def looks_like_recmg(piece: bytes) -> bool:
    """Whether the first lines are two numbers that agree as RecMG's do."""
    for line in piece.split(b"\n")[:20]:
        parts = line.split(b",")
        if not line:
            continue
        try:
            table, encoded = (int(part) for part in parts)
        except ValueError:
            return False
        if table < 0 or encoded < table or (encoded - table) % RECMG_STRIDE:
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Layout:
    delimiter: str
    header: bool
    columns: tuple[int, ...]
    table: int | None
    schema: Schema | None


def _layout(piece: bytes, path: Path, options: ReadOptions) -> _Layout:
    """Which fields hold ids, from the options and the first line."""
    first = piece[: piece.index(b"\n")]
    delimiter = options.delimiter or sniff_csv_delimiter(first)
    if len(delimiter) != 1 or not delimiter.isascii():
        raise UsageError(f"the delimiter {delimiter!r} must be one ASCII character")
    count = first.count(delimiter.encode()) + 1
    cells = fields(first + b"\n", delimiter, tuple(range(count)), path, 1)
    names = [cell.text(0).strip('"') for cell in cells]
    wanted = (*options.columns, *([options.table_column] if options.table_column is not None else []))
    by_name = [name for name in wanted if not name.isdigit()]
    header = bool(by_name) or not any(all_integers(cell) for cell in cells)
    if header and not by_name and options.id_type == "text" and count == 1 and names[0] not in ID_COLUMNS:
        header = False  # a single column of strings, of which the first is no usual name
    chosen = [_column(name, names, count, path) for name in options.columns]
    table = None if options.table_column is None else _column(options.table_column, names, count, path)
    if not chosen:
        usual = [number for number, name in enumerate(names) if header and name.lower() in ID_COLUMNS]
        if count == 1:
            chosen = [0]
        elif usual:
            chosen = usual[:1]
        elif header:
            raise DataError(
                f"{path} has the columns {', '.join(names[:8])}{', …' if count > 8 else ''}; "
                "say which of them hold ids",
                hint="for example --columns C1,C2 (each a table)",
            )
        else:
            raise DataError(f"{path} has {count} columns; say which of them hold ids", hint="for example --columns 1")
    if table is not None and len(chosen) != 1:
        raise UsageError(f"a table column needs one column of ids, not {len(chosen)}")
    schema = None
    if table is None and header:
        schema = Schema(tuple(Table(names[number]) for number in chosen))
    return _Layout(delimiter, header, tuple(chosen), table, schema)


def _column(name: str, names: list[str], count: int, path: Path) -> int:
    if name in names:
        return names.index(name)
    if name.isdigit():
        if not 1 <= int(name) <= count:
            raise DataError(f"{path} has {count} columns, column {name} was asked for", hint="columns count from 1")
        return int(name) - 1
    raise DataError(f"{path} has no column {name!r}", hint=did_you_mean(name, names))


def _values(found: Texts, column: int, kinds: dict[int, bool], path: Path, line: int, options: ReadOptions) -> Values:
    if column not in kinds:
        kinds[column] = options.id_type == "text" or (
            options.id_type == "auto" and not all_integers(found) and not _has_gap(found)
        )
    if kinds[column]:
        return not_empty(found, path, line)
    return integers(found, path, line, what=f"id in column {column + 1}", hint=AS_TEXT)


def _has_gap(found: Texts) -> bool:
    """Whether a field is empty while the others are numbers: then the gap is the error, not the numbers."""
    full = np.flatnonzero(found.starts != found.ends)
    return full.size < len(found) and all_integers(found[full])


def _with_last(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, int, bool]]:
    """Each piece, its number and whether it is the last."""
    held: bytes | None = None
    number = 0
    for piece in pieces:
        if held is not None:
            yield held, number, False
            number += 1
        held = piece
    if held is not None:
        yield held, number, True


def _without_blank_end(piece: bytes) -> bytes:
    """Blank lines at the end of a file are no ids."""
    content = piece.rstrip(b"\r\n")
    return content + b"\n" if content else b""
