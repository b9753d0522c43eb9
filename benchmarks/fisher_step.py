"""How long does an empirical-Fisher step of 16,384 parameters take, beside forming and inverting?

One 128 × 128 layer, batch 128, float32. Ours is ``QNewton.step`` with ``curvature="fisher"`` and
policy ``classical``. The peer forms F + λI from per-sample gradients of ``torch.func`` and inverts
it by LU, as the paper's recipe does. Both residuals are taken in float64.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from benchmarks.harness import (
    Contender,
    Report,
    Say,
    describe_machine,
    interleave,
    reached,
    speed,
)
from benchmarks.problems import Problem
from benchmarks.timed_step import TimedStep

WIDTH = 128
BATCH = 128
STRENGTH = 0.1
REACH = 500
RESIDUAL = 1e-6


def measure(say: Say) -> Report:
    """Time a step of each, and check both directions."""
    problem = _layer()
    title = f"empirical-Fisher step, {problem.name}, λ = {STRENGTH:g}"
    step = TimedStep(problem, curvature="fisher", damping=STRENGTH, policy="classical")
    contenders: list[Contender[Tensor]] = [
        Contender("qnewton", step),
        Contender("forming + LU inversion", _recipe(problem), repeats=1, slower=True),
    ]
    timings = interleave(contenders, say)
    residuals = {c.name: _residual(problem, c.run()) for c in contenders}
    say(f"residuals: {residuals}; {step.described()}")
    rows = [
        speed(title, REACH, timings["qnewton"], timings["forming + LU inversion"]),
        *(
            reached(f"{title}: residual of {name}", f"≤ {RESIDUAL:g}", f"{r:.1e}", r <= RESIDUAL)
            for name, r in residuals.items()
        ),
    ]
    facts = {"residuals": residuals, "data": problem.data, **step.described()}
    return Report("fisher_step", rows, describe_machine(), timings, facts=facts)


def _layer() -> Problem:
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(WIDTH, WIDTH, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(WIDTH, WIDTH, generator=generator) / WIDTH**0.5)
    return Problem(
        f"one {WIDTH} × {WIDTH} layer, batch {BATCH}",
        "standard normal inputs, random labels",
        nn.Sequential(layer),
        torch.randn(BATCH, WIDTH, generator=generator),
        torch.randint(0, WIDTH, (BATCH,), generator=generator),
    )


def _sample_gradients(problem: Problem) -> Tensor:
    """Return each sample's gradient, shape [B, N], by ``torch.func``."""
    parameters = {name: p.detach() for name, p in problem.model.named_parameters()}

    def loss(values: dict[str, Tensor], x: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(functional_call(problem.model, values, (x,)), target)

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, problem.inputs, problem.targets)
    return torch.cat([g.flatten(1) for g in found.values()], dim=1)


def _recipe(problem: Problem) -> Callable[[], Tensor]:
    def run() -> Tensor:
        rows = _sample_gradients(problem)
        matrix = rows.mT @ rows / len(rows)
        matrix.diagonal().add_(STRENGTH)
        return -(torch.linalg.inv(matrix) @ rows.mean(0))

    return run


def _residual(problem: Problem, direction: Tensor) -> float:
    rows = _sample_gradients(problem).double()
    gradient, x = rows.mean(0), direction.detach().double()
    curved = rows.mT @ (rows @ x) / len(rows) + STRENGTH * x
    return float((curved + gradient).norm() / gradient.norm())
