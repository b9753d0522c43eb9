"""F = (1/m) Σ g_i g_iᵀ over the m samples that the loss's own mean counts."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qnewton import QNewton
from qnewton.curvature import systems
from tests.curvature.model_table import draw

N, T, C = 6, 3, 4
VALID = torch.tensor([True, False, True, True, False, True])
KEPT = VALID.double()
LABELS = torch.arange(N) % C
IGNORED = torch.where(VALID, LABELS, -100)
TOKENS = (torch.arange(N * T) % C).view(N, T)
# Of sequence 0 one token counts, of 1 and 4 none, of the others all.
SEQUENCES = TOKENS.masked_fill(~VALID[:, None], -100)
SEQUENCES[0, 1:] = -100

Loss = Callable[[Tensor], Tensor]


def each(f: Tensor) -> Tensor:
    return F.cross_entropy(f, LABELS, reduction="none")


def of_sequences(f: Tensor) -> Tensor:
    """Return each sequence's share in the mean over four of them that count, of ten tokens."""
    losses = F.cross_entropy(f.movedim(-1, 1), SEQUENCES, reduction="none")
    return losses.sum(1)[VALID] * 4 / 10


def hinge(f: Tensor) -> Tensor:
    signs = torch.where(LABELS % 2 == 0, 1.0, -1.0).double()
    return (0.2 - signs * f[:, 0] * VALID).clamp(min=0) * VALID


def smoothed(f: Tensor) -> Tensor:
    return F.cross_entropy(f, LABELS, label_smoothing=0.1, reduction="none")[VALID]


def of_hugging_face(f: Tensor) -> Tensor:
    """Return what the Trainer's label smoother computes."""
    log_probs = -F.log_softmax(f, -1)
    padding = SEQUENCES.unsqueeze(-1).eq(-100)
    labels = SEQUENCES.clamp(min=0).unsqueeze(-1)
    nll = log_probs.gather(-1, labels).masked_fill(padding, 0.0)
    smooth = log_probs.sum(-1, keepdim=True).masked_fill(padding, 0.0)
    active = padding.numel() - padding.long().sum()
    return 0.9 * nll.sum() / active + 0.1 * smooth.sum() / (active * C)


def of_hugging_face_by_sequence(f: Tensor) -> Tensor:
    log_probs = -F.log_softmax(f, -1)
    counts = SEQUENCES != -100
    nll = log_probs.gather(-1, SEQUENCES.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    tokens = (0.9 * nll + 0.1 * log_probs.mean(-1)) * counts
    return tokens.sum(1)[VALID] * 4 / 10


WEIGHTS = torch.tensor([1.0, 3.0, 0.5, 2.0], dtype=torch.float64)
SOME_WEIGHTS = torch.tensor([1.0, 0.0, 0.5, 2.0], dtype=torch.float64)
WEIGHED = WEIGHTS[LABELS] / WEIGHTS[LABELS].sum()

# Shape of the output, the closure's loss, and the losses ℓ_i of the samples it is the mean of.
MEANS: dict[str, tuple[tuple[int, ...], Loss, Loss]] = {
    "ignore_index": (
        (N, C),
        lambda f: F.cross_entropy(f, IGNORED),
        lambda f: each(f)[VALID],
    ),
    "another ignore_index": (
        (N, C),
        lambda f: F.cross_entropy(f, LABELS, ignore_index=1),
        lambda f: each(f)[LABELS != 1],
    ),
    "label smoothing and ignore_index": (
        (N, C),
        lambda f: F.cross_entropy(f, IGNORED, label_smoothing=0.1),
        smoothed,
    ),
    "tokens": (
        (N, T, C),
        lambda f: F.cross_entropy(f.flatten(0, 1), SEQUENCES.flatten()),
        of_sequences,
    ),
    "tokens, classes second": (
        (N, T, C),
        lambda f: F.cross_entropy(f.movedim(-1, 1), SEQUENCES),
        of_sequences,
    ),
    "shifted tokens": (
        (N, T + 1, C),
        lambda f: F.cross_entropy(f[:, :-1].reshape(-1, C), SEQUENCES.flatten()),
        lambda f: of_sequences(f[:, :-1]),
    ),
    "Hugging Face's label smoother": ((N, T, C), of_hugging_face, of_hugging_face_by_sequence),
    "a mask whose sum divides": (
        (N, C),
        lambda f: (each(f) * KEPT).sum() / KEPT.sum(),
        lambda f: each(f)[VALID],
    ),
    "a mask of tokens whose sum divides": (
        (N, T, C),
        lambda f: (
            (F.cross_entropy(f.movedim(-1, 1), TOKENS, reduction="none") * (SEQUENCES >= 0)).sum()
            / (SEQUENCES >= 0).sum()
        ),
        of_sequences,
    ),
    "losses selected": ((N, C), lambda f: each(f)[VALID].mean(), lambda f: each(f)[VALID]),
    "outputs selected": (
        (N, C),
        lambda f: F.cross_entropy(f[VALID], LABELS[VALID]),
        lambda f: each(f)[VALID],
    ),
    "the first outputs": (
        (N, C),
        lambda f: f[:4].square().mean(),
        lambda f: f[:4].square().mean(1),
    ),
    "an output dropped": (
        (N, C),
        lambda f: F.mse_loss(f[1:], torch.ones(N - 1, C).double()),
        lambda f: (f[1:] - 1).square().mean(1),
    ),
    "a mask below the mean": (
        (N, C),
        lambda f: (each(f) * KEPT).mean(),
        lambda f: each(f) * KEPT,
    ),
    "ignored losses below the mean": (
        (N, C),
        lambda f: F.cross_entropy(f, IGNORED, reduction="none").mean(),
        lambda f: each(f) * KEPT,
    ),
    "a sum over all": ((N, C), lambda f: (each(f) * KEPT).sum() / N, lambda f: each(f) * KEPT),
    "a hinge that is satisfied": ((N, 1), lambda f: hinge(f).mean(), hinge),
    "class weights": (
        (N, C),
        lambda f: F.cross_entropy(f, LABELS, weight=WEIGHTS),
        lambda f: N * WEIGHED * each(f),
    ),
    "a class of weight zero": (
        (N, C),
        lambda f: F.cross_entropy(f, LABELS, weight=SOME_WEIGHTS),
        lambda f: (
            (each(f) * SOME_WEIGHTS[LABELS])[LABELS != 1]
            * (LABELS != 1).sum()
            / SOME_WEIGHTS[LABELS].sum()
        ),
    ),
    "sample weights that sum to one": (
        (N, C),
        lambda f: (each(f) * WEIGHED).sum(),
        lambda f: N * WEIGHED * each(f),
    ),
    "half of a mean": (
        (N, C),
        lambda f: (f - 1).square().sum() / (2 * N),
        lambda f: (f - 1).square().sum(1) / 2,
    ),
    "a hundred means": (
        (N, C),
        lambda f: 100 * (f - 1).square().sum() / N,
        lambda f: 100 * (f - 1).square().sum(1),
    ),
    "a sum times the share": (
        (N, C),
        lambda f: (f - 1).square().sum() * (1 / N),
        lambda f: (f - 1).square().sum(1),
    ),
    "a penalty beside it": (
        (N, C),
        lambda f: F.cross_entropy(f, IGNORED) + 0.0 * f.detach().sum(),
        lambda f: each(f)[VALID],
    ),
}

SUMS: dict[str, tuple[Loss, Loss]] = {
    "cross entropy": (lambda f: F.cross_entropy(f, LABELS, reduction="sum"), each),
    "ignored": (lambda f: F.cross_entropy(f, IGNORED, reduction="sum"), lambda f: each(f)[VALID]),
    "half of the squares": (
        lambda f: 0.5 * (f - 1).square().sum(),
        lambda f: (f - 1).square().sum(1) / 2,
    ),
    "squares halved": (
        lambda f: ((f - 1).square() / 2).sum(),
        lambda f: (f - 1).square().sum(1) / 2,
    ),
    "squares": (lambda f: (f - 1).square().sum(), lambda f: (f - 1).square().sum(1)),
    "mse": (
        lambda f: F.mse_loss(f, torch.ones_like(f), reduction="sum"),
        lambda f: (f - 1).square().sum(1),
    ),
}


class Scaled(nn.Module):
    """A linear layer and a parameter without one, so that columns take a backward pass each."""

    def __init__(self, outputs: int):
        super().__init__()
        self.layer, self.scale = nn.Linear(5, outputs), nn.Parameter(torch.ones(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x)) * self.scale


def network(route: str, outputs: int) -> nn.Module:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, outputs))
    return (plain if route == "one pass" else Scaled(outputs)).double()


def columns(net: nn.Module, losses: Tensor) -> Tensor:
    """Return [g_1 … g_m], each by a backward pass of its own."""
    found = [
        torch.autograd.grad(loss, list(net.parameters()), retain_graph=True) for loss in losses
    ]
    return torch.stack([torch.cat([g.flatten() for g in gradients]) for gradients in found], 1)


def fisher(net: nn.Module, closure: Callable[[], Tensor], **given: Any) -> tuple[Tensor, str]:
    [system] = systems(net, closure, kind="fisher", blocks="full", **given)
    assert system.curvature is not None
    return system.operator.dense(), system.curvature.reason


@pytest.mark.parametrize("route", ["one pass", "generic"])
@pytest.mark.parametrize("name", MEANS)
def test_the_scale_is_that_of_the_losses_own_mean(name, route):
    shape, loss, losses = MEANS[name]
    net, x = network(route, shape[-1]), draw(*shape[:-1], 5)
    each_gradient = columns(net, losses(net(x)))
    counted = each_gradient.shape[1]
    entries, reason = fisher(net, lambda: loss(net(x)))
    gradient = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    torch.testing.assert_close(each_gradient.mean(1), gradient)
    torch.testing.assert_close(entries, each_gradient @ each_gradient.mT / counted)
    assert ("the loss is the mean over" in reason) == (counted < N)


@pytest.mark.parametrize("route", ["one pass", "generic"])
@pytest.mark.parametrize("reduction", [None, "sum"])
@pytest.mark.parametrize("name", SUMS)
def test_a_sum_has_no_mean_and_is_recognised(name, reduction, route):
    loss, losses = SUMS[name]
    net, x = network(route, C), draw(N, 5)
    each_gradient = columns(net, losses(net(x)))
    entries, _ = fisher(net, lambda: loss(net(x)), reduction=reduction)
    torch.testing.assert_close(entries, each_gradient @ each_gradient.mT)


def test_what_the_caller_says_counts_more_than_the_graph():
    net, x = network("one pass", C), draw(N, 5)
    each_gradient = columns(net, (net(x) - 1).square().sum(1))
    entries, _ = fisher(net, lambda: (net(x) - 1).square().sum(), reduction="mean")
    torch.testing.assert_close(entries, N * each_gradient @ each_gradient.mT)


def test_saturated_samples_count():
    net = nn.Linear(1, 2, bias=False)
    net.weight.data = torch.tensor([[200.0], [-200.0]])
    x = torch.tensor([[1.0], [1.0], [1e-3]])
    closure = lambda: F.cross_entropy(net(x), torch.zeros(3, dtype=torch.long))  # noqa: E731
    slope = columns(net, F.cross_entropy(net(x), torch.zeros(3).long(), reduction="none"))
    assert not slope[:, :2].any()
    entries, _ = fisher(net, closure)
    torch.testing.assert_close(entries, slope @ slope.mT / 3)


@pytest.mark.parametrize("targets", [LABELS, IGNORED])
def test_micro_batches_in_one_closure_are_shares_of_one_mean(targets):
    net, x = network("one pass", C), draw(N, 5)
    counted = targets >= 0
    each_gradient = columns(net, each(net(x))[counted])

    def closure() -> Tensor:
        net.zero_grad()
        total = torch.zeros((), dtype=torch.float64)
        for rows in (slice(0, 2), slice(2, 6)):
            loss = F.cross_entropy(net(x[rows]), targets[rows], reduction="sum") / counted.sum()
            loss.backward()
            total += loss.detach()
        return total

    for _ in range(2):
        entries, _ = fisher(net, closure)
        torch.testing.assert_close(entries, each_gradient @ each_gradient.mT / int(counted.sum()))


UNKNOWN: dict[str, Loss] = {
    "half of a masked mean": lambda f: 0.5 * (each(f) * KEPT).sum() / 3.7,
    "two means": lambda f: F.cross_entropy(f, IGNORED) + 0.1 * (each(f) * KEPT).mean(),
    "a hinge of selected samples": lambda f: (
        (0.2 - f[:4, 0]).clamp(max=-9.0).mean() + 0.0 * f[:3].sum()
    ),
}


@pytest.mark.parametrize("route", ["one pass", "generic"])
@pytest.mark.parametrize("name", UNKNOWN)
def test_a_scale_that_nothing_tells_is_refused(name, route):
    net, x = network(route, C), draw(N, 5)
    with pytest.raises(ValueError, match=r"of 6 samples contribute nothing .*losses\[mask\]"):
        fisher(net, lambda: UNKNOWN[name](net(x)))


def test_a_step_is_that_of_the_samples_that_count():
    steps = []
    for rows, targets in ((slice(None), IGNORED), (VALID, LABELS[VALID])):
        net = network("one pass", C)
        x = draw(N, 5)[rows]
        optimizer = QNewton(net, curvature="fisher", damping=0.1, policy="classical")
        optimizer.step(lambda net=net, x=x, y=targets: F.cross_entropy(net(x), y))
        steps.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    torch.testing.assert_close(*steps)
