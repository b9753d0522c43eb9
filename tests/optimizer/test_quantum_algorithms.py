"""Training by each quantum solver: the record names what was priced and what ran."""

import pytest
import torch
from torch import nn

from qnewton import Classical, QNewton, Quantum
from qnewton.cost import nominal_calibration


def step(**quantum):
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    inputs, targets = torch.randn(20, 3).double(), torch.randn(20, 2).double()
    machine = Quantum("attosecond", epsilon=1e-3, **quantum)
    optimizer = QNewton(
        model,
        damping=0.1,
        policy="quantum-only",
        quantum=machine,
        classical=Classical(calibration=nominal_calibration()),
    )

    def closure():
        optimizer.zero_grad()
        loss = (model(inputs) - targets).square().mean()
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
    return optimizer.records[-1].blocks[0]


@pytest.mark.parametrize("algorithm", ["dalzell", "hhl", "costa"])
def test_the_named_algorithm_is_chosen_run_and_recorded(algorithm):
    block = step(algorithm=algorithm)
    assert block.decision.chosen == algorithm
    assert [q.solver for q in block.decision.quotes if q.machine == "quantum"] == [algorithm]
    attempt = block.attempts[-1]
    found = attempt.quantum
    assert found is not None
    assert (attempt.solver, found.algorithm) == (algorithm, algorithm)
    assert found.angle is not None
    assert found.angle < 0.01


def test_without_a_name_the_papers_policy_takes_qsvt_as_before():
    block = step()
    found = block.attempts[-1].quantum
    assert found is not None
    assert block.decision.chosen == found.algorithm == "qsvt"
    # The second step knows how long the first one's solution was.
    for gain in (block.facts.solution_gain, block.solution_gain):
        assert gain is not None
        assert gain >= 1.0
