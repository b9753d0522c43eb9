"""How sure a price is: which constant moves it most, and whether the winner hangs on any."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from qnewton.cost.audited import Audited
from qnewton.cost.budget import Splits
from qnewton.cost.constants import CLASSICAL, CONSTANTS, Constant, Constants
from qnewton.cost.designs import splits_of
from qnewton.cost.points import Points
from qnewton.cost.scenario import Scenario


@dataclass(frozen=True, kw_only=True)
class Swing:
    """What one constant does to quantum over classical seconds, all others likely.

    Attributes:
        constant: The constant.
        kindest: The ratio at its end that is kindest to the quantum solver, over that at the
            likely value; ``None`` where the price is not finite there.
        harshest: The same at the other end.
    """

    constant: Constant
    kindest: float | None
    harshest: float | None

    @property
    def width(self) -> float:
        """How many times the ratio changes from one end to the other; infinite where one is not."""
        if self.kindest is None or self.harshest is None:
            return np.inf
        return self.harshest / self.kindest


def tornado(scenario: Scenario, found: Audited) -> tuple[Swing, ...]:
    """Return what every constant does to the price of a design, the widest swing first.

    Args:
        scenario: What was priced.
        found: Its price, as :func:`qnewton.cost.audited` returns it.

    Raises:
        ValueError: If there is no price.

    Cost: about a millisecond.

    Example:
        >>> from qnewton.cost import audited, kappa_facts, load_hardware, nominal_calibration
        >>> here = Scenario(facts=kappa_facts(12_544, 30.0, 64), calibration=nominal_calibration(),
        ...                 hardware=load_hardware("qubit_gate_ns_e3"))
        >>> swings = tornado(here, audited(here))
        >>> all(swing.kindest <= 1 <= swing.harshest for swing in swings)
        True
    """
    if not found.designs:
        raise ValueError(f"the quantum solver has no price: {found.quote.refused}")
    chosen = found.designs[0]
    points, splits = Points.of([scenario]), Splits.of(splits_of(scenario.audit))
    made = points.designs(chosen.made.algorithm, splits, Constants.one_at_a_time(2))
    one = made.seconds[:, chosen.made.best[chosen.point], chosen.point]
    ratios = [float(ratio) if np.isfinite(ratio) else None for ratio in one / chosen.seconds]
    swings = [
        Swing(constant=constant, kindest=ratios[2 * i], harshest=ratios[2 * i + 1])
        for i, constant in enumerate(CONSTANTS.values())
    ]
    swings.append(Swing(constant=CLASSICAL, kindest=CLASSICAL.low, harshest=CLASSICAL.high))
    return tuple(sorted(swings, key=lambda swing: -swing.width))


class Certainty(StrEnum):
    """How sure it is which side is cheaper.

    Attributes:
        CERTAIN: The winner is the same at every constant's kindest and harshest value.
        LIKELY: The winner is another one at one end of the constants' ranges.
    """

    CERTAIN = "for every value of the uncertain constants"
    LIKELY = "at the likely constants, but not at both ends of their ranges"


def certainty(low: float, likely: float, high: float | None, classical: float) -> Certainty:
    """Return how sure it is that the cheaper of both is the cheaper one.

    Args:
        low: Seconds of the quantum solver with every constant at its kindest, by the design that
            is cheapest there (:attr:`Audited.least`).
        likely: At the likely constants.
        high: At their harshest; ``None`` where it is not finite.
        classical: Seconds of the classical solver.

    Example:
        >>> certainty(1.0, 3.0, 9.0, 100.0).name, certainty(1.0, 3.0, 9.0, 2.0).name
        ('CERTAIN', 'LIKELY')
    """
    kindest = low * CLASSICAL.low < classical
    harshest = high is not None and high * CLASSICAL.high < classical
    same = kindest == harshest == (likely < classical)
    return Certainty.CERTAIN if same else Certainty.LIKELY
