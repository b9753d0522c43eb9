"""README's pictures are those that the command beside them writes."""

import math
import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from qnewton.cli import main

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
COMMAND = "qnewton compare digits --calibration nominal"
BREAK_EVEN, LOSS = "break-even-gate-time.svg", "loss-and-accuracy.svg"

_SVG = "{http://www.w3.org/2000/svg}"
# Training in float32 rounds differently on other processors; two pixels are a sixth of a decade.
_DECADES = 1 / 6


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the pictures that the command writes."""
    folder = tmp_path_factory.mktemp("readme") / "run"
    assert main([*shlex.split(COMMAND)[1:], "--out", str(folder), "--json"]) == 0
    return folder / "pictures"


def stale(name: str) -> str:
    return (
        f"a picture of README is out of date: run {COMMAND}, and copy pictures/{name} to {IMAGES}"
    )


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


def curves(svg: Path) -> list[list[float]]:
    """Return the numbers of each drawn line's path, to the pixel."""
    groups = (
        g for g in ElementTree.parse(svg).iter(f"{_SVG}g") if "mark-line" in g.get("class", "")
    )
    paths = (path.get("d", "") for group in groups for path in group.iter(f"{_SVG}path"))
    return [[float(x) for x in re.findall(r"-?[\d.]+", path)] for path in paths]


@pytest.mark.parametrize("name", [BREAK_EVEN, LOSS])
def test_readme_names_the_command_and_the_files(name: str) -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"`{COMMAND}`" in readme
    assert f"`pictures/{name}`" in readme
    assert f'<img src="docs/images/{name}"' in readme
    assert (IMAGES / name).is_file()


def test_pictures_are_told_to_those_who_do_not_see_them() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"<img [^>]*>", readme)
    assert len(pictures) == 2
    assert all(re.search(r'alt="[^"]{40,}"', picture) for picture in pictures)


@pytest.mark.slow
def test_the_command_writes_the_break_even_times(written: Path) -> None:
    now, committed = written / BREAK_EVEN, IMAGES / BREAK_EVEN
    assert texts(now) == texts(committed), stale(BREAK_EVEN)
    assert lines(now) == lines(committed), stale(BREAK_EVEN)
    assert lines(committed)
    ours, theirs = points(now), points(committed)
    assert len(theirs) == 10
    assert [(step, mark) for step, _, mark in ours] == [(s, m) for s, _, m in theirs]
    for (_, ours_s, _), (_, theirs_s, _) in zip(ours, theirs, strict=True):
        assert (ours_s is None) == (theirs_s is None), stale(BREAK_EVEN)
        if ours_s is not None and theirs_s is not None:
            close = pytest.approx(math.log10(theirs_s), abs=_DECADES)
            assert math.log10(ours_s) == close, stale(BREAK_EVEN)


@pytest.mark.slow
def test_the_command_writes_the_losses(written: Path) -> None:
    now, committed = written / LOSS, IMAGES / LOSS
    assert texts(now) == texts(committed), stale(LOSS)
    ours, theirs = curves(now), curves(committed)
    assert max(map(len, theirs)) >= 2 * 20  # SGD's twenty steps
    assert [len(numbers) for numbers in ours] == [len(numbers) for numbers in theirs]
    for ours_px, theirs_px in zip(ours, theirs, strict=True):
        assert ours_px == pytest.approx(theirs_px, abs=2.0), stale(LOSS)
