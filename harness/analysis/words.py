"""Results as words and numbers that a person reads: signs, digits that the interval supports, who is faster.

The sentences of a comparison are part of its result (scripts read them in JSON), so they are made here and not in a
report; every report takes its digits from here too.
"""

from __future__ import annotations

import math
import re

from harness.store.records import Better

TIMES = "×"
EQUAL = "equal"
_MINUS = "−"
_ENERGY = re.compile(r"\b(?:[km]?j|kwh|[km]?w)\b", re.IGNORECASE)
_TIME = re.compile(r"\b(?:s|sec|seconds?|ms|us|µs|ns|min|minutes?|h|hours?|[kmg]?hz)\b", re.IGNORECASE)
_ACCURACY = re.compile(r"g?auc|accuracy|log_loss|normalized_entropy|precision|recall|f1|dice|iou")


def base_name(key: str) -> str:
    """`hit_ratio` of `hit_ratio{policy=lru}`."""
    return key.split("{", 1)[0]


def is_timed(unit: str) -> bool:
    """Whether a unit holds time, power or energy: only such metrics drift with the speed of the machine."""
    return bool(_TIME.search(unit) or _ENERGY.search(unit))


def qualities(key: str, unit: str) -> tuple[str, str, str]:
    """What B is when it is better, when it is worse, and when it is the same."""
    if _ACCURACY.fullmatch(base_name(key)):
        return "more accurate", "less accurate", "as accurate"
    if unit.lower() in {"bytes", "b"}:
        return "smaller", "larger", "as large"
    if _TIME.search(unit) and not _ENERGY.search(unit):
        return "faster", "slower", "as fast"
    return "better", "worse", "as good"


def direction(better: Better) -> int:
    """+1 where higher is better, -1 where lower is, 0 where neither is."""
    return {"higher": 1, "lower": -1, "none": 0}[better]


def decimals(half_width: float | None, *, least: int, most: int) -> int:
    """So many decimals that the uncertainty shows one digit, or two where the first is a one."""
    if half_width is None or not math.isfinite(half_width) or half_width <= 0:
        return most if half_width == 0 else least + 1
    power = math.floor(math.log10(half_width))
    leading_one = half_width < 2 * 10.0**power
    return min(most, max(least, leading_one - power))


def ratio_text(value: float, low: float | None = None, high: float | None = None) -> str:
    """`×1.31 [1.27, 1.36]`; `equal` where no digit differs anywhere."""
    if value == low == high == 1:
        return EQUAL
    places = decimals(_half(low, high, least=value * 0.01), least=2, most=4)
    text = f"{TIMES}{value:.{places}f}"
    if low is not None and high is not None:
        text += f" [{low:.{places}f}, {high:.{places}f}]"
    return text


def difference_text(value: float, low: float | None = None, high: float | None = None) -> str:
    """`+0.0021 [+0.0012, +0.0030]`; `equal` where no digit differs anywhere."""
    if value == low == high == 0:
        return EQUAL
    if value == 0 and low is None:
        return "±0"
    places = decimals(_half(low, high, least=abs(value) * 0.1), least=0, most=6)
    text = signed(value, places)
    if low is not None and high is not None:
        text += f" [{signed(low, places)}, {signed(high, places)}]"
    return text


def signed(value: float, places: int) -> str:
    """With a sign always, a real minus, and no negative zero."""
    text = f"{value:+.{places}f}"
    if not text.strip("+-0."):
        return "±" + text[1:]
    return text.replace("-", _MINUS)


def percent(fraction: float) -> str:
    """`2 %`, `0.5 %`, `12 %`."""
    return f"{float(f'{100 * fraction:.2g}'):g} %"


def p_text(p: float) -> str:
    """`p = 0.008`, `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2f}" if p >= 0.1 else f"p = {p:.2g}"


def confidence_text(confidence: float) -> str:
    """`96.8 %`: rounded down, so that no confidence is claimed that was not attained."""
    return f"{math.floor(confidence * 1000) / 10:g} %"


_KEYS = {
    "load.foreign_cpu_share": "other processes' share of the processor",
    "load.load1": "load average",
    "face": "how it was watched",
}


def plain_key(key: str) -> str:
    """`torch.version` of `environment.torch.version`; what only the database calls so is put into words."""
    return _KEYS.get(key, key.removeprefix("environment."))


def counted(n: int, noun: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(parts: list[str], conjunction: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) <= 1:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {conjunction} {parts[-1]}"


def shortened(value: object, width: int = 40) -> str:
    """A value on one line; nothing measured or not there is `none`."""
    text = whole(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def whole(value: object) -> str:
    """A value on one line, not cut; nothing measured or not there is `none`."""
    return "none" if value is None else " ".join(str(value).split())


def _half(low: float | None, high: float | None, *, least: float) -> float | None:
    if low is None or high is None:
        return least
    return (high - low) / 2


def rows_text(rows: int, rate_unit: str | None) -> str:
    """`600,000 rows`, or in the mode's own word for what it counts: `1,245,184 requests`."""
    word = (rate_unit or "").removesuffix("/s")
    return f"{rows:,} {word if word not in ('', 'samples') else 'rows'}"


def setting_text(value: object) -> str:
    """A setting as a person would type it: `512,256,1`, `true`, `–` for what is not set."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(setting_text(part) for part in value) or "–"
    return str(value)
