"""Maps over two assumptions: the table, the lines of equal prices, and the picture."""

import math
from dataclasses import replace

import numpy as np
import pytest

from qnewton.cost import (
    AXES,
    Audit,
    Scenario,
    audited,
    cheapest_rival,
    kappa_facts,
    load_classical,
    load_hardware,
    nominal_calibration,
    price_map,
    prices,
)
from qnewton.report import draw_price_map

FREE = Audit(
    query_set="optimistic",
    readout="none",
    tables="qram",
    table_building=False,
    error_correction="perfect",
)
HERE = Scenario(
    facts=kappa_facts(12_544, 30.0, 64),
    calibration=nominal_calibration(),
    hardware=load_hardware("qubit_gate_ns_e3"),
)


def test_many_prices_are_those_of_each_alone():
    systems = [(10, 2.0, 3), (12_544, 30.0, 64), (10**6, 1e4, 5), (3000, 1e8, 3000)]
    facts = [kappa_facts(*system) for system in systems]
    scenarios = [replace(HERE, facts=f, audit=a) for f in facts for a in (Audit(), FREE)]
    together = prices(scenarios)
    for place, scenario in enumerate(scenarios):
        quote, rival = audited(scenario).quote, cheapest_rival(scenario)
        assert rival is not None
        assert quote.low is not None
        assert quote.seconds is not None
        ends = (quote.low, quote.seconds, quote.high or math.nan)
        assert together.quantum[:, place] == pytest.approx(ends, rel=1e-9, nan_ok=True)
        assert together.classical[place] == rival.seconds


def test_a_system_without_a_price_is_nan_among_the_others():
    refused = replace(HERE, hardware=load_hardware("ibm_sherbrooke"))
    found = prices([HERE, refused])
    assert np.isnan(found.quantum[:, 1]).all()
    assert np.isfinite(found.quantum[:, 0]).all()
    assert np.isfinite(found.classical).all()


@pytest.mark.parametrize("y", ["machine-time", "kappa", "sparsity", "epsilon", "error-rate"])
def test_designs_that_a_sample_narrowed_down_are_within_3_percent_of_the_best(y: str):
    points = 16
    axis = AXES[y]
    low, high = axis.shown(HERE)[1:]
    found = price_map(HERE, (AXES["n"], 1e2, 1e8), (axis, low, high), points)
    drawn = np.random.default_rng(0).choice(points**2, 40, replace=False)
    scenarios = [
        AXES["n"].at(
            axis.at(HERE, float(found.ys[place // points])), float(found.xs[place % points])
        )
        for place in drawn
    ]
    alone = prices(scenarios)
    chosen = found.prices.quantum[1, drawn]
    assert (chosen >= alone.quantum[1] * (1 - 1e-9)).all()
    assert (chosen <= alone.quantum[1] * 1.03).all()
    assert found.prices.classical[drawn] == pytest.approx(alone.classical, rel=1e-12)


def test_the_best_of_several_classical_machines_is_the_rival():
    card, cluster = load_classical("h100"), load_classical("h100-cluster")
    several = replace(HERE, calibration=card, rivals=(cluster,))
    large = AXES["n"].at(several, 1e10)
    one = replace(large, rivals=())
    found = prices([several, replace(several, rivals=()), large, one]).classical
    assert found[0] <= found[1]
    # One card does not hold it.
    assert np.isnan(found[3])
    assert found[2] > 0


def test_both_prices_are_equal_on_the_crossing_line():
    here = replace(HERE, audit=FREE)
    span = (AXES["machine-time"], 1e-14, 1e-3)
    found = price_map(here, (AXES["n"], 1e2, 1e8), span, 24)
    lines = found.crossings()
    assert {line["constants"] for line in lines} == {"kindest", "likely", "harshest"}
    for line in lines:
        if line["constants"] != "likely":
            continue
        there = AXES["n"].at(AXES["machine-time"].at(here, line["machine-time"]), line["n"])
        assert abs(prices([there]).advantage[1, 0]) < 0.1
    by_end = {
        end: {line["n"]: line["machine-time"] for line in lines if line["constants"] == end}
        for end in ("kindest", "harshest")
    }
    for n in by_end["kindest"].keys() & by_end["harshest"].keys():
        # Kinder constants leave the quantum solver more time.
        assert by_end["kindest"][n] >= by_end["harshest"][n]


def test_the_picture_has_every_cell_the_lines_and_the_system():
    here = replace(HERE, audit=FREE)
    found = price_map(here, (AXES["n"], 1e2, 1e8), (AXES["machine-time"], 1e-14, 1e-3), 12)
    drawn = draw_price_map(found)
    assert len(drawn.rows) == 144
    assert "hypothetical" in drawn.caption
    assert f"{100 * found.shares['likely']:.1f}%" in drawn.caption
    cells, lines, mark = drawn.chart.to_dict()["layer"]
    color = cells["encoding"]["color"]["scale"]
    # Equal prices, in the middle, are white, and other colors lie between white and an end:
    # by default Vega goes round the color wheel, and equal prices were drawn in cyan.
    assert color["interpolate"] == "rgb"
    assert color["domain"][1] == 0
    assert color["range"][1] == "#ffffff"
    assert drawn.chart.to_dict()["title"] == "Orange: the quantum solver is priced cheaper"
    assert lines["encoding"]["strokeDash"]["scale"]["domain"][1] == "likely"
    assert mark["mark"]["shape"] == "cross"
    for axis in ("x", "y"):
        ticks = cells["encoding"][axis]["axis"]["values"]
        assert all(math.log10(tick) == round(math.log10(tick)) for tick in ticks)


@pytest.mark.parametrize(
    ("x", "y", "points", "said"),
    [
        (("n", 1, 10), ("n", 1, 10), 5, "both axes"),
        (("n", 10, 1), ("kappa", 1, 10), 5, "range of n is"),
        (("n", 1, 10), ("kappa", 1, 10), 1, "points is"),
    ],
)
def test_a_map_that_is_none_is_refused_in_one_line(x, y, points, said):
    ends = ((AXES[name], low, high) for name, low, high in (x, y))
    with pytest.raises(ValueError, match=said):
        price_map(HERE, *ends, points=points)


@pytest.mark.parametrize(("axis", "hypothetical"), [("gate-time", True), ("sparsity", False)])
def test_a_map_that_varies_a_real_machine_is_of_one_that_does_not_exist(axis, hypothetical):
    real = replace(HERE, hardware=load_hardware("ibm_sherbrooke"), audit=FREE)
    ends = (AXES[axis].shown(real), AXES["kappa"].shown(real))
    assert price_map(real, *ends, points=3).machine.hypothetical is hypothetical


def test_a_map_that_has_no_price_anywhere_is_refused_as_a_price_is():
    above = replace(HERE, hardware=load_hardware("ibm_sherbrooke"))
    ends = (AXES["n"], 1e2, 1e8), (AXES["kappa"], 1, 1e3)
    with pytest.raises(ValueError, match="ibm_sherbrooke is above threshold"):
        price_map(above, *ends, points=200)
    # An axis may give the machine what it lacks.
    errors = AXES["error-rate"].shown(above)
    assert price_map(above, ends[0], errors, points=3).priced == 9
    one = replace(HERE, calibration=load_classical("h100"))
    with pytest.raises(ValueError, match="no classical solver"):
        price_map(one, (AXES["n"], 1e10, 1e12), ends[1], points=3)
    assert price_map(one, (AXES["n"], 1e2, 1e12), ends[1], points=2).priced == 2
