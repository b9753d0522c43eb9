"""What no theorem and no profile fixes: constants with a low, a likely and a high value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Constant:
    """One constant of the quantum price, which rises with it, and the range that sources give.

    Attributes:
        title: What it is, in a few words.
        low: The least value a source gives.
        likely: The value that prices take.
        high: The largest value a source gives.
        source: Where the three come from; it says so where no public source was found.
    """

    title: str
    low: float
    likely: float
    high: float
    source: str

    @property
    def range(self) -> str:
        """Its three values in words."""
        return f"{self.low:g}, {self.likely:g}, {self.high:g}"


THRESHOLD = 1e-2
"""Physical error at which the surface code stops helping.

Beverland et al., arXiv:2211.07629, and Fowler and Gidney, arXiv:1808.06709, have the same; no
public source with another value was found.
"""

CONSTANTS: Mapping[str, Constant] = {
    "prefactor": Constant(
        title="prefactor of the surface code's logical error",
        low=0.03,
        likely=0.03,
        high=0.1,
        source="0.03: Beverland et al., arXiv:2211.07629; 0.1: Fowler and Gidney, "
        "arXiv:1808.06709, XV, as Qualtran has it",
    ),
    "cycle": Constant(
        title="time of a round of error correction over 4 gates and 2 measurements",
        low=1.0,
        likely=1.0,
        high=2.75,
        source="1: qdk 1.33; 1.1 µs (arXiv:2408.13687) for gates of which those are 0.4 µs",
    ),
    "patch": Constant(
        title="m of the 2(D + m)² physical qubits of a logical one",
        low=0.0,
        likely=0.0,
        high=1.0,
        source="0: qdk 1.33; 1: Gidney, arXiv:2505.15917, and Lee et al., arXiv:2011.03494",
    ),
    "toffoli_cycles": Constant(
        title="logical cycles of a Toffoli gate",
        low=1.0,
        likely=3.0,
        high=3.0,
        source="3: Beverland et al., arXiv:2211.07629, D3; 1: a CCZ state consumed directly, as "
        "Gidney and Fowler, arXiv:1812.01238, count",
    ),
    "rotation_slope": Constant(
        title="T gates of a rotation per log2(1/ε)",
        low=0.53,
        likely=0.53,
        high=3.02,
        source="0.53 (mixed fallback) and 3.02 (Ross and Selinger): Kliuchnikov et al., "
        "arXiv:2203.10064, Table 1, as microsoft/qdk has them",
    ),
    "reflection": Constant(
        title="Toffoli gates of a reflection per ancilla",
        low=1.0,
        likely=2.0,
        high=2.0,
        source="no public source was found for 2; 1: a ladder of ANDs, erased by measurement",
    ),
    "adiabatic": Constant(
        title="constant of Costa's walk",
        low=1.28,
        likely=2305.0,
        high=2305.0,
        source="2305, proven: arXiv:2312.07690, as transcribed; 1.28 to 1.84: seen at N ≤ 16",
    ),
    "shots": Constant(
        title="simulated shots of the worst vector over N/(2ε²)",
        low=1.0,
        likely=3.0,
        high=3.0,
        source="simulated here (tests/solvers/test_read_out_worst_cases.py); 1: a flat vector",
    ),
    "provable_shots": Constant(
        title="provable shots over N·ln N/ε²",
        low=57.5,
        likely=252.0,
        high=252.0,
        source="57.5: Dalzell et al., arXiv:2211.12489, as transcribed; no public source was found "
        "for 252",
    ),
}
"""Every constant, by the name of its field in :class:`Constants`."""

CLASSICAL = Constant(
    title="how much faster the classical solver is than its price",
    low=0.5,
    likely=1.0,
    high=2.0,
    source="measured here: modelled seconds within a factor of 2 (benchmarks/modelled_seconds.py)",
)
"""How far off a classical price may be; it is no part of the quantum one."""


@dataclass(frozen=True, kw_only=True)
class Constants:
    """A value of every constant, as numbers or as arrays.

    Example:
        >>> Constants.likely().shots, Constants.ends().prefactor.tolist()
        (3.0, [0.03, 0.03, 0.1])
    """

    prefactor: Any
    cycle: Any
    patch: Any
    toffoli_cycles: Any
    rotation_slope: Any
    reflection: Any
    adiabatic: Any
    shots: Any
    provable_shots: Any

    @classmethod
    @cache
    def likely(cls) -> Self:
        """Return the likely values, as numbers."""
        return cls(**{name: constant.likely for name, constant in CONSTANTS.items()})

    @classmethod
    @cache
    def ends(cls, axes: int = 0) -> Self:
        """Return all kindest, all likely and all harshest values along a first axis.

        Args:
            axes: Axes of length 1 after it.
        """
        rows = [(c.low, c.likely, c.high) for c in CONSTANTS.values()]
        return cls._along_first(rows, axes)

    @classmethod
    @cache
    def one_at_a_time(cls, axes: int = 0) -> Self:
        """Return, along a first axis, the kindest and harshest value of each, the others likely.

        Entries 2i and 2i + 1 belong to the i-th of :data:`CONSTANTS`.
        """
        rows = []
        for name, constant in CONSTANTS.items():
            row = [constant.likely] * (2 * len(CONSTANTS))
            place = 2 * list(CONSTANTS).index(name)
            row[place : place + 2] = [constant.low, constant.high]
            rows.append(tuple(row))
        return cls._along_first(rows, axes)

    @classmethod
    def _along_first(cls, rows: Sequence[Sequence[float]], axes: int) -> Self:
        names = [field.name for field in fields(cls)]
        assert names == list(CONSTANTS)
        shaped = [np.array(row).reshape(len(row), *(1,) * axes) for row in rows]
        return cls(**dict(zip(names, shaped, strict=True)))
