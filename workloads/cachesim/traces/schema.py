"""What is known of the tables a trace looks into: name, rows, dimension and type, so that rows become bytes.

A schema comes from the source (Parquet column names, the sizes of recorded modules) or from a small file:

    [default]              name,rows,dim,dtype
    dim = 128              C1,1460,16,fp32
    dtype = "fp16"         C2,583,16,fp32

    [[table]]
    name = "C1"
    rows = 1460

The left is TOML, in which `default` fills what a table leaves out and may stand alone; the right is CSV.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.api import DataError, UsageError
from harness.errors import did_you_mean

# Bits of an element, and the bytes of scale and bias before a quantised row (FBGEMM's table-batched embeddings keep
# both as fp16).
_ELEMENT_BITS = {"fp64": 64, "fp32": 32, "fp16": 16, "bf16": 16, "int8": 8, "int4": 4, "int2": 2}
_SCALE_AND_BIAS_BYTES = {"int8": 4, "int4": 4, "int2": 4}
_ALIASES = {
    "float64": "fp64",
    "double": "fp64",
    "float32": "fp32",
    "float": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "uint8": "int8",
}
_FIELDS = ("name", "rows", "dim", "dtype")


@dataclass(frozen=True, slots=True)
class Table:
    """One embedding table. What is not known of it is None."""

    name: str
    rows: int | None = None  # of the table itself, however few of them a trace touches
    dim: int | None = None
    dtype: str | None = None

    def row_bytes(self) -> int:
        """Bytes of one row. Raises UsageError where dimension or type is not known."""
        if self.dim is None or self.dtype is None:
            missing = " and ".join(
                word for word, value in (("dimension", self.dim), ("type", self.dtype)) if value is None
            )
            raise UsageError(
                f"bytes were asked for, but the {missing} of table {self.name!r} is not known",
                hint='give a schema: a TOML file with [default] dim = 128 and dtype = "fp16", say',
            )
        return (self.dim * _ELEMENT_BITS[self.dtype] + 7) // 8 + _SCALE_AND_BIAS_BYTES.get(self.dtype, 0)


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a trace, in the order of their numbers."""

    tables: tuple[Table, ...]

    @classmethod
    def unnamed(cls, count: int) -> Schema:
        """Tables called t0, t1, … of which nothing is known."""
        return cls(tuple(Table(f"t{number}") for number in range(count)))

    def __len__(self) -> int:
        return len(self.tables)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(table.name for table in self.tables)

    @property
    def table_rows(self) -> int | None:
        """Rows of all tables together, None unless each is known."""
        rows = [table.rows for table in self.tables]
        return None if None in rows else sum(each for each in rows if each is not None)

    def row_bytes(self) -> tuple[int, ...]:
        """Bytes of a row, for each table. Raises UsageError where a table's dimension or type is not known."""
        return tuple(table.row_bytes() for table in self.tables)

    def widest_row_bytes(self) -> int:
        """What a unified cache charges for any row, as FBGEMM's does."""
        return max(self.row_bytes())

    def index(self, name: str) -> int:
        """The number of the table called `name`."""
        if name not in self.names:
            raise UsageError(f"the trace has no table {name!r}", hint=did_you_mean(name, self.names))
        return self.names.index(name)

    def filled(self, other: Schema) -> Schema:
        """This schema, with what it leaves open taken from `other` (same number of tables)."""
        return Schema(
            tuple(
                Table(
                    mine.name,
                    mine.rows if mine.rows is not None else theirs.rows,
                    mine.dim if mine.dim is not None else theirs.dim,
                    mine.dtype if mine.dtype is not None else theirs.dtype,
                )
                for mine, theirs in zip(self.tables, other.tables, strict=True)
            )
        )

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(table) for table in self.tables]

    @classmethod
    def from_json(cls, value: Sequence[Mapping[str, Any]]) -> Schema:
        return cls(tuple(Table(**{name: each.get(name) for name in _FIELDS}) for each in value))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """What a file says: named tables, and a default for all the others."""

    path: Path
    tables: tuple[Table, ...]
    default: Table | None

    def apply(self, source: Schema) -> Schema:
        """`source` with this file's facts: by name where the names agree, else by place where the number does.

        Raises DataError when neither fits.
        """
        known = {table.name: table for table in self.tables}
        if self.tables and not set(known) & set(source.names):
            if len(self.tables) != len(source):
                raise DataError(
                    f"{self.path} describes {_tables(len(self.tables))}, the trace has {_tables(len(source))} "
                    f"({', '.join(source.names[:5])}{', …' if len(source) > 5 else ''})",
                    hint="use the names of the trace, or describe all tables in their order",
                )
            described = self.tables
        else:
            strange = [name for name in known if name not in source.names]
            if strange:
                raise DataError(
                    f"{self.path} describes the table {strange[0]!r}, which the trace does not have",
                    hint=did_you_mean(strange[0], source.names),
                )
            described = tuple(known.get(name, Table(name)) for name in source.names)
        result = Schema(described).filled(source)
        if self.default is not None:
            default = self.default
            result = result.filled(Schema(tuple(replace(default, name=table.name) for table in result.tables)))
        return result


def read_schema(path: Path) -> SchemaFile:
    """A schema file, TOML or CSV by its ending. Raises DataError naming file, place and value."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(
            f"the schema {path} does not exist", hint=did_you_mean(path.name, beside) if beside else "check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"the schema {path} is no text in UTF-8", hint="expected TOML or CSV") from error
    except OSError as error:
        raise DataError(f"the schema {path} cannot be read: {error.strerror}") from error
    if path.suffix.lower() == ".toml":
        return _from_toml(path, text)
    if path.suffix.lower() == ".csv":
        return _from_csv(path, text)
    raise DataError(f"the schema {path} ends in {path.suffix!r}, expected .toml or .csv")


def write_schema(schema: Schema, path: Path) -> None:
    """The schema as CSV; what is not known stays empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_FIELDS)
        for table in schema.tables:
            writer.writerow(["" if value is None else value for value in (getattr(table, name) for name in _FIELDS)])


def canonical_dtype(text: str, place: str) -> str:
    """`float16` and the like as this project writes them. Raises DataError with the nearest known type."""
    name = text.removeprefix("torch.").lower()
    name = _ALIASES.get(name, name)
    if name not in _ELEMENT_BITS:
        raise DataError(
            f"{place}: {text!r} is no element type of a table", hint=did_you_mean(name, [*_ELEMENT_BITS, *_ALIASES])
        )
    return name


def _from_toml(path: Path, text: str) -> SchemaFile:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is no TOML: {error}") from error
    for key in content:
        if key not in ("default", "table"):
            raise DataError(f"{path}: unknown key {key!r}", hint=did_you_mean(key, ["default", "table"]))
    entries = content.get("table", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise DataError(f"{path}: tables are written as [[table]], one for each")
    default = content.get("default")
    if default is not None and not isinstance(default, dict):
        raise DataError(f"{path}: the default is written as [default], a table of keys")
    if not entries and not default:
        raise DataError(f"{path} describes no table, expected [default] or [[table]]")
    return SchemaFile(
        path,
        _distinct(path, [_table(each, f"{path}, table {number}") for number, each in enumerate(entries, 1)]),
        None if default is None else _table({"name": "default", **default}, f"{path}, default"),
    )


def _from_csv(path: Path, text: str) -> SchemaFile:
    reader = csv.DictReader(io.StringIO(text))
    if not reader.fieldnames or "name" not in reader.fieldnames:
        raise DataError(f"{path}: the first line must name the columns {','.join(_FIELDS)}, of which name is needed")
    tables = []
    for entry in reader:
        place = f"{path}, line {reader.line_num}"
        if None in entry or None in entry.values():
            raise DataError(f"{place}: another number of fields than the {len(reader.fieldnames)} of the first line")
        values: dict[str, Any] = {}
        for key, value in entry.items():
            if not value:
                continue
            if key in ("rows", "dim"):
                if not value.isascii() or not value.isdigit():
                    raise DataError(f"{place}: {key} is {value!r}, expected a whole number above 0")
                values[key] = int(value)
            else:
                values[key] = value
        tables.append(_table(values, place))
    if not tables:
        raise DataError(f"{path} describes no table")
    return SchemaFile(path, _distinct(path, tables), None)


def _table(entry: Mapping[str, Any], place: str) -> Table:
    for key in entry:
        if key not in _FIELDS:
            raise DataError(f"{place}: unknown key {key!r}", hint=did_you_mean(key, _FIELDS))
    name, dtype = entry.get("name"), entry.get("dtype")
    if not isinstance(name, str) or not name:
        raise DataError(f"{place}: a table needs a name")
    numbers: dict[str, int | None] = {}
    for key in ("rows", "dim"):
        value = entry.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise DataError(f"{place}: {key} is {value!r}, expected a whole number above 0")
        numbers[key] = value
    if dtype is not None and not isinstance(dtype, str):
        raise DataError(f"{place}: dtype is {dtype!r}, expected the name of a type")
    return Table(name, numbers["rows"], numbers["dim"], None if dtype is None else canonical_dtype(dtype, place))


def _distinct(path: Path, tables: list[Table]) -> tuple[Table, ...]:
    seen: set[str] = set()
    for table in tables:
        if table.name in seen:
            raise DataError(f"{path} describes the table {table.name!r} twice")
        seen.add(table.name)
    return tuple(tables)


def _tables(count: int) -> str:
    return f"{count} table" if count == 1 else f"{count} tables"
