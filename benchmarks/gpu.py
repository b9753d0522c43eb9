"""Does everything run on a GPU, with the same steps, and what is it worth there?

Every kind of curvature and of block takes steps on the processor and on the GPU from the same
parameters in float64; then steps are timed on both, and the kernels of classical solvers beside
what the profile ``h100`` models for one card. Without a CUDA device one row says so.

    python -m benchmarks gpu
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.harness import Report, Row, Say, describe_machine, reached
from qnewton import QNewton, Residuals, least_squares
from qnewton.cost import cholesky_quote, kappa_facts, load_classical, lu_quote
from qnewton.operators import DenseOperator, LinearSystem
from qnewton.solvers import solve

AGREEMENT = 1e-6
"""Relative difference of losses after a few steps: sums in another order, then amplified."""

_STEPS, _WARM, _TIMED = 4, 3, 10
_SIZES = (1482, 4096, 12544)
_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_CPU, _GPU = "cpu", "cuda"

STEPS: Mapping[str, Mapping[str, Any]] = {
    "nothing set": {},
    "exact Hessian, all parameters": {"damping": 1.0, "blocks": "full", "curvature": "hessian"},
    "exact Hessian, by layers": {"damping": 1.0, "blocks": "layer", "curvature": "hessian"},
    "exact Hessian, by tensors": {"damping": 1.0, "blocks": "tensor", "curvature": "hessian"},
    "Gauss-Newton": {"damping": 1.0, "curvature": "ggn"},
    "empirical Fisher": {"damping": 1.0, "curvature": "fisher"},
    "pruned to half of each row": {"damping": 1.0, "prune": 0.5},
    "damping that sets itself, exact Hessian": {"curvature": "hessian"},
    "policy paper": {"damping": 1.0, "policy": "paper", "quantum": "attosecond"},
    "policy hybrid": {"damping": 1.0, "policy": "hybrid", "quantum": "attosecond"},
    "policy quantum-only, emulated": {
        "damping": 1.0,
        "policy": "quantum-only",
        "quantum": "attosecond",
        "blocks": "layer",
    },
}


@dataclass(frozen=True)
class Problem:
    """A model with the closure of a batch.

    Attributes:
        model: The model, on its device.
        closure: Returns its loss, or its residuals.
        draw: Draws the next batch, where there are batches.
    """

    model: nn.Module
    closure: Callable[[], Any]
    draw: Callable[[], None] = lambda: None

    @property
    def unknowns(self) -> int:
        """Parameters."""
        return sum(p.numel() for p in self.model.parameters())


def measure(say: Say) -> Report:
    """Compare steps, then time them and the kernels."""
    machine = describe_machine()
    if not torch.cuda.is_available():
        none = Row("steps on a GPU", "", "there is no CUDA device here", "not measured")
        return Report("gpu", [none], machine)
    rows: list[Row] = []
    for row in (*_agreements(), *_step_times(), *_kernel_times()):
        rows.append(row)
        say(f"{row.question}: {row.measured}")
    facts = {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
    return Report("gpu", rows, machine, facts=facts)


def digits(device: str, dtype: torch.dtype) -> Problem:
    """Return a ReLU network of the size of the digits', on seeded data."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(256, 64, generator=generator, dtype=torch.float64).to(device, dtype)
    targets = torch.randint(0, 10, (256,), generator=generator).to(device)
    model = _seeded(64, 16, 16, 10, activation=nn.ReLU).to(device, dtype)
    return Problem(model, lambda: cross_entropy(model(inputs), targets))


def batches(device: str, dtype: torch.dtype) -> Problem:
    """Return a wide ReLU network on mini-batches of 1,024."""
    generator = torch.Generator(device).manual_seed(0)
    model = _seeded(64, 1024, 1024, 10, activation=nn.ReLU).to(device, dtype)
    map_of_labels = torch.randn(64, 10, generator=generator, device=device, dtype=dtype)
    batch: list[Tensor] = []

    def draw() -> None:
        inputs = torch.randn(1024, 64, generator=generator, device=device, dtype=dtype)
        batch[:] = inputs, (inputs @ map_of_labels).argmax(1)

    draw()
    return Problem(model, lambda: cross_entropy(model(batch[0]), batch[1]), draw)


def physics(device: str, dtype: torch.dtype, points: int = 400) -> Problem:
    """Return Poisson's equation on an interval: residuals with second derivatives."""
    model = _seeded(1, 32, 32, 1, activation=nn.Tanh).to(device, dtype)
    inside = torch.linspace(0.0, 1.0, points, device=device, dtype=dtype)[:, None]
    ends = inside[[0, -1]]

    def residuals() -> Residuals:
        x = inside.clone().requires_grad_()
        [slope] = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        [bend] = torch.autograd.grad(slope.sum(), x, create_graph=True)
        return Residuals(bend + torch.pi**2 * torch.sin(torch.pi * inside), 10.0 * model(ends))

    return Problem(model, residuals)


def _seeded(*widths: int, activation: type[nn.Module]) -> nn.Sequential:
    generator = torch.Generator().manual_seed(1)
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(widths):
        linear = nn.Linear(wide, narrow, dtype=torch.float64)
        with torch.no_grad():
            for parameter in linear.parameters():
                bound = 1.0 / wide**0.5
                parameter.uniform_(-bound, bound, generator=generator)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])


def _agreements() -> Iterator[Row]:
    for name, settings in STEPS.items():
        yield _agreement(f"digits, {name}", digits, settings)
    yield _agreement("Poisson's equation, nothing set", physics, {})
    yield _fit()


def _agreement(
    name: str, problem: Callable[[str, torch.dtype], Problem], settings: Mapping[str, Any]
) -> Row:
    question, limit = f"{name}: loss after {_STEPS} steps, GPU against processor", AGREEMENT
    try:
        ends = [_loss_after_steps(problem(d, torch.float64), settings) for d in (_CPU, _GPU)]
    except (RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        return reached(question, f"≤ {limit:g}", said, met=False)
    difference = abs(ends[1] - ends[0]) / abs(ends[0])
    seen = f"{ends[0]:.6g}, relative difference {difference:.1e}"
    return reached(question, f"≤ {limit:g}", seen, difference <= limit)


def _loss_after_steps(problem: Problem, settings: Mapping[str, Any]) -> float:
    """Return the loss after some steps.

    Raises:
        RuntimeError: If one of them changed nothing.
    """
    optimizer = QNewton(problem.model, **settings)
    for _ in range(_STEPS):
        optimizer.step(problem.closure)
        if optimizer.records[-1].skipped:
            raise RuntimeError(optimizer.records[-1].skipped)
    return _loss(problem)


def _loss(problem: Problem) -> float:
    found = problem.closure()
    return (found.loss if isinstance(found, Residuals) else found).item()


def _fit() -> Row:
    def fitted(device: str) -> Tensor:
        x = torch.linspace(0.0, 4.0, 50, dtype=torch.float64, device=device)
        y = 2.5 * torch.exp(-1.3 * x) + 0.5 + 0.01 * torch.sin(7 * x)
        start = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64, device=device)
        return least_squares(lambda p: p[0] * torch.exp(-p[1] * x) + p[2] - y, start).x.cpu()

    difference = float((fitted(_GPU) - fitted(_CPU)).abs().max())
    question = "least_squares: parameters of a fit, GPU against processor"
    return reached(question, f"≤ {AGREEMENT:g}", f"{difference:.1e}", difference <= AGREEMENT)


def _step_times() -> Iterator[Row]:
    whole = STEPS["exact Hessian, all parameters"]
    for name, problem, dtype, settings in (
        ("64-16-16-10, exact Hessian, λ = 1", digits, torch.float32, whole),
        ("64-1024-1024-10, batches of 1,024, nothing set", batches, torch.float32, {}),
        ("Poisson, 400 points, nothing set", physics, torch.float64, {}),
        ("Poisson, 20,000 points, nothing set", partial(physics, points=20_000), torch.float64, {}),
    ):
        seconds = [_step_seconds(problem(device, dtype), settings) for device in (_CPU, _GPU)]
        n = problem(_CPU, dtype).unknowns
        yield Row(
            f"{name}, N = {n:,}: seconds per step, processor over GPU",
            "",
            f"{seconds[0] / seconds[1]:.3g}× ({seconds[0]:.3g} s, {seconds[1]:.3g} s)",
            "",
        )


def _step_seconds(problem: Problem, settings: Mapping[str, Any]) -> float:
    optimizer = QNewton(problem.model, **settings)
    seconds = []
    for _ in range(_WARM + _TIMED):
        problem.draw()
        seconds.append(_seconds(lambda: optimizer.step(problem.closure)))
    return statistics.median(seconds[_WARM:])


def _seconds(run: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    begun = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def _kernel_times() -> Iterator[Row]:
    card = load_classical("h100")
    for n in _SIZES:
        for dtype in _DTYPES:
            matrix, rhs = _system(n, _DTYPES[dtype])
            facts = kappa_facts(n, 100.0, n)
            for name, quote in (("cholesky", cholesky_quote), ("lu", lu_quote)):
                system = LinearSystem(operator=DenseOperator(matrix), rhs=rhs, parameters=())
                run = partial(solve, system, solver=name)
                run()
                measured = statistics.median(_seconds(run) for _ in range(5))
                modelled = quote(card, facts, dtype=dtype).seconds or float("nan")
                yield Row(
                    f"{name}, N = {n:,}, {dtype}: measured seconds over those that h100 models",
                    "",
                    f"{measured / modelled:.3g}× ({measured:.3g} s, {modelled:.3g} s)",
                    "",
                )


def _system(n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator(_GPU).manual_seed(2)
    factor = torch.randn(n, n, generator=generator, device=_GPU, dtype=dtype) / n**0.5
    matrix = factor @ factor.T + 0.04 * torch.eye(n, device=_GPU, dtype=dtype)
    return (matrix + matrix.T) / 2, torch.randn(n, generator=generator, device=_GPU, dtype=dtype)
