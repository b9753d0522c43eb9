"""README's picture is the one that the command beside it writes."""

import math
import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from qnewton.cli import main

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "images" / "break-even-digits.svg"
COMMAND = "qnewton compare digits --calibration nominal"
WRITTEN = "pictures/break-even-gate-time.svg"

_SVG = "{http://www.w3.org/2000/svg}"
# Training in float32 rounds differently on other processors; two pixels are a sixth of a decade.
_DECADES = 1 / 6


def texts(svg: Path) -> list[str]:
    """Return every text of a picture, whatever font or place it has."""
    found = ElementTree.parse(svg).iter(f"{_SVG}text")
    return ["\n".join(text.itertext()) for text in found]


def points(svg: Path) -> list[tuple[int, float | None, str]]:
    """Return each point's step, its break-even gate time, and the mark it is drawn as."""
    found = []
    for path in ElementTree.parse(svg).iter(f"{_SVG}path"):
        told = re.match(
            r"step: (\d+); .*?mark: (.*?); .*break_even_s: (.*?);", path.get("aria-label", "")
        )
        if told is not None:
            time = None if told[3] == "null" else float(told[3])
            found.append((int(told[1]), time, told[2]))
    return found


def lines(svg: Path) -> list[str]:
    """Return the machines' lines by gate time."""
    labels = (line.get("aria-label", "") for line in ElementTree.parse(svg).iter(f"{_SVG}line"))
    return [label for label in labels if label.startswith("gate_time_s")]


def test_readme_names_the_command_and_the_file() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"`{COMMAND}`" in readme
    assert f"`{WRITTEN}`" in readme
    assert f"({COMMITTED.relative_to(ROOT)})" in readme


@pytest.mark.slow
def test_the_command_writes_readmes_picture(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert main([*shlex.split(COMMAND)[1:], "--out", str(folder), "--json"]) == 0
    written = folder / WRITTEN
    again = f"README's picture is out of date: run {COMMAND}, and copy {WRITTEN} to {COMMITTED}"
    assert texts(written) == texts(COMMITTED), again
    assert lines(written) == lines(COMMITTED), again
    assert lines(COMMITTED)
    ours, theirs = points(written), points(COMMITTED)
    assert len(theirs) == 10
    assert [(step, mark) for step, _, mark in ours] == [(s, m) for s, _, m in theirs], again
    for (_, now, _), (_, then, _) in zip(ours, theirs, strict=True):
        assert (now is None) == (then is None), again
        if now is not None and then is not None:
            assert math.log10(now) == pytest.approx(math.log10(then), abs=_DECADES), again
