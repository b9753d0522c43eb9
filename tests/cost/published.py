"""Figures that others published, beside what this project computes for the same question."""

import math
from dataclasses import dataclass

from qnewton.cost import load_classical, load_hardware, lu_inverse_quote
from qnewton.cost.constants import Constants
from qnewton.cost.encodings import (
    SparseEncoding,
    qroam,
    qroam_uncompute,
    read,
    rotation_t_gates,
    rotation_tree,
    state_preparation,
)
from qnewton.cost.error_correction import Corrected, error_corrected
from qnewton.cost.surface_code import t_factories
from qnewton.queries.dalzell import (
    dalzell_2024,
    dalzell_2024_asymptotic,
    dalzell_2024_norm_known,
)
from qnewton.queries.jennings import jennings_2023, jennings_2025
from qnewton.records import Facts

SOURCES = {
    "Qualtran": "Berry et al., arXiv:1902.02134, Appendices B and C, as qualtran 0.7.0 counts them "
    "in `QROAMClean`, its adjoint, `AddIntoPhaseGrad` and `LinearDepthGreaterThan` (own output)",
    "PennyLane": "pennylane 0.45.1, `pennylane.estimator.QROM(restored=False)` (own output)",
    "Q#": "qdk 1.33.0, `logical_counts` of `Std.TableLookup.Select` and its adjoint, "
    "`RippleCarryCGIncByLE`, `ApplyIfLessLE` and `PreparePureStateD` (own output)",
    "OpenFermion": "OpenFermion, `resource_estimates/pbc/resources/qrom_test.py`: tables in two "
    "dimensions, each rounded up",
    "Gidney-Ekerå": "Gidney and Ekerå, arXiv:1905.09749, §2.5: a lookup costs 2^w, its erasure "
    "2·√(2^w), in a public transcription",
    "Beverland": "Beverland et al., arXiv:2211.07629, §V, Eqs. D3 and D4, as the tests of qualtran "
    "0.7.0 have them",
    "Microsoft": "Microsoft's Q# blog, Automate resource estimation with QIR",
    "Litinski 2018": "Litinski, arXiv:1808.02892, §4, the fast block, in a public transcription",
    "Kliuchnikov": "Kliuchnikov et al., arXiv:2203.10064, Table 1, mixed fallback, as "
    "microsoft/qdk's `psspc.rs` has it",
    "Jennings": "Jennings et al., arXiv:2305.11352v1, Theorem 1, as transcribed for this project",
    "Jennings 2025": "Jennings et al., PRX Quantum 6, 040373, abstract",
    "Dalzell": "Dalzell, arXiv:2406.12086, Eqs. 48 and 118, as transcribed for this project; a "
    "public transcription of Eq. 118 agrees",
    "Li": "Li et al., arXiv:2405.00252, Table III, from which the profile `paper-h100` is made",
    "Clader": "Clader et al., arXiv:2206.03505, Tables 1, 3 and 4, in a public transcription",
    "Litinski 2019": "Litinski, arXiv:1905.06903, Table 1, in a public transcription; the first "
    "row also in the tests of qualtran 0.7.0",
    "Gidney-Fowler": "Gidney and Fowler, arXiv:1812.01238, their spreadsheet, as a test of "
    "qualtran 0.7.0 has it",
    "Lee": "Lee et al., arXiv:2011.03494, abstract and Table III, in a public transcription",
    "Costa 2023": "Costa et al., arXiv:2312.07690, in public notes: 392 steps to 0.2 at κ = 50",
    "Costa 2026": "Costa, Dalzell, An and Berry, arXiv:2604.22185, Eq. 19, in a public "
    "transcription",
}
"""Where each figure was read."""


@dataclass(frozen=True)
class Figure:
    """A published figure.

    Attributes:
        question: What it counts.
        source: A key of ``SOURCES``.
        published: The figure.
        ours: What is computed here.
        within: Most relative difference.
        counts: Most difference in counts, where that is more.
    """

    question: str
    source: str
    published: float
    ours: float
    within: float = 0.005
    counts: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether the difference is within one of both."""
        allowed = max(self.within * self.published, self.counts)
        return abs(self.ours - self.published) <= allowed

    def row(self) -> str:
        """Return a line of the page's table."""
        allowed = f"{self.counts:g}" if self.counts else f"{100 * self.within:g}%"
        numbers = f"{self.published:,.6g} | {self.ours:,.6g} | {allowed}"
        return f"| {self.question} | {self.source} | {numbers} |"


LOADS = ((12_544, 16, 886), (802_816, 40, 11_350), (1000, 7, 166), (64, 20, 50))
ERASURES = ((12_544, 222), (802_816, 1804), (1000, 60), (64, 12))
SELECTS = ((8, 6, 1), (16, 14, 2), (64, 62, 8), (200, 198, 22))
_PLANES = ((729 * 182, 21, 3416, 785, 0.02), (57 * 28, 91, 679, 88, 0.08))
_WIDE = 4096


def _tables() -> list[Figure]:
    found = []
    for length, bits, qualtran in LOADS:
        load = f"Toffoli gates of loading one of {length:,} words of {bits} bits"
        ours = qroam(length, bits)[0]
        found.append(Figure(load, "Qualtran", qualtran, ours, counts=2))
        pennylane = 172 if length == 1000 else qualtran
        found.append(Figure(load, "PennyLane", pennylane, ours, counts=4))
    for length, erased in ERASURES:
        erasing = f"Toffoli gates of erasing one of {length:,} words by measurement"
        found.append(Figure(erasing, "Qualtran", erased, qroam_uncompute(length), counts=4))
    for length, loaded, erased in SELECTS:
        load = f"Toffoli gates of loading one of {length} words without any workspace"
        found.append(Figure(load, "Q#", loaded, qroam(length, _WIDE)[0], counts=2))
        erasing = f"Toffoli gates of erasing one of {length} words by measurement"
        found.append(Figure(erasing, "Q#", erased, qroam_uncompute(length), counts=8))
    for length, bits, loaded, erased, within in _PLANES:
        load = f"Toffoli gates of loading one of {length:,} words of {bits} bits"
        found.append(Figure(load, "OpenFermion", loaded, qroam(length, bits)[0], 0.02))
        erasing = f"Toffoli gates of erasing one of {length:,} words by measurement"
        found.append(Figure(erasing, "OpenFermion", erased, qroam_uncompute(length), within))
    window = "words of a window of 10 bits"
    found.append(Figure(f"lookup, {window}", "Gidney-Ekerå", 1024, qroam(1024, _WIDE)[0], 0.0))
    found.append(Figure(f"erasure, {window}", "Gidney-Ekerå", 64, qroam_uncompute(1024), 0.0))
    return found


def _arithmetic() -> list[Figure]:
    phase = rotation_tree(2, 1, 14).toffoli - read(1, 14).toffoli
    rotated = state_preparation(64, 2.0**-20, "rotations").t_gates
    synthesised = rotation_t_gates(-20.0 - 6.0)  # 64 rotations share the error
    sparse = SparseEncoding(n=64, sparsity=4, alpha=1.0)
    compared = sparse.gates(20).toffoli - read(64 * 4, 6 + 20 + 2).toffoli
    return [
        Figure(
            "Toffoli gates of adding 14 bits to a phase gradient", "Qualtran", 12, phase, counts=2
        ),
        Figure("Toffoli gates of adding 14 bits to a phase", "Q#", 13, phase, counts=1),
        Figure("Toffoli gates of comparing 20 bits", "Qualtran", 20, compared, 0.0),
        Figure("Toffoli gates of comparing 20 bits", "Q#", 20, compared, 0.0),
        Figure("rotations that prepare 64 amplitudes", "Q#", 63, rotated / synthesised, counts=1),
        Figure(
            "T gates of a rotation to 6.44·10⁻⁶",
            "Kliuchnikov",
            14,
            rotation_t_gates(math.log2(6.44e-6)),
        ),
        Figure(
            "T gates of a rotation to 2.38·10⁻⁵",
            "Kliuchnikov",
            13,
            rotation_t_gates(math.log2(2.38e-5)),
        ),
    ]


@dataclass(frozen=True)
class _Instance:
    """An application of Beverland et al.: its counts, and the budget for it."""

    qubits: float
    toffoli: float
    t_gates: float
    rotations: float
    rotation_layers: float
    measurements: float
    budget: float

    @property
    def per_rotation(self) -> int:
        return math.ceil(rotation_t_gates(math.log2(self.budget / 3 / self.rotations)))

    @property
    def t_states(self) -> float:
        return self.t_gates + 4 * self.toffoli + self.per_rotation * self.rotations

    @property
    def steps(self) -> float:
        single = self.measurements + self.rotations + self.t_gates
        return single + 3 * self.toffoli + self.per_rotation * self.rotation_layers

    def corrected(self) -> Corrected:
        """Return the closed form at a physical error of 10⁻⁴."""
        return error_corrected(
            load_hardware("qubit_gate_ns_e3"),
            n_qubits=self.qubits,
            toffoli=self.toffoli,
            t_gates=self.steps - 3 * self.toffoli,
            error_budget=self.budget,
            method="closed-form",
            physical_error=1e-4,
        )


DYNAMICS = _Instance(100, 0, 0, 30_100, 501, 1.4e6, 1e-3)
CHEMISTRY = _Instance(1318, 1.35e11, 5.53e7, 2.06e8, 2.05e8, 1.37e9, 1e-2)
FACTORING = _Instance(12_581, 3.73e9, 12, 12, 12, 1.08e9, 1 / 3)


def _layout(qubits: float) -> float:
    """Return the logical qubits of so many after layout, from the physical ones."""
    run = corrected(qubits, 1e6, 0.0)
    assert run.physical_qubits is not None
    assert run.code_distance is not None
    factories = float(t_factories(4e6, 1e-3, 1e-3, 5e-3, Constants.likely()).physical_qubits)
    return (run.physical_qubits - factories) / (2 * run.code_distance**2)


def corrected(qubits: float, toffoli: float, t_gates: float) -> Corrected:
    """Return the closed form at a physical error of 10⁻³."""
    counts = {"n_qubits": qubits, "toffoli": toffoli, "t_gates": t_gates}
    machine = load_hardware("qubit_gate_ns_e3")
    return error_corrected(machine, **counts, method="closed-form", physical_error=1e-3)


def _machines() -> list[Figure]:
    chemistry, factoring = "quantum chemistry", "factoring"
    inverse = lu_inverse_quote(load_classical("paper-h100"), Facts(n=12_544)).seconds
    assert inverse is not None
    distance = FACTORING.corrected().code_distance
    assert distance is not None
    return [
        Figure(f"T states, {chemistry}", "Beverland", 5.44e11, CHEMISTRY.t_states),
        Figure(f"T states, {factoring}", "Beverland", 1.49e10, FACTORING.t_states),
        Figure("T states, quantum dynamics", "Beverland", 6.02e5, DYNAMICS.t_states, 0.06),
        Figure(f"logical cycles, {chemistry}", "Beverland", 4.1e11, CHEMISTRY.steps),
        Figure(f"logical cycles, {factoring}", "Beverland", 1.23e10, FACTORING.steps),
        Figure(f"code distance, {factoring}", "Beverland", 13, distance, 0.0),
        Figure("logical qubits after layout of 33", "Microsoft", 84, _layout(33), 0.0),
        Figure("tiles of 100 qubits", "Litinski 2018", 231, _layout(100), counts=1),
        Figure("seconds of LU inversion, N = 12,544: 1.06 - 0.14", "Li", 0.92, inverse),
    ]


def _queries() -> list[Figure]:
    first = jennings_2023(alpha=1.0, kappa=1e3, epsilon=1e-2)
    second = jennings_2023(alpha=64.0, kappa=100.0, epsilon=1e-10)
    later = jennings_2025(kappa=1e4, epsilon=1e-10).queries / 1e4
    known = dalzell_2024_norm_known(kappa=1e3, epsilon=1e-2)
    at = "κ = 10³, ε = 10⁻²"
    exact = 1e-6
    return [
        Figure(f"queries, {at}", "Jennings", 268_080.83, first.queries, exact),
        Figure(f"expected queries, {at}", "Jennings", 691_001.21, first.expected, exact),
        Figure(
            "expected queries, α = 64, κ = 100, ε = 10⁻¹⁰",
            "Jennings",
            3_455_178.28,
            second.expected,
            exact,
        ),
        Figure("queries per κ at ε = 10⁻¹⁰", "Jennings 2025", 837, later, 0.03),
        Figure(
            f"queries, norm unknown, Eq. 48, {at}",
            "Dalzell",
            61_754.88,
            dalzell_2024_asymptotic(kappa=1e3, epsilon=1e-2).expected,
            exact,
        ),
        Figure(
            f"queries, norm unknown, Eq. 118, {at}",
            "Dalzell",
            40_204.19,
            dalzell_2024(kappa=1e3, epsilon=1e-2).expected,
            exact,
        ),
        Figure(f"queries, norm known, {at}", "Dalzell", 5_644.89, known.queries, exact),
    ]


def figures() -> list[Figure]:
    """Return all figures that are reproduced."""
    return [*_tables(), *_arithmetic(), *_machines(), *_queries()]
