"""Bare steps of an attached model are the Newton steps that a closure would have given."""

import copy
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qnewton import Classical, Limits, QNewton
from qnewton.cost import nominal_calibration
from tests.cases import flat

CLASSICAL = Classical(calibration=nominal_calibration())


class Classifier(nn.Module):
    """Returns its loss when given targets, as the models of transformers do."""

    def __init__(self, *middle: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), *middle, nn.Tanh(), nn.Linear(6, 3))

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.layers(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def loss_of(output: dict[str, Tensor]) -> Tensor:
    return output["loss"]


def make(*middle: nn.Module) -> Classifier:
    torch.manual_seed(0)
    return Classifier(*copy.deepcopy(middle)).double()


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(16, 4, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 3, (16,), generator=generator)


def closure_of(model: Classifier, x: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    return lambda: model(x, labels=labels)["loss"]


def build(model: nn.Module, **settings: Any) -> QNewton:
    # Without a limit steps on batches are the same as on all data, whose systems are compared here.
    free = Limits(budget=math.inf)
    return QNewton(model, blocks="full", classical=CLASSICAL, limits=free, **settings)


@pytest.mark.parametrize("middle", [(), (nn.Dropout(0.5),), (nn.BatchNorm1d(6),)])
@pytest.mark.parametrize("warmup", [0, 2])
def test_a_loop_without_closures_takes_the_same_steps(
    middle: tuple[nn.Module, ...], warmup: int
) -> None:
    model, twin = make(*middle), make(*middle)
    optimizer, reference = build(model, warmup=warmup), build(twin, warmup=warmup)
    optimizer.attach(model, loss_of)
    for step in range(4):
        x, labels = batch(step)
        state = torch.get_rng_state()
        optimizer.zero_grad()
        loss = model(x, labels=labels)["loss"]
        loss.backward()
        used = torch.get_rng_state()
        assert optimizer.step() is None
        assert torch.equal(torch.get_rng_state(), used)  # repeating consumed no random numbers
        torch.set_rng_state(state)
        reference.step(closure_of(twin, x, labels))
        # The same operations on the same numbers, but for the order of a sum or two.
        assert torch.allclose(flat(model), flat(twin), rtol=0, atol=1e-12)
        assert optimizer.records[-1].loss == pytest.approx(loss.item(), rel=1e-14)
        assert optimizer.records[-1].phase == reference.records[-1].phase
    for mine, its in zip(model.buffers(), twin.buffers(), strict=True):
        assert torch.equal(mine, its)  # running statistics saw every batch once


def test_accumulation_and_clipping_count() -> None:
    model, twin = make(), make()
    optimizer, reference = build(model), build(twin)
    optimizer.attach(model, loss_of)
    batches = [batch(seed) for seed in range(3)]
    for x, labels in batches:
        (model(x, labels)["loss"] / 3).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    optimizer.step()

    def closure() -> Tensor:
        reference.zero_grad()
        loss = torch.stack([twin(x, labels)["loss"] for x, labels in batches]).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 0.01)
        return loss

    reference.step(closure)
    assert optimizer.records[-1].gradient_norm == pytest.approx(0.01, rel=1e-3)
    assert torch.allclose(flat(model), flat(twin), rtol=0, atol=1e-12)


def test_gradients_stay_as_the_loop_left_them() -> None:
    model = make()
    optimizer = build(model)
    optimizer.attach(model, loss_of)
    model(*batch(0))["loss"].backward()
    before = [(p.grad, p.grad.clone()) for p in model.parameters() if p.grad is not None]
    optimizer.step()
    for parameter, (gradient, values) in zip(model.parameters(), before, strict=True):
        assert parameter.grad is gradient
        assert torch.equal(gradient, values)


@pytest.mark.parametrize("how", ["no_grad", "eval", "before"])
def test_passes_that_are_not_trained_on_are_not_repeated(how: str) -> None:
    model, twin = make(), make()
    optimizer, reference = build(model), build(twin)
    optimizer.attach(model, loss_of)
    if how == "before":
        model(*batch(5))  # a pass whose loss nobody differentiates
    model(*batch(0))["loss"].backward()
    if how == "no_grad":
        with torch.no_grad():
            model(*batch(1))
    if how == "eval":
        model.eval()
        model(*batch(1))
        model.train()
    optimizer.step()
    reference.step(lambda: twin(*batch(0))["loss"])
    assert torch.allclose(flat(model), flat(twin), rtol=0, atol=1e-12)


def test_the_autocast_of_the_pass_is_repeated() -> None:
    model, twin = make().float(), make().float()
    optimizer, reference = build(model), build(twin)
    optimizer.attach(model, loss_of)
    x, labels = batch(0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(x.float(), labels)["loss"]
    loss.backward()
    optimizer.step()

    def closure() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return twin(x.float(), labels)["loss"]

    reference.step(closure)
    assert torch.allclose(flat(model), flat(twin), rtol=0, atol=1e-6)


def test_a_loss_that_the_loop_does_not_differentiate_is_refused() -> None:
    model = make()
    optimizer = build(model)
    optimizer.attach(model, lambda output: output["loss"] * 1.0)
    model(*batch(0))["loss"].backward()
    with pytest.raises(
        ValueError, match=r"backward never reached the loss .* such as output\.loss"
    ):
        optimizer.step()


def test_without_a_pass_a_bare_step_is_first_order() -> None:
    model = make()
    optimizer = build(model)
    optimizer.attach(model, loss_of)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with pytest.warns(UserWarning, match="without a closure"):
        optimizer.step()


def test_a_removed_attachment_watches_no_more() -> None:
    model = make()
    optimizer = build(model)
    first = optimizer.attach(model, loss_of)
    second = optimizer.attach(model, loss_of)
    model(*batch(0))["loss"].backward()
    assert (first.has_passes, second.has_passes) == (False, True)
    second.remove()
    with pytest.warns(UserWarning, match="without a closure"):
        optimizer.step()
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: reload(model)])
def test_copies_of_the_model_are_not_watched(duplicate: Callable[[nn.Module], nn.Module]) -> None:
    model = make()
    attachment = build(model).attach(model, loss_of)
    duplicate(model)(*batch(0))["loss"].backward()
    assert not attachment.has_passes


def reload(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_nothing_piles_up_over_many_steps() -> None:
    model = make()
    optimizer = build(model, warmup=1000)
    attachment = optimizer.attach(model, loss_of)
    for step in range(20):
        optimizer.zero_grad()
        model(*batch(step))["loss"].backward()
        optimizer.step()
        assert not attachment.has_passes
