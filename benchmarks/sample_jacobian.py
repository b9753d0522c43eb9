"""How long does the Jacobian of a convolutional regression net take, beside ``vmap(jacrev)``?

N = 97,051 parameters, batch 128, float32, one output. Ours is what a step with ``curvature="auto"``
makes: the closure runs once as it is, and one backward pass to the uses of its weights gives all
rows. Step after step it uses the same memory, so one step has run before. The peer calls
the model once for all samples inside ``torch.func``.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn.functional import mse_loss

from benchmarks.harness import (
    Contender,
    Report,
    Say,
    describe_machine,
    interleave,
    peak_bytes,
    reached,
    speed,
)
from qnewton.curvature.jacobian import Workspace, jacobian
from qnewton.curvature.residuals import SumOfSquares, sum_of_squares
from qnewton.curvature.uses import uses_in

BATCH = 128
SIDE = 16
REACH = 3.0
AGREE = 1e-5
OURS, PEER = "by recorded uses", "vmap(jacrev)"


def measure(say: Say) -> Report:
    """Time both, compare their rows, and take the memory that each adds."""
    net, inputs, targets = _problem()
    rows, peer = _ours(net, inputs, targets), _peer(net, inputs)
    off = float((rows() - peer()).norm() / peer().norm())
    say(f"the rows differ by {off:.1g}")

    def without_result(make: Callable[[], Tensor]) -> Callable[[], int]:
        return lambda: len(make())

    contenders = [
        Contender(OURS, without_result(rows)),
        Contender(PEER, without_result(peer)),
    ]
    timings = interleave(contenders, say)
    peaks = {OURS: peak_bytes(ours), PEER: peak_bytes(theirs)}
    say(f"peak memory in bytes: {peaks}")
    n = sum(parameter.numel() for parameter in net.parameters())
    title = f"Jacobian, two convolutions and two layers, N = {n:,}, batch {BATCH}"
    share = peaks[OURS] / peaks[PEER]
    memory = f"{share:.2f} ({peaks[OURS] / 1e6:.0f} MB, {peaks[PEER] / 1e6:.0f} MB)"
    table = [
        speed(title, REACH, timings[OURS], timings[PEER]),
        reached(f"{title}: memory over {PEER}'s", "≤ 1", memory, share <= 1.0),
        reached(f"{title}: rows beside {PEER}", f"≤ {AGREE:g}", f"{off:.1g}", off <= AGREE),
    ]
    return Report("sample_jacobian", table, describe_machine(), timings, peaks, {"n": n})


def ours() -> Callable[[], Tensor]:
    """Return what makes the Jacobian once, to take its memory."""
    return _ours(*_problem())


def theirs() -> Callable[[], Tensor]:
    """Return what makes the peer's once, to take its memory."""
    net, inputs, _ = _problem()
    return _peer(net, inputs)


def _problem() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(32 * (SIDE // 2) ** 2, 45),
        nn.Tanh(),
        nn.Linear(45, 1),
    )
    return net, torch.randn(BATCH, 1, SIDE, SIDE), torch.randn(BATCH, 1)


def _ours(net: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], Tensor]:
    parameters, workspace = [*net.parameters()], Workspace()

    def run() -> Tensor:
        sums = sum_of_squares(mse_loss(net(inputs), targets))
        assert isinstance(sums, SumOfSquares)
        uses = [uses_in(term.residual, parameters) for term in sums.terms]
        found = jacobian(sums, parameters, uses, workspace)
        return found.matrix

    return run


def _peer(net: nn.Module, inputs: Tensor) -> Callable[[], Tensor]:
    values = {name: parameter.detach() for name, parameter in net.named_parameters()}

    def output(given: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(net, given, (x[None],))[0]

    def run() -> Tensor:
        found = vmap(jacrev(output), (None, 0))(values, inputs)
        return torch.cat([rows.reshape(len(inputs), -1) for rows in found.values()], dim=1)

    return run
