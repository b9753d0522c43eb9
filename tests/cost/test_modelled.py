import math
from dataclasses import replace

import pytest

from qnewton.cost import (
    absolute_quote,
    cholesky_quote,
    load_classical,
    load_hardware,
    lu_inverse_quote,
    lu_quote,
    modelled_seconds,
    own_charges,
    paper_quote,
)
from qnewton.records import (
    Calibration,
    CurvatureRecord,
    DampingRecord,
    Decision,
    Estimate,
    Facts,
    KernelFit,
    MeasuredSeconds,
    Outcome,
    PriceTerm,
    QuantumStats,
    Quote,
    Spectrum,
    Treatment,
)
from tests import recorded

# Rates that tell the kernels apart in a sum: exact in float64, no two alike.
RATES = {
    "lu_inverse": 2.0**-20,
    "lu": 2.0**-21,
    "cholesky": 2.0**-22,
    "matvec": 2.0**-10,
    "gemm": 2.0**-16,
    "elementwise": 2.0**-8,
    "sort": 2.0**-12,
}
OVERHEAD = 2.0**-5
MACHINE = Calibration(
    name="m",
    machine="m",
    date="2026-01-01",
    source="s",
    fits=tuple(
        KernelFit(
            kernel=kernel,
            work="w",
            dtype="float32",
            seconds_per_unit=rate,
            overhead_s=0.0 if kernel == "lu_inverse" else OVERHEAD,
        )
        for kernel, rate in RATES.items()
    ),
)
N = 16


def seconds_of(kernel, work, calls=1):
    return RATES[kernel] * work + (0.0 if kernel == "lu_inverse" else OVERHEAD * calls)


def block(name="a", attempts=("lu",), chosen="lu", **changes):
    facts = Facts(
        n=N,
        spectrum=Spectrum(
            condition=Estimate(value=9.0, low=None, high=None, method="lanczos", products=12),
            row_sparsity=4,
        ),
    )
    quotes = tuple(q(MACHINE, facts) for q in (lu_inverse_quote, lu_quote, cholesky_quote))
    values = {
        "n": N,
        "curvature": CurvatureRecord(
            kind="hessian", route="closed-form", reason="probe", forming_flops=1024.0
        ),
        "treatment": Treatment(damping=1.0),
        "facts": facts,
        "quotes": quotes,
        "attempts": tuple(recorded.attempt(solver) for solver in attempts),
    }
    return recorded.block(name, chosen, **(values | changes))


def step(*blocks, **changes):
    values = {
        "phase": "newton" if blocks else "first-order",
        "parameters": 32,
        "measured": MeasuredSeconds(solve=99.0),
        "forward_backward_flops": 4096.0,
        "blocks": blocks,
    }
    return recorded.step(**(values | changes))


def modelled(record, **arguments):
    arguments.setdefault("charged", own_charges(record))
    found = modelled_seconds(record, MACHINE, **arguments)
    assert found is not None
    return found


def test_a_first_order_step_is_forward_backward_and_update():
    found = modelled(step())
    assert found.forward_backward == seconds_of("gemm", 4096)
    assert found.update == seconds_of("elementwise", 32)
    assert found.total == found.forward_backward + found.update


def test_every_stage_of_a_newton_step():
    found = modelled(step(block()))
    assert found.curvature == seconds_of("gemm", 1024)
    assert found.treatment == seconds_of("elementwise", N)
    assert found.survey == 0.0
    assert found.solve == seconds_of("lu", N**3) + seconds_of("matvec", N**2)
    assert found.total == pytest.approx(
        found.forward_backward + found.curvature + found.treatment + found.solve + found.update
    )


def test_measured_seconds_never_enter():
    record = step(block())
    other = replace(record, measured=MeasuredSeconds())
    assert modelled(record) == modelled(other)


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        (Treatment(), 0.0),
        (Treatment(damping=0.5), seconds_of("elementwise", N)),
        (
            Treatment(damping=0.5, relative_damping=5e-3),
            seconds_of("elementwise", N) + seconds_of("elementwise", N**2),
        ),
        (Treatment(max_per_row=3), seconds_of("sort", 136 * math.log2(136))),
        (
            Treatment(max_per_row=3, mass=0.5),
            seconds_of("sort", 136 * math.log2(136)) + seconds_of("sort", N * N * 4),
        ),
    ],
)
def test_treatment(treatment, expected):
    assert modelled(step(block(treatment=treatment))).treatment == pytest.approx(expected)


@pytest.mark.parametrize(
    ("surveyed", "expected"),
    [
        ((), 0.0),
        (("determinant",), seconds_of("lu", N**3)),
        (("row_sparsity",), seconds_of("elementwise", N**2)),
        (("condition",), seconds_of("matvec", 12 * N**2, calls=12)),
        (
            ("determinant", "row_sparsity"),
            seconds_of("lu", N**3) + seconds_of("elementwise", N**2),
        ),
    ],
)
def test_the_survey_is_charged_to_policies_that_use_it(surveyed, expected):
    assert modelled(step(block()), surveyed=surveyed).survey == pytest.approx(expected)


def test_blocks_add_up():
    one, two = modelled(step(block("a"))), modelled(step(block("a"), block("b")))
    for stage in ("curvature", "treatment", "solve"):
        assert getattr(two, stage) == 2 * getattr(one, stage)
    assert two.forward_backward == one.forward_backward
    assert two.update == one.update


def test_one_record_priced_under_another_policy():
    record = step(block())
    quote = lu_inverse_quote(MACHINE, record.blocks[0].facts)
    found = modelled(record, charged={"a": (quote,)})
    assert found.solve == RATES["lu_inverse"] * N**3
    assert found.curvature == modelled(record).curvature


def test_a_failed_solver_and_the_one_that_took_over_are_both_paid():
    failed = (recorded.attempt("cholesky", Outcome.NOT_DEFINITE), recorded.attempt("lu"))
    both = block(chosen="cholesky", attempts=(), decision=block().decision)
    both = replace(both, attempts=failed, decision=replace(both.decision, chosen="cholesky"))
    assert [q.solver for q in own_charges(step(both))["a"]] == ["cholesky", "lu"]
    assert modelled(step(both)).solve == pytest.approx(
        seconds_of("cholesky", N**3) + seconds_of("lu", N**3) + 2 * seconds_of("matvec", N**2)
    )


def test_a_solve_by_a_stand_in_charges_the_chosen_solver_alone():
    stand_in = block(chosen="lu_inverse", attempts=("lu",))
    assert [q.solver for q in own_charges(step(stand_in))["a"]] == ["lu_inverse"]


def test_a_solver_tried_without_a_quote():
    with pytest.raises(ValueError, match="solver 'qsvt' has no quote to charge"):
        own_charges(step(block(chosen="qsvt")))


def test_a_block_without_a_charge():
    with pytest.raises(ValueError, match="block 'a' has no quote to charge"):
        modelled_seconds(step(block()), MACHINE, charged={})


def test_a_skipped_step_pays_for_what_it_did():
    skipped = step(block(attempts=()), skipped="the curvature is not finite")
    found = modelled(skipped)
    assert found.solve == 0.0
    assert found.update == 0.0
    assert found.curvature > 0


def test_emulation_is_never_charged_only_the_quantum_price():
    quantum = load_hardware("photonic-ghz")
    bound = Estimate(value=100.0, low=None, high=100.0, method="determinant", products=0)
    quote = paper_quote(Facts(n=N, spectrum=Spectrum(bounds=(bound,), row_sparsity=4)), quantum)
    stats = QuantumStats(
        algorithm="qsvt",
        success_probability=0.1,
        queries=10**9,
        expected_queries=1e10,
        degree=10**9,
        alpha=1.0,
        kappa=9.0,
        epsilon=1e-12,
        promise_held=True,
        resolved=True,
    )
    run = replace(recorded.attempt("qsvt"), quantum=stats)
    decision = Decision(chosen="qsvt", quotes=(quote,), policy="quantum-only", reason="r")
    record = step(block(decision=decision, attempts=()))
    record = replace(record, blocks=(replace(record.blocks[0], attempts=(run,)),))
    assert modelled(record).solve == quote.seconds


@pytest.mark.parametrize(
    "record",
    [
        step(forward_backward_flops=None),
        step(
            block(
                curvature=CurvatureRecord(
                    kind="hessian", route="generic", reason="r", forming_flops=None
                )
            )
        ),
    ],
)
def test_flops_nobody_counted_make_the_price_unknown_not_zero(record):
    assert modelled_seconds(record, MACHINE, charged=own_charges(record)) is None


def test_an_unknown_survey_or_a_refused_quote_make_the_price_unknown():
    blind = step(block(facts=Facts(n=N)))
    charged = own_charges(blind)
    assert modelled_seconds(blind, MACHINE, charged=charged, surveyed=("condition",)) is None
    refused = paper_quote(Facts(n=N), load_hardware("attosecond"))
    assert modelled_seconds(blind, MACHINE, charged={"a": (refused,)}) is None


def test_unknown_facts_and_missing_rates_are_named():
    with pytest.raises(ValueError, match="no survey fact is called 'rank'; the facts are determi"):
        modelled_seconds(step(), MACHINE, charged={}, surveyed=("rank",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'paper-h100' has no gemm rate for float32"):
        modelled_seconds(step(), load_classical("paper-h100"), charged={})
    with pytest.raises(ValueError, match="no gemm rate for float64"):
        modelled_seconds(step(), MACHINE, charged={}, dtype="float64")


def timed(**rates: float) -> Calibration:
    """Return the machine with more kernels: seconds a unit, and a start of a tenth of a second."""
    extra = tuple(
        KernelFit(
            kernel=kernel, work="flops", dtype="float32", seconds_per_unit=rate, overhead_s=0.1
        )
        for kernel, rate in rates.items()
    )
    return replace(MACHINE, fits=(*MACHINE.fits, *extra))


def judged(**changes) -> DampingRecord:
    values = {
        "strength": 1.0,
        "next_strength": 1.0,
        "radius": 1.0,
        "next_radius": 1.0,
        "curvature": "hessian",
        "predicted": -1.0,
        "actual": -1.0,
        "ratio": 1.0,
        "tries": 3,
        "products": 2,
        "length": 1.0,
        "clipped": False,
        "negative_curvature": None,
        "reason": "r",
    }
    return DampingRecord(**(values | changes))


def test_passes_are_priced_by_the_operations_of_their_graph():
    machine = timed(forward_backward=1e-9, curvature_product=1e-9)
    record = step(graph_operations=110, damping=judged())
    found = modelled_seconds(record, machine, charged={})
    assert found is not None
    # Ten times the graph that was timed starts ten times as often.
    assert found.forward_backward == pytest.approx(4096e-9 + 10 * 0.1)
    own = seconds_of("elementwise", 32) + 3 * found.forward_backward / 3
    assert found.update == pytest.approx(own + 2 * (2 * 4096e-9 + 10 * 0.1))


def test_a_solve_is_charged_the_products_it_took_and_not_those_that_were_foretold():
    # The basis of k vectors is read at every product: k² in all.
    seconds = {"products": 40.0, "basis": 160.0, "residual": 1.0}
    offer = Quote(
        solver="cg",
        machine="classical",
        seconds=201.0,
        model="m",
        hardware="h",
        terms=tuple(PriceTerm(name=name, seconds=s) for name, s in seconds.items()),
        products=400,
        max_products=400,
    )
    decision = Decision(chosen="cg", quotes=(offer,), policy="classical", reason="r")
    spent = replace(recorded.attempt("cg"), products=10)
    solved = block(decision=decision, attempts=())
    solved = replace(solved, attempts=(spent,))
    assert modelled(step(solved)).solve == pytest.approx(1.0 + 0.1 + 1.0)


def test_what_a_route_took_before_any_product_is_curvature():
    known = CurvatureRecord(
        kind="hessian",
        route="closed-form",
        reason="r",
        forming_flops=1024.0,
        preparing_flops=1e6,
        preparing_calls=3,
    )
    prepared = block(curvature=known)
    found = modelled_seconds(
        step(prepared, graph_operations=11),
        timed(curvature_rows=1e-9),
        charged=own_charges(step(prepared)),
    )
    assert found is not None
    assert found.curvature == pytest.approx(seconds_of("gemm", 1024) + 1e-3 + 3 * 0.1)


def test_systems_that_were_given_up_are_charged_and_older_records_stay_unknown():
    met = judged(negative_curvature="block 'a'", survey_products=4)
    given_up, solved = block(), block(chosen="cholesky", attempts=("cholesky",))
    record = step(solved, abandoned=(given_up,), damping=met)
    alone = step(solved, damping=replace(met, survey_products=0))
    both, one = modelled(record), modelled(alone)
    assert both.solve == pytest.approx(one.solve + modelled(step(given_up)).solve)
    assert both.curvature == pytest.approx(2 * one.curvature)
    assert both.survey > one.survey
    older = replace(record, damping=replace(met, survey_products=None))
    assert modelled_seconds(older, MACHINE, charged=own_charges(older)) is None


def test_all_eigenvalues_have_a_price_where_they_took_over():
    offer = absolute_quote(timed(eigen=1e-9), Facts(n=N))
    assert offer.seconds == pytest.approx(N**3 * 1e-9 + 0.1)
    assert absolute_quote(MACHINE, Facts(n=N)).refused is not None
