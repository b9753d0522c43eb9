"""How long does a report page take to write, to open and to answer, and how large is it?

Targets: ``qnewton report`` in under 2 s, process start included; 2 MB at most for 1,000 steps; the
first control of the what-if panel answered within 1 s of opening the page in headless Chromium, and
every move of a slider within two frames. Without Chromium (see ``tests/browsing.py``) the last two
are not measured.
"""

import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Contender, Report, Row, Say, describe_machine, interleave, reached
from benchmarks.long_run import long_run
from tests.browsing import Reader, chromium_program, running_chromium

STEPS = (10, 1_000)
OPENED = 7
MOVES = 60
_FRAME_S = 1.0 / 60.0

# The panel says what the gate time changes: a move has been answered when its sentence is another.
_MOVE = """
async function move(value) {
  const panel = document.querySelector(".what-if.run");
  const gate = panel.querySelector('[data-control="gate"]');
  const sentence = panel.querySelector('[data-part="sentence"]');
  const before = sentence.textContent;
  gate.value = value;
  gate.dispatchEvent(new Event("input", {bubbles: true}));
  while (sentence.textContent === before) await new Promise(requestAnimationFrame);
}
"""
_OPENED = f"async () => {{ {_MOVE} await move(-12); return performance.now() / 1000; }}"
_MOVED = f"""async (moves) => {{ {_MOVE}
  const seconds = [];
  for (let turn = 0; turn < moves; turn += 1) {{
    const start = performance.now();
    await move(-20 + 0.25 * turn);
    seconds.push((performance.now() - start) / 1000);
  }}
  return seconds;
}}"""


def measure(say: Say) -> Report:
    """Time reports, and what a reader waits for."""
    with tempfile.TemporaryDirectory() as name:
        folders = {steps: long_run(Path(name), steps) for steps in STEPS}
        contenders = [
            Contender(f"{steps} steps", partial(_report, folder), scale=1.0)
            for steps, folder in folders.items()
        ]
        found = interleave(contenders, say)
        pages = {steps: folder / "report.html" for steps, folder in folders.items()}
        sizes = {steps: page.stat().st_size for steps, page in pages.items()}
        rows = [_written(steps, found[f"{steps} steps"].median) for steps in STEPS]
        rows += [_sized(steps, size) for steps, size in sizes.items()]
        facts: dict[str, Any] = {"bytes": {str(steps): size for steps, size in sizes.items()}}
        if chromium_program() is not None:
            for steps, page in pages.items():
                opened, moved = _read(page)
                say(f"{steps} steps: open {min(opened):.3g} s, a move {min(moved):.3g} s")
                facts[f"opened_s_{steps}"], facts[f"moved_s_{steps}"] = opened, moved
                rows += _answered(steps, opened, moved)
    return Report("report_page", rows, describe_machine(), dict(found), facts=facts)


def _report(folder: Path) -> None:
    words = [sys.executable, "-m", "qnewton", "report", str(folder), "--json"]
    subprocess.run(words, check=True, capture_output=True)


def _read(page: Path) -> tuple[list[float], list[float]]:
    """Return seconds until a page's first answer, of several openings, and of slider moves."""
    with running_chromium() as browser:
        reader, opened, moved = Reader(browser), [], []
        for turn in range(OPENED + 1):
            shown = reader.open(page)
            seconds = shown.evaluate(_OPENED)
            if turn:  # the first one warms the browser up
                opened.append(seconds)
            else:
                moved = shown.evaluate(_MOVED, MOVES)
            shown.close()
    assert reader.faults == []
    return opened, moved


def _written(steps: int, seconds: float) -> Row:
    question = f"page of a run of {steps:,} steps written, a process of its own"
    return reached(question, "< 2 s", f"{seconds:.3g} s", seconds < 2.0)


def _sized(steps: int, size: int) -> Row:
    question = f"size of the page of {steps:,} steps"
    return reached(question, "≤ 2 MB", f"{size / 1e6:.2f} MB", size <= 2_000_000)


def _answered(steps: int, opened: list[float], moved: list[float]) -> list[Row]:
    first, move = statistics.median(opened), statistics.median(moved)
    where = f"on the page of {steps:,} steps"
    return [
        reached(f"first control answered {where}", "< 1 s", f"{first:.3g} s", first < 1.0),
        reached(
            f"a slider's move answered {where}",
            "two frames, 33 ms",
            f"{1e3 * move:.3g} ms",
            move < 2 * _FRAME_S,
        ),
    ]
