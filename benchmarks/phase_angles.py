"""Which code finds the phase angles of an inverse polynomial, to what accuracy, in what time?

The optimal polynomial for 1/x at ε = 1e-3, degree 11 to 10,001, over its largest value: it reaches
1, as the emulator's does and as the best success probability asks for; and over twice that, where
the success probability is a quarter. Accuracy is the largest error of the polynomial that the
angles give, at 301 points. Each solver has a minute of processor time.
"""

import contextlib
import io
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import INSTALL, Report, Row, Say, describe_machine, reached
from qnewton.solvers.quantum import InversePolynomial, inverse_degree, inverse_polynomial
from qnewton.solvers.quantum.circuits.phases import Phases, inverse_phases

Array = NDArray[Any]
Solver = Callable[[Array], Array]

DEGREES = (11, 101, 1001, 10_001)
EPSILON = 1e-3
_POINTS = np.linspace(-1.0, 1.0, 301)
_LIMIT_S, _ERROR, _SECONDS = 60, 1e-11, 1.0


class _OutOfTimeError(Exception):
    """A solver took longer than it has."""


@dataclass(frozen=True)
class _Found:
    """What one solver came to: seconds and error, or why there is none."""

    seconds: float | None = None
    error: float | None = None
    why: str = ""

    def __str__(self) -> str:
        return self.why or f"{self.seconds:.2g} s, error {self.error:.1e}"


def measure(say: Say) -> Report:
    """Find angles of every degree by ours and by every peer that is installed."""
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    for peer in PEERS.values():
        # What a package imports is not its solver's time.
        _peer(peer, inverse_polynomial(1.5, 0.1), 0.5)
    for degree in DEGREES:
        polynomial = _of_degree(degree)
        ours = _ours(polynomial)
        assert ours.error is not None
        assert ours.seconds is not None
        met = ours.error <= _ERROR and ours.seconds <= _SECONDS
        title = f"phase angles of 1/x, degree {degree:,}, largest value 1"
        reach = f"≤ {_ERROR:g} in ≤ {_SECONDS:g} s"
        rows.append(reached(f"{title}: this package", reach, str(ours), met))
        for name, peer in PEERS.items():
            found = {scale: _peer(peer, polynomial, scale) for scale in (1.0, 0.5)}
            told = f"{found[1.0]}; largest value 0.5: {found[0.5]}"
            rows.append(Row(f"{title}: {name}", "", told, ""))
            say(f"degree {degree:,}, {name}: {told}")
        facts[title] = {"kappa": polynomial.kappa, "degree": polynomial.degree}
    return Report("phase_angles", rows, describe_machine(), {}, facts=facts)


def _of_degree(degree: int) -> InversePolynomial:
    """Return the polynomial of the largest κ that the degree suffices for, to rounding."""
    low, high = 1.01, 1e5
    while high / low > 1.0 + 1e-12:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if inverse_degree(middle, EPSILON) < degree else (low, middle)
    return inverse_polynomial(high, EPSILON)


def _ours(polynomial: InversePolynomial) -> _Found:
    start = time.process_time()
    phases = inverse_phases(polynomial)
    seconds = time.process_time() - start
    error = np.abs(_by_reflections(phases) - polynomial.at(_POINTS) / polynomial.sup_norm).max()
    return _Found(seconds, float(error))


def _peer(peer: Solver, polynomial: InversePolynomial, scale: float) -> _Found:
    coefficients = scale * polynomial.coefficients / polynomial.sup_norm
    wanted = scale * polynomial.at(_POINTS) / polynomial.sup_norm
    start = time.process_time()
    try:
        with _at_most(_LIMIT_S), contextlib.redirect_stdout(io.StringIO()):
            angles = peer(coefficients)
    except _OutOfTimeError:
        return _Found(why=f"not within {_LIMIT_S} s")
    except ImportError as error:
        return _Found(why=f"{error.name} is not installed; {INSTALL}")
    except MemoryError:
        return _Found(why="runs out of memory")
    except (ValueError, IndexError, FloatingPointError, RecursionError) as error:
        return _Found(why=f"refused: {str(error).splitlines()[0][:60]}")
    seconds = time.process_time() - start
    corner: Any = _by_rotations(angles)
    # Conventions differ: some give the real part, some the imaginary one, some its negative.
    parts = (corner.real, -corner.real, corner.imag, -corner.imag)
    return _Found(seconds, float(min(np.abs(part - wanted).max() for part in parts)))


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _by_reflections(phases: Phases) -> Array:
    """Return what the angles give with R(x) = [[x, √(1-x²)], [√(1-x²), -x]]."""
    x, sine = _POINTS, np.sqrt(1.0 - _POINTS**2)
    upper, lower = np.exp(1j * phases.angles[0]) * np.ones_like(x), np.zeros_like(x) * 1j
    for angle in phases.angles[1:]:
        upper, lower = upper * x + lower * sine, upper * sine - lower * x
        upper, lower = upper * np.exp(1j * angle), lower * np.exp(-1j * angle)
    return (np.exp(1j * phases.offset) * upper).real


def _by_rotations(angles: Array) -> Array:
    """Return the corner of e^{iφ_0 Z} W e^{iφ_1 Z} …, W = e^{i arccos(x) X}, as peers have it."""
    x, sine = _POINTS, 1j * np.sqrt(1.0 - _POINTS**2)
    upper, lower = np.exp(1j * angles[0]) * np.ones_like(x), np.zeros_like(x) * 1j
    for angle in angles[1:]:
        upper, lower = upper * x + lower * sine, upper * sine + lower * x
        upper, lower = upper * np.exp(1j * angle), lower * np.exp(-1j * angle)
    return upper


def _qsppack(method: str) -> Solver:
    def run(coefficients: Array) -> Array:
        package: Any = import_module("qsppack.solver")
        options = {"method": method, "criteria": 1e-12, "targetPre": True, "maxiter": 200}
        return np.asarray(package.solve(coefficients, 1, options)[0])

    return run


def _pyqsp(coefficients: Array) -> Array:
    package: Any = import_module("pyqsp.angle_sequence")
    series = np.zeros(2 * len(coefficients))
    series[1::2] = coefficients
    found = package.QuantumSignalProcessingPhases(series, method="sym_qsp", chebyshev_basis=True)
    return np.asarray(found[0])


def _nlft_qsp(coefficients: Array) -> Array:
    poly: Any = import_module("nlft_qsp.poly")
    qsp: Any = import_module("nlft_qsp.qsp")
    series = np.zeros(2 * len(coefficients))
    series[1::2] = coefficients
    found = qsp.ChebyshevQSPPhaseFactors.solve(poly.ChebyshevTExpansion(series))
    return np.asarray(found.phi)


PEERS: dict[str, Solver] = {
    "qsppack, Newton": _qsppack("Newton"),
    "qsppack, NLFT": _qsppack("NLFT"),
    "qsppack, fixed point": _qsppack("FPI"),
    "pyqsp, symmetric QSP": _pyqsp,
    "nlft-qsp": _nlft_qsp,
}
