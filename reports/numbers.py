"""How numbers are written: as many digits as their interval supports."""

from __future__ import annotations

import math
from datetime import datetime

from audit.core.measurements import Interval, Measurement

_MINUS = "\N{MINUS SIGN}"


def decimals_for(half_width: float) -> int:
    """Return how many decimals show two significant digits of a half-width.

    >>> decimals_for(0.034), decimals_for(1.2), decimals_for(250.0)
    (3, 1, 0)
    """
    return max(0, 1 - _exponent(half_width))


def plain(value: float) -> str:
    """Return a number nobody gave an interval for, to four significant digits.

    >>> plain(0.123456), plain(-1234567.0), plain(0.0), plain(2.0), plain(1e-9)
    ('0.1235', '−1,234,567', '0', '2', '1e−9')
    """
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        return _scientific(value, 3)
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return _signed(text.rstrip("0").rstrip(".") if "." in text else text)


def together(value: float, low: float, high: float) -> tuple[str, str, str]:
    """Return a value and the ends of its interval, all to the digits the interval's width supports.

    >>> together(0.61234, 0.5871, 0.6402)
    ('0.612', '0.587', '0.640')
    >>> together(31.4159, 29.0, 34.0)
    ('31.4', '29.0', '34.0')
    >>> together(0.0, 0.0, 0.0)
    ('0', '0', '0')
    """
    half = (high - low) / 2
    largest = max(abs(value), abs(low), abs(high))
    if half == 0 or half < largest * 1e-9:
        return plain(value), plain(low), plain(high)
    if largest < 1e-4 or largest >= 1e9:
        digits = max(1, min(6, _exponent(largest) - _exponent(half) + 1))
        return _scientific(value, digits), _scientific(low, digits), _scientific(high, digits)
    decimals = decimals_for(half)
    return _fixed(value, decimals), _fixed(low, decimals), _fixed(high, decimals)


def value_of(measurement: Measurement) -> str:
    """Return a measurement's value without its unit."""
    match measurement.uncertainty:
        case Interval(low=low, high=high):
            return together(measurement.value, low, high)[0]
        case _:
            return plain(measurement.value)


def interval_of(measurement: Measurement) -> str:
    """Return a measurement's interval as ``low to high``, or an empty string where there is none."""
    match measurement.uncertainty:
        case Interval(low=low, high=high):
            _, lower, upper = together(measurement.value, low, high)
            return f"{lower} to {upper}"
        case _:
            return ""


def bound(at_least: float | None, at_most: float | None) -> str:
    """Return a bound as a reader expects it.

    >>> bound(None, 0.6), bound(0.4, 0.6), bound(-2, None)
    ('≤ 0.6', '≥ 0.4 and ≤ 0.6', '≥ −2')
    """
    parts = [] if at_least is None else [f"≥ {_exact(at_least)}"]
    parts += [] if at_most is None else [f"≤ {_exact(at_most)}"]
    return " and ".join(parts)


def count(number: int) -> str:
    """Return a count with its thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def percent(share: float) -> str:
    """Return a share as a percentage.

    >>> percent(0.95), percent(0.999)
    ('95 %', '99.9 %')
    """
    return f"{share * 100:.4g} %"


def p_value(p: float) -> str:
    """Return a p-value.

    >>> p_value(0.00002), p_value(0.0312), p_value(0.5)
    ('p < 0.001', 'p = 0.031', 'p = 0.50')
    """
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def duration(seconds: float) -> str:
    """Return a span of time.

    >>> duration(0.0421), duration(12.34), duration(75), duration(7384)
    ('42 ms', '12.3 s', '1 min 15 s', '2 h 03 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(iso: str) -> str:
    """Return an ISO 8601 time as a reader expects it; what is not one is returned as it is.

    >>> moment("2026-03-01T09:30:00+00:00")
    '2026-03-01 09:30 UTC'
    """
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    zone = "UTC" if when.utcoffset() is not None and not when.utcoffset() else when.strftime("%z")
    return f"{when:%Y-%m-%d %H:%M} {zone}".strip()


def elapsed(began: str, finished: str | None) -> float | None:
    """Return the seconds between two ISO 8601 times, or None when either is missing or is not a time."""
    try:
        return (datetime.fromisoformat(finished or "") - datetime.fromisoformat(began)).total_seconds()
    except (ValueError, TypeError):
        return None


def _exponent(value: float) -> int:
    """Return the power of ten of a number rounded to two digits, so that 0.0999… counts as 0.10."""
    return int(f"{value:.1e}".split("e")[1])


def _exact(value: float) -> str:
    return _signed(f"{value:.6g}")


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else _signed(text)


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    if "." in mantissa and digits > 2:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return _signed(f"{mantissa}e{int(exponent)}")


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)
