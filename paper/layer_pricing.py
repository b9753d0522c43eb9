"""Recorded steps of many blocks, decided and priced layer by layer for the paper's policies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from paper.repricing import total
from qnewton.cost import load_classical, lu_inverse_quote
from qnewton.optimizer.block_plan import DENSE_LIMIT
from qnewton.records import BlockRecord, Formed, Quote, StepRecord
from qnewton.scheduler.policy import decide


@dataclass(frozen=True, kw_only=True)
class LayerChoice:
    """One layer in one step under one policy; modelled seconds.

    Attributes:
        step: The step.
        layer: The block's name.
        n: Its unknowns.
        chosen: The solver.
        seconds: Its price; ``None`` if refused.
    """

    step: int
    layer: str
    n: int
    chosen: str
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class StepSolves:
    """All layers of one step; modelled seconds of their solves alone.

    Attributes:
        step: The step.
        layers: What each layer's decision is.
    """

    step: int
    layers: tuple[LayerChoice, ...]

    @property
    def total(self) -> float | None:
        """One layer after the other."""
        return total(choice.seconds for choice in self.layers)

    @property
    def makespan(self) -> float | None:
        """The quantum machine beside the classical one, each taking its layers in turn.

        Example:
            >>> layer = dict(step=0, n=1)
            >>> StepSolves(step=0, layers=(
            ...     LayerChoice(layer="a", chosen="qsvt", seconds=2.0, **layer),
            ...     LayerChoice(layer="b", chosen="lu_inverse", seconds=3.0, **layer),
            ... )).makespan
            3.0
        """
        quantum = total(c.seconds for c in self.layers if c.chosen == "qsvt")
        classical = total(c.seconds for c in self.layers if c.chosen != "qsvt")
        return None if quantum is None or classical is None else max(quantum, classical)


def price_layers(
    records: Sequence[StepRecord], policy: str, classical_machine: str | None = None
) -> tuple[StepSolves, ...]:
    """Decide every layer of every recorded Newton step again under ``policy``.

    Layers whose entries may not be formed (above ``max_dense``) have no quote of an inversion and
    are left out.

    Args:
        records: Steps whose blocks hold quotes of LU inversion and of the quantum solver.
        policy: One of the paper's three policies, or ``classical`` for what ran.
        classical_machine: A classical profile that prices LU inversion; ``None`` for the run's
            own calibration.

    Raises:
        ValueError: If a quote that the policy compares is missing.
    """
    return tuple(
        StepSolves(
            step=record.step,
            layers=tuple(
                _choice(record.step, block, policy, classical_machine)
                for block in record.blocks
                if block.n <= DENSE_LIMIT
            ),
        )
        for record in records
        if record.blocks
    )


def _choice(step: int, block: BlockRecord, policy: str, machine: str | None) -> LayerChoice:
    decision = block.decision
    if policy != "classical":
        decision = decide(policy, _two(block, machine))
    quote = decision.quote(decision.chosen)
    assert quote is not None
    return LayerChoice(
        step=step, layer=block.name, n=block.n, chosen=decision.chosen, seconds=quote.seconds
    )


def _two(block: BlockRecord, machine: str | None) -> tuple[Quote, Quote]:
    classical, quantum = (block.decision.quote(name) for name in ("lu_inverse", "qsvt"))
    if machine is not None:
        # Algorithm 2 prices the inversion of entries that are there.
        facts = replace(block.facts, held=Formed())
        classical = lu_inverse_quote(load_classical(machine), facts)
    if classical is None or quantum is None:
        raise ValueError(
            f"block {block.name!r} has no quote of {'qsvt' if classical else 'lu_inverse'}; train "
            "with a quantum machine (hardware) and blocks that may be formed"
        )
    return classical, quantum
