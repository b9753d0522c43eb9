"""Scenarios as arrays: what designs of quantum solvers are priced on, one scenario or thousands."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnewton.cost.budget import Splits
from qnewton.cost.constants import Constants
from qnewton.cost.designs import Designs, designs
from qnewton.cost.encodings import Encoding, encodings
from qnewton.cost.parts import Draft
from qnewton.cost.scenario import Scenario
from qnewton.cost.state_price import Asked
from qnewton.cost.surface_code import Timed
from qnewton.records import LowRank, Sparse

Places = NDArray[np.int64]


@dataclass(frozen=True)
class _System:
    """What does not hang on κ or on ε: block-encodings, and the seconds of classical parts.

    Attributes:
        encodings: All that fit, and whose entries have a price.
        before: Seconds before the solver by term, for each encoding.
        after: Those after it.
        refused: Why a part has no price, if one has none.
    """

    encodings: tuple[Encoding, ...]
    before: tuple[dict[str, float], ...]
    after: dict[str, float]
    refused: str | None

    @classmethod
    def of(cls, scenario: Scenario) -> "_System":
        """Return that of a scenario."""
        audit, facts = scenario.audit, scenario.facts
        fitting = encodings(facts, audit.tables)
        known = (scenario.calibration, facts, scenario.dtype, "")
        drafts = [Draft("qsvt", *known) for _ in fitting]
        for encoding, draft in zip(fitting, drafts, strict=True):
            if encoding.reads_entries and not isinstance(facts.held, Sparse):
                # Sparse access reads the entries that are there; nobody writes out the zeros.
                draft.add_forming()
            if audit.table_building:
                draft.add("tables", "elementwise", encoding.entries)
        after = Draft("qsvt", *known)
        if audit.readout != "none":
            after.add_products(1)
        # An encoding whose entries have no price is none that can be taken.
        kept = [(e, d) for e, d in zip(fitting, drafts, strict=True) if d.refused is None]
        refused = after.refused or (drafts[0].refused if not kept else None)
        # One product, which gives the step's length and sign.
        norm = {"norm": after.seconds} if after.terms else {}
        before = tuple(_seconds(draft) for _, draft in kept)
        return cls(tuple(encoding for encoding, _ in kept), before, norm, refused)


def _seconds(draft: Draft) -> dict[str, float]:
    found: dict[str, float] = {}
    for term in draft.terms:
        found[term.name] = found.get(term.name, 0.0) + term.seconds
    return found


@dataclass(frozen=True)
class Points:
    """Scenarios whose audits differ in numbers alone, each with every block-encoding that fits it.

    Attributes:
        scenarios: All of them; κ is known of each, and its machine has all figures.
        owners: Index of each point's scenario, rising.
        encodings: The distinct block-encodings.
        which: Index of each point's own.
        before: Seconds of the classical parts before the solver, by encoding and term.
        after: Those after it.
        refused: By scenario, why a classical part has no price; ``None`` where all have one.
    """

    scenarios: Sequence[Scenario]
    owners: Places
    encodings: Sequence[Encoding]
    which: Places
    before: Sequence[dict[str, float]]
    after: Sequence[dict[str, float]]
    refused: Sequence[str | None]

    @classmethod
    def of(cls, scenarios: Sequence[Scenario], names: Collection[str] | None = None) -> "Points":
        """Return scenarios as arrays.

        Args:
            scenarios: Which.
            names: The block-encodings to price; ``None`` for all.

        Cost: some 20 µs per scenario, and 50 µs more per distinct system.
        """
        first: dict[Any, tuple[int, int, str | None]] = {}
        found: list[tuple[Encoding, dict[str, float], dict[str, float]]] = []
        refused: list[str | None] = []
        owners: list[int] = []
        which: list[int] = []
        for owner, scenario in enumerate(scenarios):
            facts = scenario.facts
            # Of a factor, α hangs on λ and so on κ.
            known = facts.spectrum.condition if isinstance(facts.held, LowRank) else None
            blank = replace(facts.spectrum, condition=known, bounds=())
            key = (facts.n, facts.held, blank, facts.amplitudes, id(scenario.calibration))
            if key not in first:
                system = _System.of(scenario)
                kept = [
                    (encoding, before, system.after)
                    for encoding, before in zip(system.encodings, system.before, strict=True)
                    if names is None or encoding.name in names
                ]
                first[key] = (len(found), len(kept), system.refused)
                found += kept
            start, count, reason = first[key]
            refused.append(reason)
            owners += [owner] * count
            which += range(start, start + count)
        encoded, before, after = zip(*found, strict=True) if found else ((), (), ())
        return cls(scenarios, np.array(owners), encoded, np.array(which), before, after, refused)

    def encoding(self, point: int) -> Encoding:
        """Return a point's block-encoding."""
        return self.encodings[self.which[point]]

    def designs(
        self, algorithm: str, splits: Splits, constants: Constants | None = None
    ) -> Designs:
        """Return the prices of all points by one algorithm.

        Args:
            algorithm: The quantum solver.
            splits: Of ε.
            constants: Along a first axis; ``None`` for kindest, likely and harshest ones.
        """
        return designs(
            self.asked,
            self._columns_before,
            self._columns_after,
            self.scenarios[0].audit,
            algorithm,
            splits,
            constants or Constants.ends(2),
        )

    @cached_property
    def asked(self) -> Asked:
        """What every algorithm is priced on."""
        chosen = [self.scenarios[owner] for owner in self.owners]
        conditions = [scenario.facts.spectrum.condition for scenario in chosen]
        gains = [scenario.facts.solution_gain for scenario in chosen]
        shapes = dict(zip(self.which, (s.facts.amplitudes for s in chosen), strict=True))
        return Asked(
            encodings=tuple(self.encodings),
            which=self.which,
            n=np.array([float(scenario.facts.n) for scenario in chosen]),
            kappa=np.array([c.value for c in conditions if c is not None]),
            epsilon=np.array([scenario.audit.epsilon for scenario in chosen]),
            machine=_machine(chosen),
            gain=None if None in gains else np.array(gains),
            shapes=tuple(shapes[place] for place in range(len(self.encodings))),
        )

    @cached_property
    def _columns_before(self) -> dict[str, Any]:
        return _columns(self.before, self.which)

    @cached_property
    def _columns_after(self) -> dict[str, Any]:
        return _columns(self.after, self.which)


def alike(scenario: Scenario) -> Any:
    """Return what scenarios have in common that may be priced together: every choice, no number."""
    known = scenario.facts.solution_gain is not None
    return known, replace(scenario.audit, epsilon=0.5, physical_error=None)


def _machine(scenarios: Sequence[Scenario]) -> Timed:
    each = [Timed.of(s.hardware, s.audit.physical_error) for s in scenarios]

    def column(name: str) -> Any:
        values = [getattr(timed, name) for timed in each]
        return None if None in values else np.array(values)

    return Timed(**{name: column(name) for name in ("gate_s", "readout_s", "error", "t_error")})


def _columns(terms: Sequence[dict[str, float]], which: Places) -> dict[str, Any]:
    names = dict.fromkeys(name for each in terms for name in each)
    return {n: np.array([each.get(n, 0.0) for each in terms])[which] for n in names}
