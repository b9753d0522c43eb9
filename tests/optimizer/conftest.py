import pytest
import torch
from torch import nn

from qnewton.cost import Market
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.hooks import StepHooks
from qnewton.optimizer.memory import Memory
from qnewton.optimizer.step_context import Settings, StepContext
from qnewton.scheduler.policy import policy_of
from tests.cases import NOMINAL, newton

N = 200  # where Cholesky is the first to be asked


@pytest.fixture
def context() -> StepContext:
    """Return the first step of one process, one group of N parameters, λ = 0, nominal prices."""
    parameter = nn.Parameter(torch.zeros(N, dtype=torch.float64))
    return StepContext(
        step=0,
        clock=StageClock(parameter.device),
        replicas=None,
        market=Market(NOMINAL, dtype="float64"),
        policy=policy_of("classical"),
        memory=Memory({}),
        hooks=StepHooks(),
        settings=Settings(newton([parameter], damping=0.0).param_groups, max_dense=N, seed=0),
    )
