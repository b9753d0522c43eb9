"""Numbers as people read them: seconds with a unit, counts with separators, unknown as a dash."""

import math

UNKNOWN = "–"

_SMALL = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"), (1e-12, "ps"))
_SMALL += ((1e-15, "fs"), (1e-18, "as"))
_LARGE = ((31_557_600.0, "years"), (86_400.0, "days"), (3_600.0, "h"), (60.0, "min"))
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def seconds_text(seconds: float | None) -> str:
    """Return a duration in the unit that keeps it short.

    Args:
        seconds: The duration in seconds; ``None`` when it is unknown.

    Example:
        >>> [seconds_text(value) for value in (5.33e-7, 0.25, 204.0, 1e15, 2e-25, None)]
        ['533 ns', '250 ms', '3.4 min', '3.17·10⁷ years', '2·10⁻²⁵ s', '–']
    """
    if seconds is None:
        return UNKNOWN
    if seconds == 0 or not math.isfinite(seconds):
        return f"{seconds:g} s"
    for size, unit in _LARGE:
        if abs(seconds) >= 2 * size:
            return f"{number_text(seconds / size)} {unit}"
    for size, unit in _SMALL:
        # Rounded first, so that 999.9 ns reads 1 µs and not 1e+03 ns.
        if abs(float(f"{seconds:.3g}")) >= size:
            return f"{number_text(seconds / size)} {unit}"
    return f"{number_text(seconds)} s"


def number_text(value: float | None) -> str:
    """Return a number to three significant digits, large and small ones as powers of ten.

    Example:
        >>> [number_text(value) for value in (0.0123, 1234567, 6.02e23, 12, 0.0, None)]
        ['0.0123', '1.23·10⁶', '6.02·10²³', '12', '0', '–']
    """
    if value is None:
        return UNKNOWN
    if value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e4:
        text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
        return text
    mantissa, exponent = f"{value:.2e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}·{power_text(int(exponent))}"


def power_text(exponent: int) -> str:
    """Return ten to a power.

    Example:
        >>> power_text(-18)
        '10⁻¹⁸'
    """
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def share_text(share: float | None) -> str:
    """Return a share between 0 and 1 in percent.

    Example:
        >>> share_text(0.9533)
        '95.3%'
    """
    return UNKNOWN if share is None else f"{100 * share:.1f}%"
