"""Training through the quantum solver's read-out: what it does to steps and what is recorded."""

import math

import pytest
import torch
from torch import nn

from qnewton import QNewton, Quantum
from qnewton.cost import Market, load_hardware, nominal_calibration
from qnewton.operators import DenseOperator, LinearSystem
from qnewton.optimizer import attempts
from qnewton.optimizer.clock import StageClock
from qnewton.records import Facts
from qnewton.scheduler import step_angle
from qnewton.scheduler.offers import candidates
from qnewton.scheduler.running import run_solver
from qnewton.scheduler.step_angle import angle_between
from qnewton.solvers import solve
from qnewton.solvers.quantum import Readout
from qnewton.training.request import TrainingRequest


def trained(readout=None, epsilon=1e-6, steps=3, seed=0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    inputs, targets = torch.randn(64, 5).double(), torch.randint(0, 3, (64,))
    optimizer = QNewton(
        model,
        damping=1.0,
        policy="quantum-only",
        quantum=Quantum("attosecond", epsilon=epsilon, readout=readout),
        blocks="layer",
        seed=seed,
    )
    for _ in range(steps):
        optimizer.step(lambda: nn.functional.cross_entropy(model(inputs), targets))
    quantum = []
    for block in (b for r in optimizer.records for b in r.blocks):
        figures = block.attempts[0].quantum
        assert figures is not None
        assert figures.angle is not None
        quantum.append(figures)
    parameters = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert all(b.solver == "qsvt" for r in optimizer.records for b in r.blocks)
    return parameters, quantum


def test_the_record_holds_shots_and_the_angle():
    shots = 20_000
    _, quantum = trained(Readout(shots=shots))
    assert {q.shots for q in quantum} == {shots}
    assert {q.readout for q in quantum} == {"amplitude"}
    assert all(q.queries > 0 and 0 < q.success_probability <= 1 for q in quantum)
    # N ≤ 24 components at 10,000 shots per stage: an error of about √(N/2·shots).
    assert all(0 < q.angle < 0.1 for q in quantum)


def test_angles_shrink_with_shots_and_with_epsilon():
    def largest(**arguments):
        return max(q.angle for q in trained(**arguments)[1])

    assert largest(readout=Readout(shots=10**8)) < largest(readout=Readout(shots=10**3)) / 30
    assert largest(epsilon=1e-8) < 1e-5 < largest(epsilon=0.2)


def test_a_swap_test_points_elsewhere():
    _, quantum = trained(Readout(method="swap", shots=10**9), steps=1)
    assert all(q.angle > 0.4 for q in quantum)


def test_every_step_draws_anew_and_a_seed_repeats_it():
    readout = Readout(shots=2_000)
    one, quantum = trained(readout)
    again, _ = trained(readout)
    other, _ = trained(readout, seed=1)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert len({q.angle for q in quantum}) == len(quantum)


def test_without_shots_nothing_is_drawn():
    _, quantum = trained()
    assert {(q.readout, q.shots) for q in quantum} == {(None, None)}


def test_angles():
    v = torch.randn(100, generator=torch.Generator().manual_seed(0))
    assert angle_between(v, 3 * v) == pytest.approx(0.0, abs=1e-7)
    assert angle_between(v, -v) == pytest.approx(math.pi, abs=1e-7)
    assert angle_between(v, 0 * v) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"readout": "swap"}, "--readout swap goes with either --shots or --readout-tolerance"),
        (
            {"readout": "amplitude", "shots": 10, "readout_tolerance": 0.1},
            "either --shots or --readout-tolerance",
        ),
        ({"shots": 10}, "--readout ideal goes with no shots, but --shots is given"),
        ({"readout": "amplitude", "shots": 0}, "--shots is 0"),
    ],
)
def test_bad_requests(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingRequest(**options)


def test_the_exact_direction_beside_it_is_found_while_no_clock_runs(monkeypatch):
    running, seen = [], []
    begin, end, compare = StageClock.begin, StageClock.end, attempts.with_angle

    def begun(clock, name):
        running.append(name)
        return begin(clock, name)

    def ended(clock, name):
        running.remove(name)
        end(clock, name)

    def compared(system, solution):
        seen.append(tuple(running))
        return compare(system, solution)

    monkeypatch.setattr(StageClock, "begin", begun)
    monkeypatch.setattr(StageClock, "end", ended)
    monkeypatch.setattr(attempts, "with_angle", compared)
    trained(steps=2)
    assert seen == [()] * 4  # Two layers, two steps.


def test_a_quantum_solve_multiplies_for_itself_alone(monkeypatch):
    """What stands in the timed stage is the emulation: MINRES' products come after it."""
    matrix = torch.diag(torch.linspace(1.0, 2.0, 6, dtype=torch.float64))
    system = LinearSystem(DenseOperator(matrix), torch.ones(6, dtype=torch.float64))
    minres = []
    monkeypatch.setattr(step_angle, "solve", lambda *a, **k: minres.append(a) or solve(*a, **k))
    machine = load_hardware("attosecond")
    market = Market(nominal_calibration(), machine, 1e-6, 1e-6, "float64")
    [candidate] = [c for c in candidates(market, True, Facts(n=6)) if c.name == "qsvt"]
    solution = run_solver(candidate, system, Facts(n=6), market)
    assert solution.stats.quantum is not None
    assert (minres, solution.stats.quantum.angle) == ([], None)
    with_it = attempts.with_angle(system, solution)
    assert len(minres) == 1
    assert with_it.stats.quantum is not None
    assert with_it.stats.quantum.angle is not None
