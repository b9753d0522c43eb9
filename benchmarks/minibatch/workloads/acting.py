"""A policy that learns to balance a pole on a cart, by REINFORCE, in a simulator of its own."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.minibatch.workloads.training import Batch, Training, Workload, seeded
from qnewton.workloads.base import evaluating

STEPS = 200
"""Most steps of an episode; the return is the number of steps that the pole stood."""

_CARTS, _EVALUATED, _DISCOUNT = 16, 64, 0.99

# A. Barto, R. Sutton, C. Anderson, Neuronlike adaptive elements that can solve difficult learning
# control problems, IEEE Transactions on Systems, Man, and Cybernetics 13 (1983): SI units.
_GRAVITY, _CART_MASS, _POLE_MASS, _HALF_LENGTH, _FORCE, _TIME_STEP = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
_MOST_PLACE, _MOST_ANGLE = 2.4, 0.2095


def reinforce(seed: int) -> Training:
    """Return the surrogate of the policy gradient on 16 episodes per step, 4-32-2 tanh."""
    model = seeded(lambda: nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2)), seed)

    def loss(batch: Batch) -> Tensor:
        states, actions, advantages = batch
        surprise = cross_entropy(model(states), actions, reduction="none")
        return (surprise * advantages).mean()

    def evaluated(evaluation_seed: int) -> float:
        generator = torch.Generator().manual_seed(evaluation_seed)
        with evaluating(model):
            _, _, alive = episodes(model, _EVALUATED, generator)
        return float(alive.sum(0).mean())

    return Training(
        model=model,
        batches=_batches(model, seed),
        loss=loss,
        full_loss=lambda: STEPS - evaluated(0),
        held_out=lambda: evaluated(1),
    )


def kept_by_return(first: float, best: float, last: float) -> bool:
    """Return whether the last return is at least 0.9 of the best; losses are steps that lack."""
    return STEPS - last >= 0.9 * (STEPS - best)


ACTING = (
    Workload(
        "REINFORCE",
        "a pole on a cart, 4-32-2 tanh, 16 episodes per step",
        "return",
        True,
        reinforce,
        kept_by_return,
    ),
)


def episodes(
    policy: nn.Module, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a policy saw and did in episodes side by side, without gradients.

    Returns:
        States [T, count, 4], actions [T, count], and 1.0 where the pole still stood, [T, count].
    """
    state = 0.1 * torch.rand(count, 4, generator=generator) - 0.05
    standing = torch.ones(count)
    states, actions, alive = [], [], []
    with torch.no_grad():
        while len(states) < STEPS and standing.any():
            probabilities = policy(state).softmax(-1)
            action = torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)
            states.append(state)
            actions.append(action)
            alive.append(standing)
            state = _moved(state, action)
            place, angle = state[:, 0].abs(), state[:, 2].abs()
            standing = standing * ((place < _MOST_PLACE) & (angle < _MOST_ANGLE))
    return torch.stack(states), torch.stack(actions), torch.stack(alive)


def _batches(model: nn.Module, seed: int) -> Iterator[Batch]:
    """Yield states, actions and advantages of new episodes; rewards to go less their mean."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        states, actions, alive = episodes(model, _CARTS, generator)
        to_go = torch.zeros_like(alive)
        total = torch.zeros(_CARTS)
        for t in reversed(range(len(alive))):
            total = alive[t] + _DISCOUNT * total
            to_go[t] = total
        seen = alive.bool()
        advantages = to_go[seen]
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-6)
        yield states[seen], actions[seen], advantages


def _moved(state: Tensor, action: Tensor) -> Tensor:
    """Return states [n, 4] after one time step of pushing left (0) or right (1)."""
    place, speed, angle, turning = state.unbind(-1)
    force = _FORCE * (2.0 * action - 1.0)
    mass = _CART_MASS + _POLE_MASS
    sine, cosine = angle.sin(), angle.cos()
    pushed = (force + _POLE_MASS * _HALF_LENGTH * turning.square() * sine) / mass
    inertia = _HALF_LENGTH * (4 / 3 - _POLE_MASS * cosine.square() / mass)
    turned = (_GRAVITY * sine - cosine * pushed) / inertia
    moved = pushed - _POLE_MASS * _HALF_LENGTH * turned * cosine / mass
    return torch.stack(
        [
            place + _TIME_STEP * speed,
            speed + _TIME_STEP * moved,
            angle + _TIME_STEP * turning,
            turning + _TIME_STEP * turned,
        ],
        dim=-1,
    )
