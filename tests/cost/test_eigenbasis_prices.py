"""The price of a solve in kept eigenvectors, beside what is really executed."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from qnewton.cost import (
    SOLVERS,
    Market,
    audited_quote,
    classical_quotes,
    eigenbasis_quote,
    load_hardware,
    nominal_calibration,
)
from qnewton.cost.eigenbasis import factor_flops
from qnewton.cost.least_squares import householder_flops
from qnewton.optimizer.averaged_systems import averaged_operator
from qnewton.optimizer.averages import REFRESHED, GradientAverages
from qnewton.optimizer.buckets import Bucket
from qnewton.records import Calibration, Eigenbasis, Facts, FormingWork, KernelFit, Products
from qnewton.scheduler.offers import quotes
from qnewton.survey import survey_eigenbasis

FLOPS = Calibration(
    name="flops",
    machine="a second per operation",
    date="2026-11-29",
    source="made up",
    fits=tuple(
        KernelFit(kernel=name, work="", dtype="float64", seconds_per_unit=1.0, overhead_s=0.0)
        for name in ("gemm", "householder", "elementwise")
    ),
)
SHAPES = [(7, 5, 9), (7, 5, 5), (7, 5, 4), (1, 6, 9), (6, 1, 9)]


def bucket_of(rows: int, columns: int, widest: int, steps: int) -> Bucket:
    torch.manual_seed(rows)
    parameter = torch.zeros(rows, columns, dtype=torch.float64)
    found = Bucket([parameter], [GradientAverages.begin(parameter, widest)], [None])
    for step in range(1, steps + 1):
        found.turn(torch.randn(rows * columns, dtype=torch.float64), 1.0, step)
    return found


def facts_of(bucket: Bucket) -> Facts:
    return survey_eigenbasis(averaged_operator(bucket.averages[0])[0], REFRESHED)


@pytest.mark.parametrize(("rows", "columns", "widest"), SHAPES)
def test_the_operations_that_are_priced_are_those_of_ten_steps(
    rows: int, columns: int, widest: int
) -> None:
    bucket = bucket_of(rows, columns, widest, 20)
    facts = facts_of(bucket)
    assert isinstance(facts.held, Eigenbasis)
    terms = {t.name: t.seconds for t in eigenbasis_quote(FLOPS, facts, "float64").terms}
    priced = terms.get("products", 0.0) + terms.get("turns", 0.0)
    in_place = {torch.ops.aten.addmm_: lambda _, a, b, **__: 2 * a[0] * a[1] * b[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        for step in range(21, 21 + REFRESHED):
            bucket.turn(torch.randn(rows * columns, dtype=torch.float64), 1.0, step)
    counted = counter.get_total_flops() / REFRESHED
    assert priced + factor_flops(facts.n, facts.held) == pytest.approx(counted)
    # FlopCounterMode leaves QR decompositions out: R, and Q as long as R.
    reflections = sum(2 * householder_flops(k, k) for k in facts.held.orders) / REFRESHED
    assert terms.get("reflections", 0.0) == pytest.approx(reflections)


def test_a_matrix_held_in_another_way_is_refused_and_one_without_turns_pays_for_none() -> None:
    calibration = nominal_calibration()
    assert eigenbasis_quote(calibration, Facts(n=5)).refused == "A is not held by its eigenvectors"
    held = Eigenbasis(left=2, right=3)
    kept, turned = (
        eigenbasis_quote(calibration, Facts(n=6, held=replace(held, turned_every=every)))
        for every in (None, 10)
    )
    assert [term.name for term in kept.terms] == ["products", "quotient"]
    assert kept.seconds is not None
    assert turned.seconds is not None
    assert kept.seconds < turned.seconds


def test_no_other_classical_solver_is_cheaper_and_all_of_them_have_a_price() -> None:
    bucket = bucket_of(48, 32, 64, 20)
    facts = facts_of(bucket)
    offers = {q.solver: q.seconds for q in classical_quotes(nominal_calibration(), facts)}
    known = {solver: seconds for solver, seconds in offers.items() if seconds is not None}
    assert {"eigenbasis", "cholesky", "lu", "cg", "minres"} <= known.keys()
    assert min(known, key=lambda solver: known[solver]) == "eigenbasis"


def test_a_quantum_machine_reads_eigenvalues_or_pays_for_entries() -> None:
    bucket = bucket_of(48, 32, 64, 20)
    facts = facts_of(bucket)
    machine, calibration = load_hardware("qubit_gate_ns_e3"), nominal_calibration()
    audited = audited_quote(calibration, facts, machine)
    assert audited.seconds is not None
    # Tables of N eigenvalues and of the eigenvectors: no entry of A is formed.
    assert audited.terms[0].name == "tables"
    assert audited.assumptions[0].startswith("eigenbasis: α = ‖A‖₂")
    products = replace(facts, held=Products(product_flops=1e4, forming=FormingWork(flops=1e6)))
    read = audited_quote(calibration, products, machine)
    assert read.terms[0].name == "forming"
    market = Market(calibration, load_hardware("attosecond"))
    [paper] = [q for q in quotes(facts, market) if q.machine == "quantum"]
    assert paper.refused is None or "determinant" in paper.refused or "κ" in paper.refused


def test_a_solver_of_eigenvectors_takes_nothing_else() -> None:
    solver = SOLVERS.get("eigenbasis")
    assert not solver.takes(Facts(n=4))
    assert not solver.takes(None)
    assert solver.takes(Facts(n=4, held=Eigenbasis(left=2, right=2)))
