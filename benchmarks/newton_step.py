"""How long does one whole Newton step take at N = 13,002, beside ``jax.hessian`` and LU inversion?

The paper's 784-16-16-10 network as one block, batch 2,048, float32, λ fixed. Ours is
``QNewton.step`` under policy ``classical``: closure, backward pass, curvature, facts, quotes,
solve, update. The peer's is the jitted ``jax.hessian``, ``jax.numpy.linalg.inv`` (LU) of H + λI,
times the gradient. Both residuals are taken with Hessian products in float64.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.harness import (
    INSTALL,
    REPEATS,
    Contender,
    Report,
    Row,
    Say,
    available_bytes,
    describe_machine,
    interleave,
    missing_peers,
    reached,
    speed,
)
from benchmarks.jax_hessian import as_tensor, jax_hessian
from benchmarks.problems import Problem, mnist_mlp
from benchmarks.timed_step import TimedStep


@dataclass(frozen=True)
class _Reach:
    """What is aimed at for one λ.

    Attributes:
        speed: Over the peer; ``None`` for no aim.
        seconds: Of a step; ``None`` for no aim.
        residual: Of our direction.
    """

    speed: float | None
    seconds: float | None
    residual: float


# At λ = 0.1 the matrix is indefinite, and 2.3e-6 is what LDLᵀ in float32 leaves, refined.
STRENGTHS = {1.0: _Reach(30, None, 1e-6), 0.1: _Reach(None, 4.0, 2.5e-6)}
# The Hessian's temporaries, and the copies that LU inversion makes.
JAX_BYTES = 16_000_000_000


def measure(say: Say) -> Report:
    """Time a step of each at every λ, and check both directions."""
    no_jax = _why_no_jax()
    rows: list[Row] = []
    timings, facts = {}, {}
    for strength, reach in STRENGTHS.items():
        problem = mnist_mlp()
        title = f"Newton step, {problem.name}, N = {problem.n:,}, λ = {strength:g}"
        step = TimedStep(problem, damping=strength, blocks="full", policy="classical")
        runs: dict[str, _Kept] = {f"qnewton, λ = {strength:g}": _Kept(step)}
        if no_jax is None:
            peer = _jax_direction(problem, strength)
            runs[f"jax.hessian + LU inversion, λ = {strength:g}"] = _Kept(peer)
        contenders: list[Contender[None]] = []
        for name, run in runs.items():
            slow = run.run is not step or reach.speed is None
            contenders.append(Contender(name, run, repeats=1 if slow else REPEATS, slower=slow))
        found = interleave(contenders, say)
        timings |= found
        residuals = {name: _residual(problem, strength, run.last()) for name, run in runs.items()}
        facts[title] = {"residuals": residuals, "data": problem.data, **step.described()}
        say(f"{facts[title]}")
        ours, *theirs = found.values()
        if theirs:
            rows.append(speed(title, reach.speed, ours, theirs[0]))
        else:
            rows.append(Row(f"{title}: speed over jax", "", no_jax or "", "not measured"))
        if reach.seconds is not None:
            taken = f"{ours.median:.2g} s"
            fast = ours.median <= reach.seconds
            rows.append(reached(f"{title}: seconds", f"≤ {reach.seconds:g} s", taken, fast))
        rows += _residual_rows(title, residuals, reach.residual)
    return Report("newton_step", rows, describe_machine(), timings, facts=facts)


def _residual_rows(title: str, residuals: dict[str, float], most: float) -> list[Row]:
    """Return a row for each direction, of which ours, the first, is aimed at ``most``."""
    ours, *peers = ((f"{title}: residual of {name}", r) for name, r in residuals.items())
    question, found = ours
    return [
        reached(question, f"≤ {most:g}", f"{found:.1e}", found <= most),
        *(Row(asked, "", f"{r:.1e}", "") for asked, r in peers),
    ]


@dataclass
class _Kept:
    """A run whose direction is kept: minutes are not spent twice."""

    run: Callable[[], Tensor]
    _direction: Tensor | None = None

    def __call__(self) -> None:
        self._direction = None
        self._direction = self.run()

    def last(self) -> Tensor:
        """Return what the last run found."""
        if self._direction is None:
            raise RuntimeError("nothing was run yet")
        return self._direction


def _why_no_jax() -> str | None:
    if missing_peers("jax"):
        return f"jax is missing: {INSTALL}"
    if available_bytes() < JAX_BYTES:
        return (
            f"jax needs {JAX_BYTES / 1e9:.0f} GB and {available_bytes() / 1e9:.1f} GB are free: "
            "end other programs or use a larger machine"
        )
    return None


def _jax_direction(problem: Problem, strength: float) -> Callable[[], Tensor]:
    """Return a run of the paper's recipe: the whole Hessian, its damped inverse, one product."""
    # A peer: installed with the extra ``bench`` only.
    import jax  # pyright: ignore[reportMissingImports]  # extra
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]  # extra

    hessian = jax_hessian(problem)
    gradient = jnp.asarray(_gradient(problem).numpy())

    def solve(entries: Any, rhs: Any) -> Any:
        damped = entries + strength * jnp.eye(problem.n, dtype=entries.dtype)
        return -(jnp.linalg.inv(damped) @ rhs)

    compiled = jax.jit(solve)
    return lambda: as_tensor(compiled(hessian(), gradient).block_until_ready())


def _gradient(problem: Problem) -> Tensor:
    loss = problem.closure()
    gradients = torch.autograd.grad(loss, list(problem.model.parameters()))
    return torch.cat([g.flatten() for g in gradients])


def _residual(problem: Problem, strength: float, direction: Tensor) -> float:
    """Return ‖(H + λI)x + g‖/‖g‖, all of it in float64 and by double backward."""
    model = copy.deepcopy(problem.model).double()
    parameters = list(model.parameters())
    loss = cross_entropy(model(problem.inputs.double()), problem.targets)
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    gradient = torch.cat([g.flatten() for g in gradients])
    x = direction.detach().double()
    products = torch.autograd.grad(gradient @ x, parameters)
    curved = torch.cat([p.flatten() for p in products])
    return float((curved + strength * x + gradient.detach()).norm() / gradient.detach().norm())
