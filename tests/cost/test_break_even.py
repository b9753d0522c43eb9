import math
from dataclasses import replace

import pytest

from qnewton.cost import (
    Audit,
    Scenario,
    break_even,
    deflated_facts,
    deflation_quote,
    kappa_facts,
    load_hardware,
    nominal_calibration,
)
from qnewton.cost.break_even import crossing
from qnewton.report import condition_sparsity_map, gate_time_size_map

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
    audit=Audit(error_correction="closed-form"),
)


def test_at_a_break_even_both_prices_are_equal():
    here = replace(HERE, audit=FREE)
    flips = {flip.assumption: flip for flip in break_even(here)}
    gate_time = flips["gate time"].value
    assert gate_time is not None
    gate = here.hardware.gate_time_s
    there = replace(
        here, hardware=replace(here.hardware, gate_time_s=replace(gate, value=gate_time))
    )
    quantum, classical = there.prices()
    assert quantum == pytest.approx(classical, rel=1e-9)
    kappa = flips["condition number"].value
    if kappa is not None:
        quantum, classical = replace(here, facts=kappa_facts(12_544, kappa, 64)).prices()
        assert quantum == pytest.approx(classical, rel=1e-6)


def test_where_nothing_flips_the_choice_every_line_says_so():
    flips = [flip for flip in break_even(HERE) if flip.assumption == "read-out tolerance"]
    assert not flips[0].flips
    assert "nothing flips it" in flips[0].said
    assert "times the classical one" in flips[0].said


def test_a_missing_price_is_one_line():
    with pytest.raises(ValueError, match="above threshold"):
        break_even(replace(HERE, hardware=load_hardware("ibm_sherbrooke")))


def test_the_nearest_of_several_crossings_is_found():
    def advantage(x: float) -> float:
        return math.sin(math.log(x))  # changes sign at e^(kπ)

    assert crossing(advantage, 20.0, 1.1, 1e6) == pytest.approx(math.exp(math.pi), rel=1e-9)
    assert crossing(advantage, 600.0, 1.1, 1e6) == pytest.approx(math.exp(2 * math.pi), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [condition_sparsity_map, gate_time_size_map])
def test_maps_draw_every_cell_and_say_whether_the_quantum_solver_wins(draw):
    expensive, free = draw(HERE), draw(replace(HERE, audit=FREE))
    assert len(expensive.rows) == 24 * 24
    assert "hypothetical" in expensive.caption
    dearer = [row["decades_dearer"] for row in free.rows if row["decades_dearer"] is not None]
    wins = sum(value < 0 for value in dearer)
    said = f"cheaper in {wins} of 576" if wins else "Nowhere on this map"
    assert said in free.caption


def test_on_the_maps_equal_prices_are_white_and_the_picture_says_what_red_is():
    for draw in (condition_sparsity_map, gate_time_size_map):
        spec = draw(HERE).chart.to_dict()
        color = spec["encoding"]["color"]["scale"]
        # Equal prices, in the middle, are white, and other colors lie between white and an end:
        # by default Vega goes round the color wheel, and equal prices were drawn in cyan.
        assert color["interpolate"] == "rgb"
        assert color["domain"][1] == 0
        assert color["range"][1] == "#ffffff"
        assert spec["title"] == "Red: the quantum solver is priced cheaper"
        for axis in ("x", "y"):
            ticks = spec["encoding"][axis]["axis"]["values"]
            assert all(math.log10(tick) == round(math.log10(tick)) for tick in ticks)


def test_deflation_lowers_the_condition_number_and_is_taken_only_where_it_pays():
    facts = kappa_facts(4096, 1e6, 4096)
    rest = deflated_facts(facts, [1e4, 100.0, 10.0], 2)
    assert rest.spectrum.condition is not None
    assert rest.spectrum.condition.value == pytest.approx(1e3)
    split = deflation_quote(
        HERE.calibration, facts, HERE.hardware, [1e4, 100.0, 10.0], 40, HERE.audit
    )
    whole = deflation_quote(HERE.calibration, facts, HERE.hardware, [1e4], 40, HERE.audit)
    assert split.seconds is not None
    assert whole.seconds is not None
    assert split.seconds < whole.seconds
    assert split.seconds == math.fsum(term.seconds for term in split.terms)
    # Of a matrix with short rows the dense rest costs more than the spread it loses.
    sparse = kappa_facts(4096, 100.0, 2)
    found = deflation_quote(HERE.calibration, sparse, HERE.hardware, [3.0, 2.9], 40, HERE.audit)
    assert all(term.name != "deflation" for term in found.terms)


@pytest.mark.parametrize(("largest", "count"), [([3.0, 2.0], 2), ([3.0, 2.0], 0), ([1.0, 2.0], 1)])
def test_wrong_eigenvalues_are_refused(largest, count):
    with pytest.raises(ValueError, match=r"count is|falling order"):
        deflated_facts(kappa_facts(10, 5.0, 2), largest, count)
