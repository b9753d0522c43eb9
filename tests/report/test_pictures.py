import csv
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnewton.records import MeasuredSeconds, QuantumHardware, StepRecord
from qnewton.report import Curve, break_even, break_even_points, loss_curves, save_chart
from qnewton.report.break_even import NO_PRICE, OFF_AXIS, break_even_gate_time
from qnewton.report.panels import spread
from qnewton.report.run_pictures import (
    UNSOLVED,
    LayerCell,
    layer_map,
    layers_of_run,
    stage_breakdown,
)
from qnewton.report.save import Picture
from qnewton.report.step_prices import run_prices
from qnewton.report.style import STAGES, method_look, solver_look
from qnewton.runs import Run, RunStorageError, recorded
from tests.recorded import machine


def values(spec: Any, field: str) -> list[Any]:
    """Every value of ``field`` in the data of a chart's specification."""
    data = [
        row[field] for rows in spec.get("datasets", {}).values() for row in rows if field in row
    ]
    if isinstance(spec, dict):
        for key, part in spec.items():
            if key == "values" and isinstance(part, list):
                data += [row[field] for row in part if isinstance(row, dict) and field in row]
            elif isinstance(part, dict):
                data += values(part, field)
            elif isinstance(part, list):
                data += [v for item in part if isinstance(item, dict) for v in values(item, field)]
    return data


def test_the_three_files_of_a_picture(tmp_path: Path, newton_run: Run) -> None:
    picture = stage_breakdown(newton_run)
    png, svg, table = save_chart(picture, tmp_path / "new", "stages")
    header = png.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    width = struct.unpack(">I", header[16:20])[0] / 2
    assert 380 < width < 480  # half a page; text of 12 px stays readable in it
    assert svg.read_text().startswith("<svg")
    with table.open() as file:
        assert len(list(csv.DictReader(file))) == len(picture.rows) == 6 * len(newton_run.steps)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "stages.csv",
        "stages.png",
        "stages.svg",
    ]


def test_a_long_run_is_drawn_to_its_end(newton_run: Run) -> None:
    first = newton_run.steps[0]
    seconds = [*[MeasuredSeconds(solve=0.1)] * 60, *[MeasuredSeconds(solve=7.0)] * 5]
    steps = [replace(first, step=at, measured=spent) for at, spent in enumerate(seconds)]
    picture = stage_breakdown(replace(newton_run, steps=tuple(steps)))
    bars = [row for row in picture.rows if row["measured_seconds"]]
    assert [row["step"] for row in bars] == list(range(0, 65, 3))
    assert [round(row["measured_seconds"], 3) for row in bars] == [0.1] * 20 + [7.0] * 2
    assert "mean of 3 steps in a row" in picture.caption


def test_a_picture_where_a_file_is_in_the_way(tmp_path: Path, newton_run: Run) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunStorageError, match="File exists"):
        save_chart(stage_breakdown(newton_run), tmp_path / "file", "stages")


def test_rows_of_different_shape_are_refused(tmp_path: Path, newton_run: Run) -> None:
    picture = Picture(stage_breakdown(newton_run).chart, [{"a": 1}, {"b": 2}], "")
    with pytest.raises(ValueError, match="one set of columns"):
        save_chart(picture, tmp_path, "stages")


def test_stages_add_up_to_the_measured_total(newton_run: Run) -> None:
    total = sum(step.measured.total for step in newton_run.steps)
    for bars, each in ((24, 1), (12, 2)):
        rows = stage_breakdown(newton_run, n_bars=bars).rows
        assert each * sum(row["measured_seconds"] for row in rows) == pytest.approx(total)


def test_loss_curves_hold_every_run(newton_run: Run, sgd_run: Run) -> None:
    picture = loss_curves(
        [Curve(sgd_run, "sgd", "SGD"), Curve(newton_run, "q-newton", "Q-Newton")], target=0.95
    )
    losses = [row["value"] for row in picture.rows if row["quantity"] == "train loss"]
    assert losses == [step.loss for run in (sgd_run, newton_run) for step in run.steps]
    assert "95%" in picture.caption


def test_losses_a_log_axis_cannot_show_are_left_out(newton_run: Run) -> None:
    steps = newton_run.steps
    odd = (replace(steps[0], loss=float("nan")), replace(steps[1], loss=0.0), *steps[2:])
    picture = loss_curves([Curve(replace(newton_run, steps=odd), "q-newton", "Q-Newton")])
    losses = [row for row in picture.rows if row["quantity"] == "train loss"]
    assert [row["step"] for row in losses] == list(range(2, 24))


@pytest.mark.parametrize("draw", [stage_breakdown, break_even])
def test_a_run_without_steps_cannot_be_drawn(
    newton_run: Run, draw: Callable[[Run], Picture]
) -> None:
    with pytest.raises(ValueError, match="train"):
        draw(replace(newton_run, steps=()))
    with pytest.raises(ValueError, match="train at least one step"):
        loss_curves([Curve(replace(newton_run, steps=()), "sgd", "SGD")])


@pytest.mark.slow
def test_long_runs_are_drawn_whole(newton_run: Run) -> None:
    first = newton_run.steps[0]
    steps = tuple(replace(first, step=step) for step in range(6000))
    picture = loss_curves([Curve(replace(newton_run, steps=steps), "paper", "Q-Newton")])
    assert values(picture.chart.to_dict(), "step").count(5999) == 1


def test_break_even_is_seconds_over_queries(newton_run: Run) -> None:
    for step in newton_run.steps:
        gate_time, reason = break_even_gate_time(step.blocks[0])
        quote = step.blocks[0].decision.quote("qsvt")
        assert quote is not None
        if quote.query_count is None:
            assert gate_time is None
            assert reason is not None
            assert "overflows" in reason
        else:
            assert gate_time is not None
            assert gate_time == pytest.approx(0.21 / quote.query_count.expected, rel=1e-12)
            # The paper's price is gate time × queries: below the break-even, quantum was chosen.
            assert (gate_time > 1e-18) == (step.blocks[0].decision.chosen == "qsvt")


def test_break_even_and_the_prices_of_a_page_agree() -> None:
    # Quotes of this run are audited: their queries are more than a gate each.
    [run] = recorded("digits")
    prices = run_prices(run)
    assert prices is not None
    gate_s = prices.machine.gate_time_s.value
    expected = {
        p.step: pytest.approx(gate_s * p.lu / p.paper, rel=1e-9)
        for p in prices.steps
        if p.lu is not None and p.paper is not None
    }
    assert {point.step: point.gate_time_s for point in break_even_points(run)} == expected
    assert len(expected) == 15


def test_break_even_marks(newton_run: Run, machines: tuple[QuantumHardware, ...]) -> None:
    picture = break_even(newton_run, machines)
    marks = [row["mark"] for row in picture.rows]
    assert [marks.count(look.label) for look in (NO_PRICE, OFF_AXIS)] == [3, 2]
    assert [row["break_even_s"] is None for row in picture.rows] == [
        mark == NO_PRICE.label for mark in marks
    ]
    shown = [row["drawn_at_s"] for row in picture.rows]
    assert min(shown) >= 1e-28
    texts = values(picture.chart.to_dict(), "text")
    assert ["ibm_sherbrooke", "533 ns"] in texts
    assert ["attosecond", "1 as, hypothetical"] in texts
    assert "3 without a finite quantum price" in picture.caption


def test_break_even_with_no_finite_price_at_all(
    newton_run: Run, machines: tuple[QuantumHardware, ...], tmp_path: Path
) -> None:
    refused = replace(newton_run, steps=newton_run.steps[-3:])
    for hardware in ((), machines):
        picture = break_even(refused, hardware)
        assert {row["mark"] for row in picture.rows} == {NO_PRICE.label}
        save_chart(picture, tmp_path, "refused")


@pytest.mark.parametrize(
    "gate_times",
    [
        (1e-9,),
        (1e-18, 1e-12, 1e-6),
        (4e-7, 5e-7, 6e-7),
        (1e-4, 533e-9, 50e-9, 50e-9, 1e-9, 1e-12, 1e-18),
        tuple(10.0**-k for k in range(4, 18)),
    ],
    ids=len,
)
def test_a_leader_joins_each_label_of_the_break_even_picture_to_its_own_line(
    newton_run: Run, gate_times: tuple[float, ...]
) -> None:
    machines = [machine(time, f"m{k}") for k, time in enumerate(gate_times)]
    spec = break_even(newton_run, machines).chart.to_dict()
    lines, leaders, labels = (
        layer
        for layer in _layers(spec)
        if layer["mark"]["type"] in ("rule", "text") and "data" in layer
    )
    height = spec["height"]
    low, high = (math.log10(end) for end in lines["encoding"]["y"]["scale"]["domain"])
    drawn = _rows(spec, lines)
    ends = [height * (high - math.log10(row["gate_time_s"])) / (high - low) for row in drawn]
    joined = _rows(spec, leaders)
    assert leaders["encoding"]["y"]["field"] == "line_px"
    assert leaders["encoding"]["y2"]["field"] == labels["encoding"]["y"]["field"] == "label_px"
    assert leaders["encoding"]["y"]["scale"] is labels["encoding"]["y"]["scale"] is None
    assert [row["line_px"] for row in joined] == pytest.approx(ends)
    for row, line in zip(joined, drawn, strict=True):
        name = row["text"][0]
        assert line["gate_time_s"] == gate_times[int(name.removeprefix("m"))]
    places = [row["label_px"] for row in joined]
    # Two lines of 13 px each: no label touches another, none leaves the plot, no leaders cross.
    assert all(b - a >= 26 for a, b in pairwise(places))
    assert places[0] >= 13
    assert places[-1] <= height - 13
    assert _rows(spec, labels) == joined


def _layers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers of a specification that draw, each with the data it inherits."""
    if "mark" in spec:
        return [spec]
    inherited = {"data": spec["data"]} if "data" in spec else {}
    return [found for layer in spec["layer"] for found in _layers({**inherited, **layer})]


def _rows(spec: dict[str, Any], layer: dict[str, Any]) -> list[dict[str, Any]]:
    data = layer["data"]
    return spec["datasets"][data["name"]] if "name" in data else data["values"]


@given(
    wanted=st.lists(st.floats(-50, 350), min_size=1, max_size=8),
    gap=st.floats(0, 30),
)
def test_spread_labels_keep_order_distance_and_range(wanted: list[float], gap: float) -> None:
    places = spread(wanted, gap, 0.0, 270.0)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    assert all(places[b] - places[a] >= gap - 1e-9 for a, b in pairwise(order))
    assert min(places) >= -1e-9
    assert max(places) <= 270.0 + 1e-9


def test_labels_with_room_stay_at_their_lines_and_too_many_are_refused() -> None:
    assert spread([200.0, 100.0, 30.0], 28.0, 13.0, 257.0) == [200.0, 100.0, 30.0]
    assert spread([100.0, 100.0], 28.0, 13.0, 257.0) == [86.0, 114.0]
    with pytest.raises(ValueError, match="11 labels 28 apart do not fit between 13 and 257"):
        spread([100.0] * 11, 28.0, 13.0, 257.0)


def test_machines_that_do_not_exist_are_dashed_and_the_picture_says_so(newton_run: Run) -> None:
    both = [machine(1e-6, "real"), machine(1e-15, "dream", hypothetical=True)]
    spec = break_even(newton_run, both).chart.to_dict()
    lines = next(layer for layer in _layers(spec) if "strokeDash" in layer["encoding"])
    dash = lines["encoding"]["strokeDash"]
    assert dash["condition"] == {"test": "datum.hypothetical", "value": [5, 4]}
    assert dash["value"] == [1, 0]
    assert [row["hypothetical"] for row in _rows(spec, lines)] == [False, True]
    assert "Dashed: machines that do not exist" in spec["title"]
    alone = break_even(newton_run, both[:1]).chart.to_dict()
    assert "Dashed: machines that do not exist" not in alone["title"]


def test_first_order_and_classical_steps_have_no_break_even(sgd_run: Run) -> None:
    assert break_even_points(sgd_run) == []
    with pytest.raises(ValueError, match="--policy paper"):
        break_even(sgd_run)


def test_every_block_is_a_point(newton_run: Run) -> None:
    def doubled(step: StepRecord) -> StepRecord:
        return replace(step, blocks=(*step.blocks, replace(step.blocks[0], name="second")))

    run = replace(newton_run, steps=tuple(doubled(step) for step in newton_run.steps))
    points = break_even_points(run)
    assert len(points) == 48
    assert {point.block for point in points} == {"full", "second"}


def test_looks_are_told_apart() -> None:
    solvers = ["lu_inverse", "lu", "cholesky", "ldl", "cg", "minres", "woodbury", "sparse"]
    looks = [solver_look(solver) for solver in (*solvers, "qsvt", "dalzell", "hhl")]
    assert len({(look.color, look.shape) for look in looks}) == len(looks)
    methods = [method_look(name) for name in ("sgd", "classical-only", "quantum-only", "q-newton")]
    assert len({look.color for look in methods}) == len(methods)
    assert len({look.color for look in STAGES.values()}) == len(STAGES)
    assert method_look("shampoo").label == "shampoo"
    assert solver_look("shampoo").label == "shampoo"


def test_a_run_of_one_system_a_step_has_no_map_of_layers(newton_run: Run) -> None:
    assert layers_of_run(newton_run) is None


def test_the_map_of_layers_draws_every_system_and_names_those_without_one(newton_run: Run) -> None:
    steps = tuple(
        replace(
            step,
            blocks=tuple(
                replace(block, name=name, attempts=attempts)
                for block in step.blocks
                for name, attempts in (("first", block.attempts), ("second", ()))
            ),
            first_order_blocks=("head",),
        )
        for step in newton_run.steps
    )
    picture = layers_of_run(replace(newton_run, steps=steps))
    assert picture is not None
    systems = [(s.step, b.name, b.n) for s in steps for b in s.blocks]
    assert [(row["step"], row["layer"], row["n"]) for row in picture.rows] == systems
    assert len({row["step"] for row in picture.rows}) > 1
    # Nobody solved the second one.
    assert {row["solver"] for row in picture.rows if row["layer"] == "second"} == {UNSOLVED}
    assert "Above max_newton, without a system, and on first-order steps: head." in picture.caption


def test_a_map_needs_a_cell() -> None:
    cells = [LayerCell("run", step, "a", 4, "lu") for step in range(2)]
    assert len(layer_map(cells, "").rows) == 2
    with pytest.raises(ValueError, match="no step has layers"):
        layer_map([], "")
