"""Progress is one line that fits, and nothing at all where a command is quick or quiet."""

import io
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from qnewton.cli import progress
from qnewton.cli.progress import Progress, TrainingProgress, counted
from tests import recorded


@pytest.fixture
def shown_on(monkeypatch: pytest.MonkeyPatch):
    """Show progress on a terminal of some width, or in a file, which is returned."""

    def replace(width: int | None) -> io.StringIO:
        file = io.StringIO()
        terminal = width is not None
        console = Console(file=file, force_terminal=terminal, width=width or 80, color_system=None)
        monkeypatch.setattr(progress, "PROGRESS", console)
        return file

    return replace


def event(step: int, loss: float, accuracy: float | None = None) -> SimpleNamespace:
    record = recorded.step(step, loss=loss)
    metric = None if accuracy is None else SimpleNamespace(test_accuracy=accuracy)
    return SimpleNamespace(record=record, metric=metric)


def at(step: int, steps: int, label: str = "training", passed: float = 10.0) -> TrainingProgress:
    shown = TrainingProgress(steps, quiet=True, label=label)
    shown.on_step(event(step - 1, 0.1234, 0.912))  # type: ignore[arg-type]
    shown._began = shown._reached_at - passed
    return shown


def test_80_columns_have_bar_step_loss_accuracy_and_time_left() -> None:
    line = at(10, 40).line(80)
    assert line == f"training {'━' * 5}{'─' * 15} step 10 of 40: loss 0.1234, ≤ 30 s left"
    assert at(10, 40).line(120).endswith("loss 0.1234, test accuracy 91.2%, newton, ≤ 30 s left")


def test_40_columns_have_bar_step_loss_and_time_left() -> None:
    assert at(10, 40).line(40) == "━━──── 10/40: loss 0.1234, ≤ 30 s left"


@pytest.mark.parametrize(
    ("passed", "said"), [(1.0, "≤ 3 s left"), (60.0, "≤ 3 min left"), (4e4, "≤ 33 h left")]
)
def test_the_time_left_follows_the_pace_so_far(passed, said) -> None:
    assert at(10, 40, passed=passed).line(200).endswith(f", {said}")


def test_the_time_left_runs_down_within_a_step() -> None:
    shown = at(10, 40)
    shown._began, shown._reached_at = shown._began - 5.0, shown._reached_at - 5.0
    assert shown.line(80).endswith("loss 0.1234, ≤ 25 s left")
    shown._began, shown._reached_at = shown._began - 90.0, shown._reached_at - 90.0
    # The step takes longer than all before it: how long is not known.
    assert shown.line(80).endswith("loss 0.1234, test accuracy 91.2%")


@given(
    st.integers(10, 200),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.text("ab ", max_size=60),
    st.text("loss ,", max_size=120),
)
def test_no_line_is_wider_than_asked(width, done, total, label, text) -> None:
    shown = Progress(label, total, quiet=True)
    shown.update(done, text)
    assert len(shown.line(width)) <= width
    unknown = Progress(label, quiet=True)
    unknown.update(done, text)
    assert len(unknown.line(width)) <= width


@pytest.mark.parametrize("width", [80, 40])
def test_a_terminal_is_never_wrapped(shown_on, width) -> None:
    file = shown_on(width)
    with TrainingProgress(40, quiet=False, label="SGD, learning rate 0.03") as shown:
        for step in range(40):
            shown.on_stage(step, "forward_backward")
            shown.on_step(event(step, 0.5, 0.9))  # type: ignore[arg-type]
            shown._live.refresh()
    drawn = file.getvalue()
    assert "of 40" in drawn or "/40" in drawn
    assert "loss 0.5000" in drawn
    # One line is drawn over and over: no line feed but the last one's.
    lines = drawn.replace("\x1b[2K", "").replace("\x1b[?25l", "").replace("\x1b[?25h", "")
    assert all(len(line) <= width for line in lines.replace("\x1b[1A", "").split("\r"))
    assert drawn.count("\n") <= 2


def test_a_file_gets_a_line_every_few_seconds_and_none_of_a_short_run(
    shown_on, monkeypatch
) -> None:
    file = shown_on(None)
    with TrainingProgress(40, quiet=False) as shown:
        shown.on_step(event(0, 0.5))  # type: ignore[arg-type]
    assert file.getvalue() == ""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.01)
    with TrainingProgress(40, quiet=False) as shown:
        shown.on_step(event(3, 0.5))  # type: ignore[arg-type]
        deadline = time.monotonic() + 10
        while file.getvalue().count("\n") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    lines = file.getvalue().splitlines()
    assert len(lines) >= 2
    assert all("step 4 of 40: loss 0.5000" in line for line in lines)


def test_a_quiet_command_shows_nothing(shown_on, monkeypatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.001)
    for width in (None, 80):
        file = shown_on(width)
        with Progress("working", 3, quiet=True) as shown:
            shown.update(1)
            time.sleep(0.02)
        assert file.getvalue() == ""


def test_counted_yields_what_it_is_given(shown_on) -> None:
    shown_on(80)
    assert list(counted("abc", "counting", 3, quiet=False)) == ["a", "b", "c"]


def test_another_run_of_a_comparison_begins_again() -> None:
    shown = at(10, 40)
    shown.on_event(SimpleNamespace(label="Newton", steps=100, progress=None))  # type: ignore[arg-type]
    assert shown.line(80) == f"Newton {'─' * 20} step 0 of 100"
    shown.on_stage(0, "curvature")
    assert "now: curvature" in shown.line(80)
