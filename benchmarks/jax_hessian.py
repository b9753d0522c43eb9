"""The same network and batch in jax, and its whole Hessian, compiled beforehand."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.problems import Problem


def jax_hessian(problem: Problem) -> Callable[[], Any]:
    """Return a run of jitted ``jax.hessian`` of a ReLU network of linear layers.

    Parameters are one vector in ``named_parameters`` order, so that the result is the N × N
    matrix itself, as ours is. Compiled here, and not part of a run; a run ends when the result
    is there. The batch is an argument: as a constant it would be folded into the program.

    Args:
        problem: Its model a sequence of linear layers with ReLU between.
    """
    # A peer: installed with the extra ``bench`` only.
    import jax  # pyright: ignore[reportMissingImports]  # extra
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]  # extra
    from jax.flatten_util import ravel_pytree  # pyright: ignore[reportMissingImports]  # extra

    arrays = [jnp.asarray(p.detach().numpy()) for p in problem.model.parameters()]
    layers = [tuple(arrays[i : i + 2]) for i in range(0, len(arrays), 2)]
    parameters, unravel = ravel_pytree(layers)

    def loss(vector: Any, inputs: Any, targets: Any) -> Any:
        hidden = inputs
        for index, (weight, bias) in enumerate(unravel(vector)):
            hidden = hidden @ weight.T + bias
            if index < len(layers) - 1:
                hidden = jax.nn.relu(hidden)
        log_probabilities = jax.nn.log_softmax(hidden)
        return -jnp.take_along_axis(log_probabilities, targets[:, None], axis=1).mean()

    inputs, targets = jnp.asarray(problem.inputs.numpy()), jnp.asarray(problem.targets.numpy())
    compiled = jax.jit(jax.hessian(loss)).lower(parameters, inputs, targets).compile()
    return lambda: compiled(parameters, inputs, targets).block_until_ready()


def as_tensor(matrix: Any) -> torch.Tensor:
    """Return a jax matrix as a tensor that shares its memory: to be read only."""
    return torch.from_dlpack(matrix)
