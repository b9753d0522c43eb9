"""What a block's last solve left for its next one, kept as plain numbers in the state."""

from typing import Any

from qnewton.records import BlockRecord, Definiteness, EarlierFacts
from qnewton.scheduler.routes import facts_left

_LOOK_AGAIN = 10
"""Steps after which a try that failed, or signs that were found, are not believed any more."""

_COUNTS = ("cg_products", "cg_unfinished", "minres_products", "minres_unfinished")
_SIGNS: dict[int, Definiteness] = {1: "positive", -1: "indefinite"}


def recall(counters: dict[str, Any], block: str, step: int) -> EarlierFacts | None:
    """Return what is known of a block, or ``None`` if nothing is.

    Args:
        counters: The optimizer's state.
        block: The block's name.
        step: The present step: every tenth one forgets what did not work.

    Example:
        >>> state = {"full.step": 3, "full.tolerance": 1e-6, "full.cg_products": 12}
        >>> recall(state, "full", 4).cg_products, recall(state, "0", 4)
        (12, None)
    """
    known = counters.get(f"{block}.step")
    if known is None:
        return None
    counts = {name: counters.get(f"{block}.{name}") for name in _COUNTS}
    signs = _SIGNS.get(int(counters.get(f"{block}.definiteness", 0)))
    if step % _LOOK_AGAIN == 0:
        counts |= {"cg_unfinished": None, "minres_unfinished": None}
        signs = None
    return EarlierFacts(
        step=int(known),
        tolerance=counters.get(f"{block}.tolerance"),
        definiteness=signs,
        cg_products=counts["cg_products"],
        cg_unfinished=counts["cg_unfinished"],
        minres_products=counts["minres_products"],
        minres_unfinished=counts["minres_unfinished"],
    )


def remember(counters: dict[str, Any], record: BlockRecord, step: int, tolerance: float) -> None:
    """Keep what the attempts of a block left.

    Numbers under flat names, since distributed checkpoints keep nothing else.
    """
    before = recall(counters, record.name, step)
    left = facts_left(record, step, tolerance, before)
    signs = {"positive": 1, "indefinite": -1, None: 0}[left.definiteness]
    values = {name: getattr(left, name) for name in _COUNTS}
    values |= {"step": step, "tolerance": left.tolerance, "definiteness": signs}
    for name, value in values.items():
        if value is None:
            counters.pop(f"{record.name}.{name}", None)
        else:
            counters[f"{record.name}.{name}"] = value
