"""A trace's report as text: figures, bars for the histograms, a line for each table. For the terminal and for files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workloads.cachesim.inspect import Histogram, Pooling, Skew, TableReport, TraceReport

BLOCKS = " ▏▎▍▌▋▊▉█"
TABLES_SHOWN = 30


def report_lines(report: TraceReport, *, width: int = 80, tables: int = TABLES_SHOWN) -> list[str]:
    """The report, no line wider than `width` (at least 60); of many tables those with most requests."""
    width = max(width, 60)
    lines = [*_figures(report), ""]
    lines += ["lookups a row (share of rows)", *_bars(report.row_requests, width), ""]
    median = _median(report.reuse_time_median)
    lines += [f"reuse time in requests{median} (share of reuses)", *_bars(report.reuse_time, width), ""]
    median = _median(report.reuse_distance_median)
    lines += [
        f"reuse distance in distinct rows{median} (share of reuses)",
        *_bars(report.reuse_distance, width),
    ]
    if len(report.tables) > 1:
        lines += ["", *_tables(report.tables, width, tables)]
    return [line[:width].rstrip() for line in lines]


def _figures(report: TraceReport) -> Iterator[str]:
    def line(name: str, text: str) -> str:
        return f"{name:<22}{text}"

    yield line("requests", f"{report.requests:,}")
    yield line("unique rows", f"{report.unique:,} ({report.requests_per_row:.2f} requests each)")
    if report.unique_bytes is not None:
        yield line("bytes of those", f"{report.unique_bytes:,}")
    yield line("tables", f"{len(report.tables):,}")
    if report.samples is not None:
        yield line("samples", f"{report.samples:,}")
    if report.batches is not None:
        yield line("batches", f"{report.batches:,}")
    yield line("order", report.order)
    if report.pooling is not None:
        yield line("pooling", _pooling(report.pooling))
    skew = report.skew
    yield line("hottest row", f"{skew.hottest_share:.2%} of requests")
    yield line("hottest 1 % of rows", f"{skew.hot_1_percent_share:.1%} of requests")
    yield line("hottest 10 % of rows", f"{skew.hot_10_percent_share:.1%} of requests")
    yield line("rows looked up once", f"{skew.once_rows_share:.1%} ({skew.once_requests_share:.1%} of requests)")
    yield line("Zipf exponent", _exponent(skew))
    known = report.successors
    if known.next is not None and known.within is not None:
        yield line("next row foretold", f"{known.next:.2%} (by chance {known.next_chance:.2%})")
        yield line(f"  within {known.window}", f"{known.within:.2%} (by chance {known.within_chance:.2%})")


def _bars(histogram: Histogram, width: int) -> Iterator[str]:
    if not histogram.total:
        yield "  none"
        return
    shares = histogram.shares()
    labels = [Histogram.label(bin_) for bin_ in range(len(shares))]
    label_width = max(len(label) for label in labels)
    room = width - label_width - 11
    largest = max(shares)
    for label, share in zip(labels, shares, strict=True):
        yield f"  {label:>{label_width}} {share:7.2%} {_bar(share / largest, room)}"


def _bar(share: float, room: int) -> str:
    eighths = round(share * room * 8)
    whole, part = divmod(eighths, 8)
    return (BLOCKS[8] * whole + BLOCKS[part]).rstrip()


def _tables(tables: Sequence[TableReport], width: int, shown: int) -> Iterator[str]:
    names = max(5, min(20, max(len(table.name) for table in tables), width - 60))
    yield f"{'table':<{names}} {'requests':>14} {'unique':>11} {'pooling':>8} {'hot 1 %':>8} {'once':>7} {'Zipf':>6}"
    for table in sorted(tables, key=lambda each: -each.requests)[:shown]:
        pooling = "" if table.pooling is None else f"{table.pooling.mean:.2f}"
        skew = table.skew
        shares = ("", "") if skew is None else (f"{skew.hot_1_percent_share:.1%}", f"{skew.once_rows_share:.1%}")
        exponent = "" if skew is None else _exponent(skew)
        yield (
            f"{table.name[:names]:<{names}} {table.requests:>14,} {table.unique:>11,} {pooling:>8} "
            f"{shares[0]:>8} {shares[1]:>7} {exponent:>6}"
        )
    if len(tables) > shown:
        yield f"… and {len(tables) - shown} more tables with fewer requests"


def _pooling(pooling: Pooling) -> str:
    return f"{pooling.mean:.2f} lookups a bag, at most {pooling.largest:,}, {pooling.empty_share:.1%} of bags empty"


def _exponent(skew: Skew) -> str:
    return "" if skew.zipf_exponent is None else f"{skew.zipf_exponent:.2f}"


def _median(value: int | None) -> str:
    return "" if value is None else f", median {value:,}"
