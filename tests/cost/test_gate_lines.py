"""Lines in the gate time are the audited prices, whoever is asked and whatever is known."""

import math
from dataclasses import replace

import pytest

from qnewton.cost import Audit, Market, kappa_facts, load_hardware, nominal_calibration
from qnewton.cost.axes import faster
from qnewton.cost.gate_lines import GateLines, Stops, gate_lines
from qnewton.cost.quantum_prices import quantum_quote
from qnewton.cost.solvers import quantum_solvers
from qnewton.records import Facts, LowRank, Spectrum

MACHINE = load_hardware("qubit_gate_ns_e3")
STOPS = Stops(tables=("qrom",), query_sets=("paper", "warm-start"), epsilons=(0.1,), errors=(1e-4,))

_KNOWN = kappa_facts(400, 40.0, 16)
_OUTLIERS = replace(_KNOWN, spectrum=replace(_KNOWN.spectrum, largest=(8.0, 4.0, 1.0)))
SYSTEMS = (
    _KNOWN,
    _OUTLIERS,
    replace(_OUTLIERS, solution_gain=9.0),
    replace(_KNOWN, held=LowRank(columns=8)),
    Facts(n=400),
    replace(_KNOWN, spectrum=replace(_KNOWN.spectrum, row_sparsity=0)),
    replace(_KNOWN, spectrum=Spectrum(condition=_KNOWN.spectrum.condition)),
)


def _market(algorithm: str | None) -> Market:
    known = {"quantum_price": "audited", "algorithm": algorithm}
    return Market(nominal_calibration(), MACHINE, audit=Audit(readout="provable"), **known)


def _lines(algorithm: str | None) -> list[GateLines]:
    market = _market(algorithm)
    return gate_lines(SYSTEMS, market, STOPS, [market.calibration], 2.0)


@pytest.mark.parametrize("algorithm", [None, "qsvt", "hhl", "costa", "deflated_qsvt"])
@pytest.mark.parametrize("gate_s", [1e-24, 5e-8])
def test_lines_are_the_cheapest_audited_quote(algorithm: str | None, gate_s: float) -> None:
    machine = faster(MACHINE, gate_s / MACHINE.gate_time_s.value)
    lines = _lines(algorithm)
    for place, query_set in enumerate(STOPS.query_sets):
        market = _market(algorithm)
        audit = replace(market.audit, query_set=query_set, physical_error=1e-4)
        market = replace(market, hardware=machine, audit=audit)
        for facts, line in zip(SYSTEMS, lines, strict=True):
            quotes = (quantum_quote(facts, market, s.name) for s in quantum_solvers(market))
            prices = [quote.seconds for quote in quotes if quote.seconds is not None]
            found = line.seconds(gate_s)[0, 0, place, 0, 0]
            assert found == pytest.approx(min(prices, default=math.inf), rel=1e-9)


def test_designs_that_are_never_the_cheapest_are_dropped_and_change_nothing() -> None:
    for line in _lines(None):
        fewer = line.needed()
        assert fewer.fixed.shape[-1] <= line.fixed.shape[-1]
        for power in range(-30, 0):
            for writes in (True, False):
                at = {"gate_s": 10.0**power, "writes": writes}
                assert fewer.seconds(**at) == pytest.approx(line.seconds(**at), rel=1e-12)
    assert sum(line.fixed.shape[-1] for line in _lines(None)) > sum(
        line.needed().fixed.shape[-1] for line in _lines(None)
    )


def test_what_nobody_can_price_has_no_design() -> None:
    for algorithm in (None, "deflated_qsvt"):
        unknown, empty = _lines(algorithm)[4:6]
        assert unknown.fixed.shape == empty.fixed.shape == (1, 0)
        assert math.isinf(unknown.seconds(1e-9)[0, 0, 0, 0, 0])
