"""The systems of averaged steps: what their records say, who else solves them, what they cost."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from qnewton import QNewton
from qnewton.cost import load_hardware, nominal_calibration
from qnewton.experiments.replay import ReplaySettings, replay
from qnewton.operators import EigenbasisOperator, LinearSystem
from qnewton.optimizer.averaged_systems import averaged_operator
from qnewton.optimizer.averages import GradientAverages
from qnewton.optimizer.buckets import Bucket
from qnewton.records import Eigenbasis, Outcome, StepRecord, decode, encode, scalars
from qnewton.solvers import solve
from qnewton.survey import survey_eigenbasis


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 30), nn.Tanh(), nn.Linear(30, 4)).double()


def batches(seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        x = torch.randn(16, 6, generator=generator, dtype=torch.float64)
        yield x, x[:, :4].sin()


def closure_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Callable[[], Tensor]:
    return lambda: (net(batch[0]) - batch[1]).square().mean().exp() - 1


def train(net: nn.Module, optimizer: QNewton, steps: int, seed: int = 0) -> list[StepRecord]:
    data = batches(seed)
    for _ in range(steps):
        optimizer.step(closure_of(net, next(data)))
    return list(optimizer.records)[-steps:]


def test_a_step_records_a_system_per_parameter_with_its_order_condition_and_price() -> None:
    net = network()
    record = train(net, QNewton(net), 3)[-1]
    assert record.averaged is not None
    names = dict(net.named_parameters())
    assert {block.name: block.n for block in record.blocks} == {
        name: parameter.numel() for name, parameter in names.items()
    }
    for block in record.blocks:
        shape = names[block.name].shape
        held, spectrum = block.facts.held, block.facts.spectrum
        assert isinstance(held, Eigenbasis)
        assert (held.left, held.right) == (tuple(shape) if len(shape) == 2 else (1, 1))
        assert spectrum.row_sparsity == held.left * held.right
        assert spectrum.condition is not None
        assert spectrum.condition.value is not None
        assert spectrum.condition.value > 1.0
        assert block.treatment.damping > 0.0
        assert (block.solver, block.outcome) == ("eigenbasis", Outcome.SOLVED)
        [quote] = block.decision.quotes
        assert quote.seconds is not None
        assert quote.seconds > 0.0
    assert record.measured.solve > 0.0
    assert str(record).count("eigenbasis 4×") == 1
    assert scalars(record)["qnewton/condition"] > 1.0
    assert decode(StepRecord, encode(record)) == record


def test_steps_share_what_was_measured_and_say_when() -> None:
    net = network()
    records = train(net, QNewton(net), 52)
    measured = [
        record.step
        for record in records
        if record.blocks[0].facts.spectrum.measured_at in (None, record.step)
    ]
    assert measured == [0, 9, 49]
    assert records[30].blocks is records[40].blocks
    assert {block.facts.spectrum.measured_at for block in records[30].blocks} == {9}
    assert "step 9 measured" in records[30].blocks[0].facts.notes[-1]


def test_a_parameter_that_is_frozen_has_no_system_and_one_that_comes_back_is_measured() -> None:
    net = network()
    optimizer = QNewton(net)
    train(net, optimizer, 4)
    net[0].weight.requires_grad_(False)
    [record] = train(net, optimizer, 1)
    assert [block.name for block in record.blocks] == ["0.bias", "2.weight", "2.bias"]
    net[0].weight.requires_grad_(True)
    [record] = train(net, optimizer, 1)
    assert record.blocks[0].name == "0.weight"
    assert record.blocks[0].facts.spectrum.measured_at is None


@pytest.mark.parametrize("solver", ["eigenbasis", "cholesky", "cg", "qsvt"])
def test_every_solver_gives_the_direction_that_was_taken(solver: str) -> None:
    net = network()
    optimizer = QNewton(net)
    train(net, optimizer, 12)
    told: dict[str, tuple[LinearSystem, Tensor]] = {}
    optimizer.register_solution_hook(
        lambda _, system, record, x: told.update({record.name: (system, x)})
    )
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    [record] = train(net, optimizer, 1, seed=5)
    assert record.averaged is not None
    for name, parameter in net.named_parameters():
        system, x = told[name]
        assert system.parameters == (parameter,)
        moved = (parameter.detach() - before[name]).flatten()
        torch.testing.assert_close(record.averaged.length * x, moved, rtol=1e-8, atol=1e-14)
        solution = solve(system, solver, tolerance=1e-8, max_products=4000)
        assert solution.solved
        torch.testing.assert_close(
            solution.direction, x, rtol=1e-4, atol=1e-4 * float(x.abs().max())
        )


def test_the_condition_number_is_that_of_the_entries() -> None:
    net = network()
    optimizer = QNewton(net)
    train(net, optimizer, 9)
    told: list[LinearSystem] = []
    optimizer.register_solution_hook(lambda _, system, *__: told.append(system))
    [record] = train(net, optimizer, 1, seed=7)
    for system, block in zip(told, record.blocks, strict=True):
        assert isinstance(system.operator, EigenbasisOperator)
        values = torch.linalg.eigvalsh(system.operator.dense())
        assert block.facts.spectrum.condition is not None
        found = block.facts.spectrum.condition.value
        assert found == pytest.approx(float(values[-1] / values[0]), rel=1e-9)
        assert block.facts.spectrum.norm == pytest.approx(float(values[-1]))


def test_a_run_is_priced_when_it_is_read_for_any_machine() -> None:
    net = network()
    records = train(net, QNewton(net), 14)
    assert all(record.modelled is None for record in records[1:])
    settings = ReplaySettings(calibration=nominal_calibration(), dtype="float64")
    alone = replay(records, "classical", settings)
    assert alone.seconds is not None
    assert alone.seconds > 0.0
    assert (alone.decisions, alone.changed) == ({"eigenbasis": 4 * 14}, 0)
    machine = load_hardware("qubit_gate_ns_e3")
    both = replay(records, "hybrid", replace(settings, hardware=machine))
    assert both.quantum_solves == 0
    attosecond = replace(settings, hardware=load_hardware("attosecond"))
    quantum = replay(records, "quantum-only", attosecond)
    assert quantum.quantum_share == 1.0
    dense = replay(records, "classical-only", replace(settings, solvers=("lu_inverse",)))
    assert dense.seconds is not None
    assert dense.seconds > alone.seconds


def test_passes_that_measure_are_part_of_the_price() -> None:
    net = network()
    first, *_, last = train(net, QNewton(net), 7)
    assert first.averaged is not None
    assert last.averaged is not None
    assert first.averaged.passes > last.averaged.passes == 1
    settings = ReplaySettings(calibration=nominal_calibration(), dtype="float64")
    seconds = [replay([record], "classical", settings).seconds or 0.0 for record in (first, last)]
    assert seconds[0] > seconds[1]


def test_an_average_that_overflows_has_a_record_without_a_spectrum() -> None:
    net = network()
    optimizer, bias = QNewton(net), net[2].bias
    assert isinstance(bias, Tensor)
    train(net, optimizer, 9)
    optimizer.counters["length.unit"] = 1e-153
    small = closure_of(net, next(batches(3)))
    optimizer.step(lambda: small() + 1e10 * bias.sum())
    record = optimizer.records[-1]
    assert record.skipped is None
    known = {block.name: block.facts.spectrum.condition for block in record.blocks}
    assert known["2.bias"] is None
    assert known["0.weight"] is not None
    assert decode(StepRecord, encode(record)).blocks[3].facts.notes == ("V is not finite",)


def test_a_resumed_run_measures_at_its_first_step_and_takes_the_same_steps() -> None:
    net, twin = network(), network()
    whole, half = QNewton(net), QNewton(twin)
    train(net, whole, 5)
    train(twin, half, 5)
    again = QNewton(twin)
    again.load_state_dict(copy.deepcopy(half.state_dict()))
    [one], [other] = train(net, whole, 1), train(twin, again, 1)
    assert one.loss == other.loss
    assert one.blocks[0].facts.spectrum.measured_at == 0
    assert other.blocks[0].facts.spectrum.measured_at is None
    assert one.forward_backward_flops == other.forward_backward_flops is not None


def test_a_step_on_zero_gradients_has_systems_of_condition_one() -> None:
    averages = GradientAverages.begin(torch.zeros(3, 2), 8)
    Bucket([torch.zeros(3, 2)], [averages], [None]).turn(torch.zeros(6), 1.0, 1)
    operator = averaged_operator(averages)[0]
    condition = survey_eigenbasis(operator).spectrum.condition
    assert condition is not None
    assert condition.value == 1.0
