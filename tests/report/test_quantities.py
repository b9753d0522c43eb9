import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.report.quantities import number_text, seconds_text, share_text

UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15, "as": 1e-18,
         "min": 60.0, "h": 3600.0, "days": 86400.0, "years": 31_557_600.0}  # fmt: skip
DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def parsed(text: str) -> float:
    match = re.fullmatch(r"([-\d.]+)(?:·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?", text)
    assert match is not None, text
    return float(match[1]) * 10.0 ** int((match[2] or "⁰").translate(DIGITS))


@settings(deadline=None, max_examples=300)
@given(st.floats(min_value=1e-300, max_value=1e300))
def test_what_is_written_is_the_number_to_three_digits(value: float) -> None:
    # Three significant digits: half a unit of the third is at most 0.5%.
    assert parsed(number_text(value)) == pytest.approx(value, rel=5.01e-3)
    number, unit = seconds_text(value).split(" ")
    assert parsed(number) * UNITS[unit] == pytest.approx(value, rel=5.01e-3)


@settings(deadline=None, max_examples=100)
@given(st.floats(min_value=1e-20, max_value=1e12))
def test_ordinary_durations_stay_short(value: float) -> None:
    assert len(seconds_text(value)) <= 14


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (1.0, "1 s"), (0.99996, "1 s"), (9.9996e-7, "1 µs"), (119.0, "119 s"),
     (120.0, "2 min"), (float("nan"), "nan s"), (None, "–")],
)  # fmt: skip
def test_edges(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text


def test_shares() -> None:
    shares = [share_text(share) for share in (0.0, 1.0, 0.42, None)]
    assert shares == ["0.0%", "100.0%", "42.0%", "–"]
