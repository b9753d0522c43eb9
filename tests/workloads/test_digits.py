"""The bundled digits: the size the design names, split and standardised as it says."""

import itertools

import pytest
import torch

from qnewton.workloads import available_workloads, load_workload


def test_digits_has_the_paper_s_shape() -> None:
    workload = load_workload("digits", seed=0)
    assert workload.train_inputs.shape == (1437, 64)
    assert workload.test_inputs.shape == (360, 64)
    model = workload.build_model(0)
    assert sum(p.numel() for p in model.parameters()) == 1482


def test_inputs_are_standardised_by_the_training_split_alone() -> None:
    workload = load_workload("digits", seed=3)
    varies = workload.train_inputs.std(dim=0) > 0
    assert torch.allclose(workload.train_inputs.mean(dim=0), torch.zeros(64), atol=1e-5)
    assert torch.allclose(
        workload.train_inputs.std(dim=0)[varies], torch.ones(int(varies.sum())), atol=1e-5
    )
    assert workload.test_inputs.mean(dim=0).abs().max() > 1e-3


def test_the_seed_fixes_the_weights_and_leaves_the_global_generator_alone() -> None:
    workload = load_workload("digits", seed=1)
    state = torch.get_rng_state()
    first, second = workload.build_model(7), workload.build_model(7)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    other = next(workload.build_model(8).parameters())
    assert not torch.equal(next(first.parameters()), other)


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    from dataclasses import replace

    workload = replace(load_workload("digits", seed=0), batch_size=500)
    all_steps = list(itertools.islice(workload.batches(seed=5), 7))
    later = list(itertools.islice(workload.batches(seed=5, first_step=3), 4))
    for (a, _), (b, _) in zip(all_steps[3:], later, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(all_steps[0][0], all_steps[2][0])


def test_an_unknown_workload_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no workload is called 'cifar'; choose digits"):
        load_workload("cifar", seed=0)
    assert "digits" in available_workloads()
