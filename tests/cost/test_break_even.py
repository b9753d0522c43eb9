import math
from dataclasses import replace

import numpy as np
import pytest

from qnewton.cost import (
    AXES,
    Audit,
    Scenario,
    break_even,
    deflated_facts,
    deflation_quote,
    kappa_facts,
    load_hardware,
    nominal_calibration,
    prices,
)
from qnewton.cost.break_even import crossing

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
    for name in ("gate-time", "machine-time", "classical-speed"):
        flip = flips[name]
        assert flip.value is not None
        for value, end in ((flip.kindest, 0), (flip.value, 1), (flip.harshest, 2)):
            assert value is not None
            found = prices([AXES[name].at(here, value)])
            assert found.quantum[end, 0] == pytest.approx(found.classical[0], rel=1e-7)
    gate = flips["gate-time"]
    assert (gate.kindest or 0) > (gate.value or 0) > (gate.harshest or 0)


def test_where_nothing_flips_the_choice_every_line_says_so():
    flips = [flip for flip in break_even(HERE) if flip.assumption == "epsilon"]
    assert not flips[0].flips
    assert "nothing flips it" in flips[0].said
    assert "times the classical one" in flips[0].said


def test_a_missing_price_is_one_line():
    with pytest.raises(ValueError, match="above threshold"):
        break_even(replace(HERE, hardware=load_hardware("ibm_sherbrooke")))


def test_the_nearest_of_several_crossings_is_found():
    def advantage(x: np.ndarray) -> np.ndarray:
        return np.sin(np.log(x))  # changes sign at e^(kπ)

    assert crossing(advantage, 20.0, 1.1, 1e6) == pytest.approx(math.exp(math.pi), rel=1e-9)
    assert crossing(advantage, 600.0, 1.1, 1e6) == pytest.approx(math.exp(2 * math.pi), rel=1e-9)


def test_deflation_lowers_the_condition_number_and_is_taken_only_where_it_pays():
    facts = kappa_facts(4096, 1e6, 4096)
    rest = deflated_facts(facts, [1e4, 100.0, 10.0], 2)
    assert rest.spectrum.condition is not None
    assert rest.spectrum.condition.value == pytest.approx(1e3)
    here = replace(HERE, facts=facts)
    split = deflation_quote(here, [1e4, 100.0, 10.0], 40)
    whole = deflation_quote(here, [1e4], 40)
    assert split.seconds is not None
    assert whole.seconds is not None
    assert split.seconds < whole.seconds
    assert split.seconds == math.fsum(term.seconds for term in split.terms)
    # Of a matrix with short rows the dense rest costs more than the spread it loses.
    sparse = kappa_facts(4096, 100.0, 2)
    found = deflation_quote(replace(HERE, facts=sparse), [3.0, 2.9], 40)
    assert all(term.name != "deflation" for term in found.terms)


@pytest.mark.parametrize(("largest", "count"), [([3.0, 2.0], 2), ([3.0, 2.0], 0), ([1.0, 2.0], 1)])
def test_wrong_eigenvalues_are_refused(largest, count):
    with pytest.raises(ValueError, match=r"count is|falling order"):
        deflated_facts(kappa_facts(10, 5.0, 2), largest, count)
