"""Digits behind a random projection: blocks that a circuit holds."""

import torch

from qnewton import QNewton
from qnewton.workloads import load_workload


def test_every_block_is_small_and_everything_is_in_float64() -> None:
    workload = load_workload("projected-digits", seed=2)
    model = workload.build_model(2)
    assert [plan.n for plan in QNewton(model, blocks=workload.newton.blocks).plan] == [15, 3, 9, 3]
    assert {p.dtype for p in model.parameters()} == {workload.train_inputs.dtype} == {torch.float64}
    assert (len(workload.train_targets), len(workload.test_targets)) == (430, 107)
    assert set(workload.train_targets.tolist()) == {0, 1, 2}


def test_the_seed_draws_the_projection_and_the_split() -> None:
    first, again, other = (load_workload("projected-digits", seed=s) for s in (0, 0, 1))
    assert torch.equal(first.train_inputs, again.train_inputs)
    assert not torch.equal(first.train_inputs, other.train_inputs)


def test_newton_reaches_its_target() -> None:
    workload = load_workload("projected-digits", seed=0)
    model = workload.build_model(0)
    optimizer = QNewton(model, lr=workload.newton_lr, damping=1.0, blocks="tensor")
    for _ in range(30):
        optimizer.step(lambda: workload.loss(model(workload.train_inputs), workload.train_targets))
    assert workload.evaluate(model)[1] >= workload.target_accuracy - 0.02
