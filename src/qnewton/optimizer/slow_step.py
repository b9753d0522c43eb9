"""A word before a step that takes long: what takes it, how long, and what would be shorter."""

import warnings

from qnewton.optimizer.memory import Memory
from qnewton.records import BlockRecord

SLOW_S = 5.0
"""Modelled seconds from which a solve is announced."""


class SlowStepWarning(UserWarning):
    """A solve is expected to take more than some seconds; it is reported once per run."""


def announce_if_slow(memory: Memory, record: BlockRecord) -> None:
    """Warn before the first solve whose price on this machine is above ``SLOW_S``.

    Where the solver reads entries that are not formed yet, the price includes forming them.
    """
    offer = record.decision.quote(record.decision.chosen)
    if memory.announced or offer is None or offer.seconds is None:
        return
    if offer.machine != "classical" or offer.seconds < SLOW_S:
        return
    memory.announced = True
    warnings.warn(
        f"the system of block {record.name!r} has {record.n:,} unknowns, and {offer.solver} is "
        f"expected to take {offer.seconds:.2g} s per step (modelled, by this machine's rates): "
        "leave damping and curvature at 'auto' and give a loss of mini-batches, whose steps have "
        "a budget, or choose blocks='layer'; print_every=1 shows every step",
        SlowStepWarning,
        stacklevel=2,
    )
