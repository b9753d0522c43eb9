"""Machines as data: quantum hardware profiles and classical calibrations."""

import statistics
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a profile with where and when it comes from."""

    value: float
    source: str
    date: str


@dataclass(frozen=True, kw_only=True)
class QuantumHardware:
    """A quantum machine as the price models see it.

    Attributes:
        name: Name used on the command line.
        title: One line for people.
        hypothetical: True when no such machine exists.
        gate_time_s: Seconds a two-qubit gate takes.
        two_qubit_error: Error probability of that gate.
        readout_time_s: Seconds a measurement takes.
        readout_error: Error probability of a measurement.
        t_error: Error probability of a T gate; ``None`` for that of a two-qubit gate.
        t1_s: Relaxation time in seconds.
        t2_s: Dephasing time in seconds.
    """

    name: str
    title: str
    hypothetical: bool
    gate_time_s: Figure
    two_qubit_error: Figure | None = None
    readout_time_s: Figure | None = None
    readout_error: Figure | None = None
    t_error: Figure | None = None
    t1_s: Figure | None = None
    t2_s: Figure | None = None


@dataclass(frozen=True, kw_only=True)
class KernelFit:
    """Timed runs of a kernel, and the line fitted to them.

    seconds = overhead_s + seconds_per_unit · work for the whole range; prices follow the samples,
    where there are some (:func:`qnewton.cost.price`).

    Attributes:
        kernel: What was timed, a key of :data:`qnewton.cost.KERNELS`.
        work: The unit of work in words (``N^3``, ``N^2 per product``, ``flops``, ``entries``).
        dtype: ``float32`` or ``float64``.
        seconds_per_unit: Slope.
        overhead_s: Intercept, 0 where the model has none (the paper's C·N³).
        samples: (work, seconds) pairs behind the fit; empty for a profile from a paper.
        median_error: Median relative error of the fit on its own samples.
    """

    kernel: str
    work: str
    dtype: str
    seconds_per_unit: float
    overhead_s: float = 0.0
    samples: tuple[tuple[float, float], ...] = ()
    median_error: float | None = None

    @cached_property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """One (work, seconds) an amount of work, ascending; seconds never fall with work."""
        by_work: dict[float, list[float]] = {}
        for work, seconds in self.samples:
            by_work.setdefault(work, []).append(seconds)
        points, most = [], 0.0
        for work in sorted(by_work):
            most = max(most, statistics.median(by_work[work]))
            points.append((work, most))
        return tuple(points)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How much longer a solver took in finished runs than its price said.

    Attributes:
        solver: Its name in the table of solvers.
        ratio: Median of measured over priced seconds; prices are multiplied by it.
        solves: Solves behind it.
    """

    solver: str
    ratio: float
    solves: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """What joins the nodes of a classical machine that is a cluster.

    Attributes:
        nodes: How many there are.
        all_reduce_s: Seconds to add a few numbers over all nodes.
        bytes_per_s: What one node sends to others.
    """

    nodes: int
    all_reduce_s: float
    bytes_per_s: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A classical machine's fitted constants, frozen into every run that uses them.

    Attributes:
        name: ``local`` for this machine's own, else the profile's name.
        machine: Processor, threads and libraries in words.
        date: ISO date of the fit.
        source: How the figures were obtained.
        fits: One fit a kernel and dtype.
        drifts: What earlier runs found of its prices, one per solver.
        memory_bytes: What its memory holds, of all nodes together; ``None`` where nobody said.
        network: What joins its nodes; ``None`` for a single machine.
    """

    name: str
    machine: str
    date: str
    source: str
    fits: tuple[KernelFit, ...]
    drifts: tuple[Drift, ...] = ()
    memory_bytes: float | None = None
    network: Network | None = None

    def fit(self, kernel: str, dtype: str = "float32") -> KernelFit | None:
        """Return the fit of ``kernel`` at ``dtype``, or ``None`` if it was not timed."""
        return self._by_kernel.get((kernel, dtype))

    @cached_property
    def _by_kernel(self) -> dict[tuple[str, str], KernelFit]:
        return {(fit.kernel, fit.dtype): fit for fit in reversed(self.fits)}

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What was computed from it alone, kept by who did; no part of its value."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was computed: a memo may hold prices, which cannot be pickled."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def drift(self, solver: str) -> Drift | None:
        """Return what earlier runs found of a solver's price, or ``None`` if none ran it."""
        return self._by_solver.get(solver)

    @cached_property
    def timed(self) -> bool:
        """Whether some of its rates were fitted to timings, rather than written down."""
        return any(fit.samples for fit in self.fits)

    @cached_property
    def _by_solver(self) -> dict[str, Drift]:
        return {drift.solver: drift for drift in reversed(self.drifts)}
