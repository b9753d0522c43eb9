"""Training with the quantum solver's circuits in place of its emulator."""

import copy
import pickle
import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from qnewton import Limits, QNewton, Quantum
from qnewton.records import QuantumStats, decode, encode
from qnewton.solvers.quantum import Readout
from qnewton.solvers.quantum.circuits import GateByGate
from qnewton.training.request import TrainingRequest


def small_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def trained(execute, readout=None, steps=3):
    model = small_model()
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    targets = (inputs[:, 0] * inputs[:, 1] > 0).long()
    optimizer = QNewton(
        model,
        damping=0.3,
        policy="quantum-only",
        quantum=Quantum("attosecond", epsilon=1e-10, readout=readout, execute=execute),
        blocks="tensor",  # of 16, 4, 8 and 2 unknowns
    )
    directions = []
    optimizer.register_solution_hook(lambda _, system, record, x: directions.append(x.clone()))
    for _ in range(steps):
        optimizer.step(lambda: cross_entropy(model(inputs), targets))
    return directions, optimizer


def test_circuits_take_the_emulator_s_steps():
    emulated, executed = trained("emulator"), trained("circuit")
    assert [len(x) for x in executed[0][:4]] == [16, 4, 8, 2]
    for one, other in zip(emulated[0], executed[0], strict=True):
        assert float((one - other).norm()) <= 1e-8 * float(one.norm())
    for record in executed[1].records:
        assert [block.solver for block in record.blocks] == ["qsvt"] * 4
        figures = [block.attempts[0].quantum for block in record.blocks]
        assert {found.execution for found in figures if found is not None} == {"circuit"}


def test_shots_are_the_same_in_every_run():
    readout = Readout(shots=2_000)
    first, second = (trained(each, readout, steps=1)[0] for each in (GateByGate(), "circuit"))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    exact = trained("circuit", steps=1)[0]
    # 2,000 shots of 16 components: about √(16/2,000) of the length.
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(first[:4], exact[:4], strict=True)]
    assert all(1e-4 < error < 0.3 for error in errors)


def test_a_copy_is_executed_as_the_original_is():
    _, optimizer = trained("circuit", steps=1)
    assert copy.deepcopy(optimizer).market.execution == GateByGate()
    assert pickle.loads(pickle.dumps(GateByGate())) == GateByGate()


def test_a_block_too_large_for_a_circuit_is_refused_before_training():
    asked = {"damping": 1.0, "blocks": "tensor"}
    by_circuit = Quantum("attosecond", execute="circuit")
    needed = (
        r"block '0\.weight': the system has 320 unknowns; circuits encode at most 256: .*max_newton"
    )
    model = nn.Sequential(nn.Linear(20, 16), nn.Linear(16, 2))
    with pytest.raises(ValueError, match=needed):
        QNewton(model, policy="quantum-only", quantum=by_circuit, **asked)
    # Neither a block without a system is in the way, nor a policy that runs no quantum solver.
    limits = Limits(max_newton=256)
    QNewton(model, policy="quantum-only", quantum=by_circuit, limits=limits, **asked)
    QNewton(model, policy="classical", quantum=by_circuit, **asked)


def test_what_executes_is_known_and_installed(monkeypatch):
    with pytest.raises(ValueError, match="execute is 'machine'; choose emulator, circuit"):
        Quantum("attosecond", execute="machine")
    for name in [name for name in sys.modules if name.startswith("qnewton.solvers.quantum.circ")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "qiskit", None)
    with pytest.raises(ValueError, match=r"need qiskit; pip install 'qnewton\[quantum\]'"):
        Quantum("attosecond", execute="circuit")


def test_records_and_requests_of_before_were_emulated():
    _, optimizer = trained("circuit", steps=1)
    written = encode(optimizer.records[0].blocks[0].attempts[0].quantum)
    assert written.pop("execution") == "circuit"
    assert decode(QuantumStats, written).execution == "emulator"
    options = encode(TrainingRequest(execute="circuit"))
    assert options.pop("execute") == "circuit"
    assert decode(TrainingRequest, options).execute == "emulator"
