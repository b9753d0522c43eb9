"""A step's systems are solved in its context alone, without an optimizer."""

import dataclasses
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from qnewton.operators import DenseOperator, LinearSystem
from qnewton.optimizer.newton import solve_systems, survey_systems
from qnewton.optimizer.step_context import StepContext
from qnewton.records import Outcome
from qnewton.scheduler.policy import policy_of
from tests.cases import draw, geometric, with_spectrum

N = 200


def system_of(context: StepContext, matrix: Tensor) -> LinearSystem:
    (parameter,) = context.settings.groups[0]["params"]
    return LinearSystem(DenseOperator(matrix), draw(N), (parameter,), "full")


def test_a_context_is_not_changed_by_a_step(context: StepContext) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        context.step = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_a_system_is_solved_and_remembered(context: StepContext) -> None:
    matrix = with_spectrum(geometric(N, 10.0))
    found = solve_systems(context, [system_of(context, matrix)])
    assert found.directions is not None
    torch.testing.assert_close(found.directions[0].flat, torch.linalg.solve(matrix, draw(N)))
    (block,) = found.blocks
    assert block.outcome is Outcome.SOLVED
    context.memory.step = 1
    earlier = context.memory.earlier("full")
    assert earlier is not None
    assert earlier.definiteness == "positive"


def test_the_next_quote_takes_over_where_a_matrix_is_not_definite(context: StepContext) -> None:
    matrix = with_spectrum(geometric(N, 10.0, indefinite=True))
    found = solve_systems(context, [system_of(context, matrix)])
    assert found.directions is not None
    torch.testing.assert_close(found.directions[0].flat, torch.linalg.solve(matrix, draw(N)))
    outcomes = [attempt.outcome for attempt in found.blocks[0].attempts]
    assert outcomes == [Outcome.NOT_DEFINITE, Outcome.SOLVED]


def test_the_context_s_policy_decides(context: StepContext) -> None:
    system = system_of(context, with_spectrum(geometric(N, 10.0)))
    paper = replace(context, policy=policy_of("classical-only"))
    (block,) = solve_systems(paper, [system]).blocks
    assert block.decision.chosen == "lu_inverse"


def test_a_survey_measures_and_solves_nothing(context: StepContext) -> None:
    (block,) = survey_systems(context, [system_of(context, with_spectrum(geometric(N, 10.0)))])
    condition = block.facts.spectrum.condition
    assert condition is not None
    assert condition.value == pytest.approx(10.0)
    assert block.attempts == ()


def test_a_group_that_is_maximised_has_its_systems_turned(context: StepContext) -> None:
    matrix = with_spectrum(geometric(N, 10.0))
    system = system_of(context, matrix)
    context.settings.groups[0]["maximize"] = True
    (turned,) = context.whole([system])
    assert torch.equal(turned.operator.dense(), -matrix)
    assert torch.equal(turned.rhs, -system.rhs)
