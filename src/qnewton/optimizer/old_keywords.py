"""Keywords of release 0.1, which the next release still takes, with a warning."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

from qnewton.cost import Audit
from qnewton.optimizer.options import Classical, Damping, DampingScale, Limits, Quantum
from qnewton.optimizer.settings import DeclinedFlags, decline_flags
from qnewton.optimizer.warmup import Warmup
from qnewton.records import Calibration, QuantumHardware
from qnewton.solvers.quantum import Readout


class OtherKeywords(DeclinedFlags, total=False):
    """Keywords that are declined, or have moved into a value."""

    hardware: QuantumHardware | str | PathLike[str] | None
    epsilon: float
    readout: Readout | None
    audit: Audit | None
    n_qpus: int
    survey_every: int
    calibration: Calibration | None
    tolerance: float | None
    max_dense: int | None
    max_newton: int | None
    damping_scale: DampingScale
    first_order_lr: float


_RENAMED = {"damping_scale": "scale"}
_MOVED = {
    old: (argument, _RENAMED.get(old, old))
    for argument, names in (
        ("quantum", ("hardware", "epsilon", "readout", "audit", "n_qpus", "survey_every")),
        ("classical", ("calibration", "tolerance")),
        ("limits", ("max_dense", "max_newton")),
        ("damping", ("damping_scale",)),
        ("warmup", ("first_order_lr",)),
    )
    for old in names
}
"""The argument and its field into which each old keyword has moved."""


@dataclass(frozen=True)
class Options:
    """The arguments of QNewton that are values of several fields."""

    damping: Damping
    quantum: Quantum
    classical: Classical
    limits: Limits
    warmup: Warmup

    def __post_init__(self) -> None:
        for name, kind in (("classical", Classical), ("limits", Limits)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(
                    f"{name} is {getattr(self, name)!r}; pass a {kind.__name__}, or leave it out"
                )


def with_old_keywords(options: Options, others: Mapping[str, Any]) -> Options:
    """Return the options with the old keywords put where they are now, and warn about them.

    Raises:
        ValueError: If a value is outside its limits, a flag is set that QNewton declines, or the
            old and the new spelling say two different things.
        TypeError: If a keyword is unknown.
    """
    decline_flags({name: value for name, value in others.items() if name not in _MOVED})
    moved = [name for name in _MOVED if name in others]
    spelled: dict[str, list[str]] = {}
    for old in moved:
        argument, name = _MOVED[old]
        given = getattr(options, argument)
        present = getattr(given, name)
        if present not in (type(given).__dataclass_fields__[name].default, others[old]):
            raise ValueError(
                f"{old} and {argument} say two different things; give it once, as "
                f"{argument}={type(given).__name__}({name}=…)"
            )
        value = replace(given, **{name: others[old]})
        options = replace(options, **{argument: value})
        spelled.setdefault(f"{argument}={type(value).__name__}", []).append(f"{name}=…")
    if moved:
        new = ", ".join(f"{value}({', '.join(names)})" for value, names in spelled.items())
        warnings.warn(
            f"QNewton takes {new} in place of {', '.join(moved)}; the old spelling goes in the "
            "next release",
            DeprecationWarning,
            stacklevel=3,
        )
    return options
