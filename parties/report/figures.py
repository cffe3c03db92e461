"""How the report writes numbers; every figure on the page comes from one of these functions.

========================  ==========================================================
recall, NDCG              three decimals: ``0.526``
gain                      sign and three decimals: ``+0.041``
change                    sign and four decimals: ``−0.0001``, or ``0``, or ``<0.0001``
durations                 three digits: ``6.48 ms``, ``113 s``
ratios                    three digits: ``3.44``, ``0.00122``; a mark as it was agreed: ``8``
seconds                   two decimals: ``11.10 s``, or ``0 s``, or ``<0.01 s``
bytes                     three digits and a decimal unit: ``19.8 MB``, and all digits
counts                    thousands separated by commas: ``674,946``; on an axis ``675k``
small quantities          two digits and a power of ten: ``1.7 × 10⁻⁴``
shares                    two decimals: ``99.98 %``; 100 and 0 only if exact
========================  ==========================================================

Blanks inside a figure do not break over lines; a minus is a minus sign, not a hyphen.
"""

from __future__ import annotations

import math

from hecf.errors import InvalidInput

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_MOST_DIGITS = 1e15
_BLANK = "\N{NO-BREAK SPACE}"


def _finite(value: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        shown = value if number else type(value).__name__
        raise InvalidInput(
            "a figure of the results cannot be shown", got=shown, expected="a finite number"
        )
    return value


def _fixed(value: float, decimals: int, sign: str = "") -> str:
    if abs(_finite(value)) >= _MOST_DIGITS:
        return scientific(value)
    return f"{value:{sign}z,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def quality(value: float) -> str:
    """Write a recall or NDCG."""
    return _fixed(value, 3)


def gain(value: float) -> str:
    """Write a difference that is expected to show."""
    return _fixed(value, 3, "+")


def change(value: float) -> str:
    """Write a difference that is expected to vanish."""
    if value == 0:
        return "0"
    return "<0.0001" if abs(_finite(value)) < 0.00005 else _fixed(value, 4, "+")


def at_most(value: float) -> str:
    """Write the bound of a magnitude, rounded up so that the bound is true."""
    bound = math.ceil(_finite(value) * 10_000 - 1e-9) / 10_000
    return _fixed(bound, 4) if value else "0"


def score(value: float) -> str:
    """Write a score of an item."""
    return _fixed(value, 4)


def seconds(value: float) -> str:
    """Write a duration."""
    if value == 0:
        return f"0{_BLANK}s"
    short = 0 < _finite(value) < 0.005
    return f"{'<0.01' if short else _fixed(value, 2)}{_BLANK}s"


def duration(value: float) -> str:
    """Write seconds of any magnitude."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if abs(_finite(value)) * factor >= 0.9995 or unit == "µs":
            break
    return f"{ratio(value * factor)}{_BLANK}{unit}"


def ratio(value: float) -> str:
    """Write a ratio of any magnitude."""
    if value and not 1e-5 <= abs(_finite(value)) < _MOST_DIGITS:
        return scientific(value)
    digits = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.3g}"))))) if value else 0
    return _fixed(value, digits)


def mark(value: float) -> str:
    """Write a ratio that was agreed on, without zeros that say nothing."""
    return f"{_finite(value):.3g}"


def count(value: int) -> str:
    """Write a whole number."""
    return f"{int(_finite(value)):,}"


def short(value: int) -> str:
    """Write a whole number where there is little room."""
    for factor, unit in ((1_000_000, "M"), (1000, "k")):
        if _finite(value) >= factor:
            return f"{value / factor:.3g}{unit}"
    return count(value)


def size(value: int) -> str:
    """Write a number of bytes with a decimal unit."""
    if _finite(value) < 1000:
        return f"{value}{_BLANK}bytes"
    amount = float(value)
    for unit in _UNITS:
        amount /= 1000
        # 999.95 would be written 1000.0, which belongs to the next unit.
        if amount < 999.5 or unit == _UNITS[-1]:
            break
    return f"{amount:.{0 if amount >= 99.95 else 1}f}{_BLANK}{unit}"


def scientific(value: float) -> str:
    """Write a quantity of any magnitude."""
    if _finite(value) == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}{_BLANK}×{_BLANK}10{power(int(exponent))}".replace("-", "\N{MINUS SIGN}")


def share(value: float) -> str:
    """Write a share of 1 in percent; what is not all is never written as all."""
    percent = 100 * _finite(value)
    if 0 < value < 1:
        percent = min(max(percent, 0.01), 99.99)
    return f"{percent:.2f}{_BLANK}%"


def relative(value: float, base: float) -> str:
    """Write by how many percent a value exceeds or misses a base that is not 0."""
    return f"{_fixed(100 * abs(_finite(value) / _finite(base) - 1), 1)}{_BLANK}%"


def power(exponent: int) -> str:
    """Write an exponent as superscript digits."""
    return str(int(_finite(exponent))).translate(_SUPERSCRIPT)
