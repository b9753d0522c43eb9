"""One ε split over its causes: injected all at once, they add up to no more than ε."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from qnewton.cost import (
    Audit,
    ErrorBudget,
    Scenario,
    Split,
    audited,
    audited_quote,
    kappa_facts,
    load_hardware,
    nominal_calibration,
)
from qnewton.cost.audit import states_read
from qnewton.cost.budget import WIDENED, split_grid
from qnewton.cost.encodings import angle_bits, rotation_t_gates, value_bits
from qnewton.solvers.quantum import Readout, emulate, measure
from tests.cases import orthogonal, with_spectrum

QUICK = settings(deadline=None, max_examples=40)


def _system(n: int, kappa: float, indefinite: bool, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return A = V·diag(λ)·Vᵀ of norm 1, its eigenvalues and vectors."""
    rng = np.random.default_rng(seed)
    values = np.geomspace(1.0, 1 / kappa, n)
    if indefinite:
        values = values * rng.choice([-1.0, 1.0], n)
    found = torch.from_numpy(values)
    return with_spectrum(found, seed), found, orthogonal(n, seed)


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm()


def _distance(found: Tensor, truth: Tensor) -> float:
    return min(float((_unit(found) - sign * _unit(truth)).norm()) for sign in (1, -1))


STATE = Split(solver=0.5, entries=1 / 6, rhs=1 / 6, rotations=1 / 6, readout=0.0)


def test_the_parts_add_up_to_epsilon_and_never_above():
    for split in (STATE, *split_grid(True), *split_grid(False)):
        for epsilon in (0.5, 0.24, 1e-2, 1e-12, 1e-300):
            found = ErrorBudget.of(epsilon, split)
            assert found.sum <= epsilon * (1 + 1e-12)
            # Above, entries are held to 1% and a solver to 0.24.
            if epsilon <= 0.01:
                assert found.sum == pytest.approx(epsilon, rel=1e-12)


def test_every_split_of_the_grid_adds_up_and_all_are_different():
    for reads in (True, False):
        grid = split_grid(reads)
        assert len(set(grid)) == len(grid)
        assert {split.readout > 0 for split in grid} == {reads}


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"solver": 0.0, "readout": 0.5}, "solver"), ({"readout": 0.1}, "sum of all shares")],
)
def test_a_split_that_is_none_is_refused(changed: dict[str, float], said: str):
    with pytest.raises(ValueError, match=said):
        replace(STATE, **changed)


def _least_price(query_set: str, readout: str) -> tuple[float, float]:
    """Return the price by the grid, and the least one that a free search over splits finds."""
    audit = Audit(query_set=query_set, readout=readout, epsilon=0.1)  # type: ignore[arg-type]
    facts, machine = kappa_facts(4096, 50.0, 32), load_hardware("qubit_gate_ns_e3")
    known = (nominal_calibration(), facts, machine)
    by_grid = audited_quote(*known, audit, algorithm="dalzell").seconds
    assert by_grid is not None

    def price(logs: np.ndarray) -> float:
        weights = np.exp(np.append(logs, 0.0))
        shares = weights / weights.sum()
        if readout == "none":
            shares = np.append(shares[:4] / shares[:4].sum(), 0.0)
        names = ("solver", "entries", "rhs", "rotations", "readout")
        split = Split(**dict(zip(names, map(float, shares), strict=True)))
        quote = audited_quote(*known, replace(audit, split=split), algorithm="dalzell")
        return quote.seconds or math.inf

    start = np.log([0.02, 0.01, 0.01, 0.01])
    found = minimize(price, start, method="Nelder-Mead", options={"maxfev": 250})
    return by_grid, float(found.fun)


@pytest.mark.parametrize("readout", ["simulated", "none"])
@pytest.mark.parametrize("query_set", ["rigorous", "warm-start"])
def test_the_split_of_the_grid_is_nearly_the_cheapest_there_is(query_set: str, readout: str):
    by_grid, free = _least_price(query_set, readout)
    assert by_grid <= 1.05 * free


@QUICK
@given(
    n=st.integers(2, 64),
    log_kappa=st.floats(0.1, 3.0),
    indefinite=st.booleans(),
    log_epsilon=st.floats(-5.0, math.log10(0.24)),
    stretch=st.floats(1.0, 4.0),
    algorithm=st.sampled_from(["qsvt", "dalzell", "dalzell-known"]),
    adverse=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_all_errors_at_once_stay_within_epsilon(
    n, log_kappa, indefinite, log_epsilon, stretch, algorithm, adverse, seed
):
    kappa, epsilon = 10**log_kappa, 10**log_epsilon
    matrix, values, vectors = _system(n, kappa, indefinite, seed)
    rng = np.random.default_rng(seed + 1)
    alpha = stretch  # ‖A‖₂ = 1
    encoded, shares = alpha * kappa, ErrorBudget.of(epsilon, STATE)
    small = vectors[:, -1]  # of the smallest |λ|
    # b on the largest eigenvalue alone is what lets errors in it grow most.
    b = vectors[:, 0] if adverse else torch.from_numpy(rng.standard_normal(n))
    b = _unit(b)
    noise = torch.from_numpy(rng.standard_normal((n, n)))
    error = -values[-1].sign() * torch.outer(small, small) if adverse else noise + noise.mT
    if adverse and n > 1:
        # Mixes what b is with what A⁻¹ amplifies.
        error = torch.outer(small, b) + torch.outer(b, small)
    size = torch.linalg.matrix_norm(error, 2)
    wrong = matrix + error / size * (alpha * shares.entries / encoded)
    push = small if adverse else _unit(torch.from_numpy(rng.standard_normal(n)))
    step = shares.rhs / encoded
    tangent = _unit(push - (push @ b) * b) if n > 1 else push * 0
    turned = b * math.cos(2 * math.asin(step / 2)) + tangent * math.sin(2 * math.asin(step / 2))
    # QSVT's ε is relative to x, a theorem's a trace distance of states.
    asked = float(shares.relative if algorithm == "qsvt" else shares.solver)
    norm = None
    if algorithm == "dalzell-known":
        norm = float(torch.linalg.solve(wrong, turned).norm())
    state = emulate(
        wrong,
        turned,
        algorithm.split("-")[0],
        asked,
        alpha * (1 + shares.entries / encoded),
        encoded * WIDENED * (1 + shares.entries / encoded),
        norm,
        mode="eigen",
    ).state
    # Rotations move the output of length √p by √p·rotations at most: adversely, all of one way.
    truth = torch.linalg.solve(matrix, b)
    away = state - (state @ _unit(truth)) * _unit(truth)
    away = _unit(away) if float(away.norm()) > 1e-14 else push
    state = _unit(state + shares.rotations * away)
    assert _distance(state, truth) <= epsilon * (1 + 1e-6) + 1e-9


@QUICK
@given(
    n=st.integers(2, 64),
    log_kappa=st.floats(0.1, 2.5),
    indefinite=st.booleans(),
    log_epsilon=st.floats(-4.0, math.log10(0.24)),
    seed=st.integers(0, 2**16),
)
def test_entries_and_angles_of_the_priced_bits_stay_within_their_shares(
    n, log_kappa, indefinite, log_epsilon, seed
):
    """Entries rounded to b bits of ‖A‖max, and b prepared by a tree of rounded angles."""
    kappa, epsilon = 10**log_kappa, 10**log_epsilon
    matrix, _, _ = _system(n, kappa, indefinite, seed)
    shares = ErrorBudget.of(epsilon, STATE)
    largest = float(matrix.abs().max())
    alpha = n * largest
    encoded = alpha * kappa
    bits = value_bits(encoded, shares.entries)
    unit = largest * 2.0 ** (1 - bits)
    wrong = torch.round(matrix / unit) * unit
    b = _unit(torch.from_numpy(np.random.default_rng(seed).standard_normal(n)))
    turned = _by_rounded_angles(b, angle_bits(n, shares.rhs, encoded))
    truth, found = torch.linalg.solve(matrix, b), torch.linalg.solve(wrong, turned)
    assert _distance(found, truth) <= (STATE.entries + STATE.rhs) * epsilon + 1e-11


def _by_rounded_angles(b: Tensor, bits: int) -> Tensor:
    """Return the state that a binary tree of rotations prepares, each angle to ``bits`` bits."""
    levels = max(1, (len(b) - 1).bit_length())
    padded = np.zeros(1 << levels)
    padded[: len(b)] = b.numpy()
    sizes = [np.abs(padded)]
    while len(sizes[-1]) > 1:
        sizes.append(np.hypot(sizes[-1][0::2], sizes[-1][1::2]))
    amplitudes = np.ones(1)
    for finer in reversed(sizes[:-1]):
        angles = np.arctan2(finer[1::2], finer[0::2])
        angles = np.round(angles / (2 * np.pi) * 2.0**bits) / 2.0**bits * 2 * np.pi
        halves = np.stack([np.cos(angles), np.sin(angles)], axis=1) * amplitudes[:, None]
        amplitudes = halves.ravel()
    return torch.from_numpy((amplitudes * np.sign(padded))[: len(b)])


def test_the_old_precision_of_b_missed_by_up_to_kappa():
    """b prepared to ε itself, whatever κ: 0.02 to 0.43 in place of 0.01."""
    epsilon, kappa = 1e-2, 100.0
    matrix, _, vectors = _system(16, kappa, False, 0)
    b, small = vectors[:, 0], vectors[:, -1]
    turned = _unit(b + epsilon * small)
    truth = torch.linalg.solve(matrix, b)
    assert _distance(torch.linalg.solve(matrix, turned), truth) > 40 * epsilon
    step = ErrorBudget.of(epsilon, STATE).rhs / kappa
    turned = _unit(b + step * small)
    assert _distance(torch.linalg.solve(matrix, turned), truth) <= STATE.rhs * epsilon


@pytest.mark.parametrize("indefinite", [False, True])
def test_reading_the_state_adds_its_own_tolerance(indefinite):
    epsilon, tolerance = 1e-2, 0.1
    for seed in range(10):
        matrix, _, _ = _system(64, 30.0, indefinite, seed)
        b = torch.from_numpy(np.random.default_rng(seed).standard_normal(64))
        solved = emulate(
            matrix, b, "qsvt", float(ErrorBudget.of(epsilon, STATE).relative), mode="eigen"
        )
        count = round(float(states_read(64, tolerance)))
        read = measure(solved.state, Readout(shots=count, seed=seed)).vector
        assert _distance(read, torch.linalg.solve(matrix, b)) <= epsilon + tolerance


def test_state_preparation_is_priced_at_a_precision_that_knows_kappa():
    machine, nominal = load_hardware("qubit_gate_ns_e3"), nominal_calibration()
    audit = Audit(preparation="rotations", split=STATE, readout="none", epsilon=1e-2)
    gates = {}
    for kappa in (10.0, 1e6):
        facts = kappa_facts(1024, kappa, 4)
        scenario = Scenario(facts=facts, calibration=nominal, hardware=machine, audit=audit)
        sparse = [d.breakdown for d in audited(scenario, "dalzell").designs]
        found = next(made for made in sparse if made.encoding == "sparse")
        prepared = next(term for term in found.gates if term.name == "state preparation")
        gates[kappa] = prepared.t_gates / prepared.calls
    # 1024 rotations a call, each to ε_b/(4κ·1024): 0.53·log2 of a κ 10⁵ times larger.
    added = (gates[1e6] - gates[10.0]) / 1024
    assert added == pytest.approx(0.53 * math.log2(1e5), rel=1e-6)


@pytest.mark.parametrize("rotations", [31, 422, 21_294, 290_729])
def test_a_rotation_takes_the_t_gates_that_the_estimator_reports(rotations):
    """0.53·log2(1/ε) + 4.86, rounded up; 5.3 had no source."""
    pytest.importorskip("qdk")
    from qdk.estimator import LogicalCounts  # pyright: ignore[reportMissingImports]

    rest = ("tCount", "cczCount", "ccixCount", "measurementCount")
    counts = {"numQubits": 100, "rotationCount": rotations, "rotationDepth": rotations}
    logical = LogicalCounts({**counts, **dict.fromkeys(rest, 0)})
    found = logical.estimate({"errorBudget": 0.03})
    said = found["physicalCounts"]["breakdown"]["numTsPerRotation"]
    assert said == math.ceil(rotation_t_gates(math.log2(0.01 / rotations)))


@pytest.mark.parametrize("encoded", [math.inf, math.nan])
def test_a_condition_that_is_not_finite_has_no_bits(encoded: float) -> None:
    with pytest.raises(ValueError, match="kappa of the block-encoding is"):
        value_bits(encoded, 1e-3)
