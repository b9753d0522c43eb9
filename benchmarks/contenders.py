"""The same dense Hessian by qnewton, by torch.func and by curvlinops."""

import functools
from collections.abc import Callable, Iterator
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jvp, linearize, vjp, vmap
from torch.nn.functional import cross_entropy

from benchmarks.harness import Contender
from benchmarks.problems import Problem
from qnewton.curvature import systems

Mode = Literal["forward over reverse", "linearized", "reverse over reverse"]
MODES: tuple[Mode, ...] = ("forward over reverse", "linearized", "reverse over reverse")


def qnewton_hessian(problem: Problem) -> Callable[[], Tensor]:
    """Return a run of the closure and the whole Hessian, as an optimizer step would do it."""

    def run() -> Tensor:
        [system] = systems(problem.model, problem.closure, blocks="full")
        return system.operator.dense()

    return run


def qnewton_route(problem: Problem) -> tuple[str, str]:
    """Return the route qnewton takes, and why."""
    [system] = systems(problem.model, problem.closure, blocks="full")
    if system.curvature is None:
        raise RuntimeError("a system came without its curvature record")
    return system.curvature.route, system.curvature.reason


def torch_func_hessian(problem: Problem) -> Callable[[], Tensor]:
    """Return a run of ``torch.func.hessian`` on the flattened parameters, all columns at once."""
    loss, parameters = _flat(problem)
    return lambda: hessian(loss)(parameters)


def torch_func_columns(
    problem: Problem, columns: Tensor, mode: Mode, chunk: int
) -> Callable[[], Tensor]:
    """Return a run of the given columns of the Hessian, ``chunk`` at a time.

    ``jacfwd(grad)`` is a vmap of forward over reverse, ``jacrev(grad)`` one of reverse over
    reverse; ``linearized`` is forward over reverse, traced once. What can be shared by all
    columns is made in the first run, which nobody times: scaled up, it would count many times.

    Args:
        problem: The model and batch.
        columns: Which, int64 [K].
        mode: How Hessian-vector products are computed.
        chunk: Products in one batch.

    Returns:
        A function that returns the columns as rows, [K, N].
    """
    loss, parameters = _flat(problem)
    gradient = grad(loss)
    basis = torch.zeros(len(columns), len(parameters))
    basis[torch.arange(len(columns)), columns] = 1.0

    @functools.cache
    def product() -> Callable[[Tensor], Tensor]:
        if mode == "forward over reverse":
            return lambda v: jvp(gradient, (parameters,), (v,))[1]
        if mode == "linearized":
            return linearize(gradient, parameters)[1]
        pullback = vjp(gradient, parameters)[1]
        return lambda v: pullback(v)[0]

    return lambda: vmap(product(), chunk_size=chunk)(basis).detach()


def torch_func_settings(
    problem: Problem, columns: Tensor, chunks: tuple[int, ...]
) -> Iterator[Contender[Tensor]]:
    """Yield every mode and chunk size of :func:`torch_func_columns`, scaled to all columns."""
    for mode in MODES:
        for chunk in chunks:
            yield Contender(
                f"torch.func, {mode}, chunks of {chunk}",
                torch_func_columns(problem, columns, mode, chunk),
                scale=problem.n / len(columns),
            )


def curvlinops_hessian(problem: Problem, columns: Tensor, chunk: int) -> Callable[[], Tensor]:
    """Return a run of curvlinops' Hessian times the given columns of the identity.

    Multiplying with the identity is how its documentation makes an operator dense; done in
    chunks because all columns at once need tens of gigabytes on a convolutional network.
    Its check of determinism is left out, for it is no part of the Hessian.

    Returns:
        A function that returns the columns, [N, K].
    """
    # A peer: installed with the extra ``bench`` only.
    from curvlinops import HessianLinearOperator  # pyright: ignore[reportMissingImports]  # extra

    parameters = dict(problem.model.named_parameters())
    identity = torch.zeros(problem.n, len(columns))
    identity[columns, torch.arange(len(columns))] = 1.0

    def run() -> Tensor:
        operator = HessianLinearOperator(
            problem.model,
            nn.CrossEntropyLoss(),
            list(parameters.values()),
            [(problem.inputs, problem.targets)],
            check_deterministic=False,
        )
        return torch.cat(
            [cast(Tensor, operator @ part) for part in identity.split(chunk, dim=1)], dim=1
        )

    return run


def spread_columns(n: int, count: int) -> Tensor:
    """Return ``count`` column indices evenly spread over ``n``.

    Example:
        >>> spread_columns(9, 3)
        tensor([0, 4, 8])
    """
    return torch.linspace(0, n - 1, min(n, count), dtype=torch.float64).round().long()


def difference(found: Tensor, expected: Tensor) -> float:
    """Return max|found - expected| over max|expected|, without a copy of the whole.

    Raises:
        ValueError: If the shapes differ, or an entry is not finite.
    """
    if found.shape != expected.shape:
        raise ValueError(f"shapes {tuple(found.shape)} and {tuple(expected.shape)} differ")
    largest = max(float(rows.abs().max()) for rows in expected.split(256))
    pairs = zip(found.split(256), expected.split(256), strict=True)
    worst = max(float((a - b).abs().max()) for a, b in pairs)
    if not worst < float("inf"):
        raise ValueError("entries that are not finite cannot be compared")
    return worst / largest


def _flat(problem: Problem) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return the loss as a function of one vector in ``named_parameters`` order, and the vector."""
    named = {name: p.detach() for name, p in problem.model.named_parameters()}
    sizes = [p.numel() for p in named.values()]

    def loss(vector: Tensor) -> Tensor:
        pieces = vector.split(sizes)
        parameters = {
            name: piece.view(p.shape)
            for (name, p), piece in zip(named.items(), pieces, strict=True)
        }
        outputs = functional_call(problem.model, parameters, (problem.inputs,))
        return cross_entropy(outputs, problem.targets)

    return loss, torch.cat([p.flatten() for p in named.values()])
