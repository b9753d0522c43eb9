"""The 27 nonlinear regression problems of NIST's StRD, as files with certified values.

Each model takes the parameters, the predictors and the namespace to compute with: ``torch`` or
``numpy``. https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Model = Callable[[Any, Any, Any], Any]

# The headers name the lines: parameters up to here, data from here on.
_DATA_FROM = 60
_PARAMETER = re.compile(r"\s*b\d+\s*=\s*(.*)")


@dataclass(frozen=True, eq=False)
class Regression:
    """One problem.

    Attributes:
        name: NIST's.
        model: Its function.
        starts: Two, shape [2, N].
        certified: Parameters, shape [N].
        deviations: Their standard deviations, shape [N].
        squares: The residual sum of squares.
        x: Predictors, shape [M] or [2, M].
        y: The response, shape [M].
    """

    name: str
    model: Model
    starts: np.ndarray
    certified: np.ndarray
    deviations: np.ndarray
    squares: float
    x: np.ndarray
    y: np.ndarray


def _gauss(b: Any, x: Any, xp: Any) -> Any:
    b1, b2, b3, b4, b5, b6, b7, b8 = b
    first, second = (x - b4) ** 2 / b5**2, (x - b7) ** 2 / b8**2
    return b1 * xp.exp(-b2 * x) + b3 * xp.exp(-first) + b6 * xp.exp(-second)


def _lanczos(b: Any, x: Any, xp: Any) -> Any:
    b1, b2, b3, b4, b5, b6 = b
    return b1 * xp.exp(-b2 * x) + b3 * xp.exp(-b4 * x) + b5 * xp.exp(-b6 * x)


def _enso(b: Any, x: Any, xp: Any) -> Any:
    b1, b2, b3, b4, b5, b6, b7, b8, b9 = b
    year, first, second = (2 * math.pi * x / period for period in (12, b4, b7))
    return (
        b1
        + (b2 * xp.cos(year) + b3 * xp.sin(year))
        + (b5 * xp.cos(first) + b6 * xp.sin(first))
        + (b8 * xp.cos(second) + b9 * xp.sin(second))
    )


def _cubic(b: Any, x: Any, xp: Any) -> Any:
    del xp
    b1, b2, b3, b4, b5, b6, b7 = b
    return (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)


def _chwirut(b: Any, x: Any, xp: Any) -> Any:
    return xp.exp(-b[0] * x) / (b[1] + b[2] * x)


MODELS: dict[str, Model] = {
    "Bennett5": lambda b, x, xp: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": lambda b, x, xp: b[0] * (1 - xp.exp(-b[1] * x)),
    "Chwirut1": _chwirut,
    "Chwirut2": _chwirut,
    "DanWood": lambda b, x, xp: b[0] * x ** b[1],
    "ENSO": _enso,
    "Eckerle4": lambda b, x, xp: (b[0] / b[1]) * xp.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Gauss1": _gauss,
    "Gauss2": _gauss,
    "Gauss3": _gauss,
    "Hahn1": _cubic,
    "Kirby2": lambda b, x, xp: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Lanczos1": _lanczos,
    "Lanczos2": _lanczos,
    "Lanczos3": _lanczos,
    "MGH09": lambda b, x, xp: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x, xp: b[0] * xp.exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x, xp: b[0] + b[1] * xp.exp(-x * b[3]) + b[2] * xp.exp(-x * b[4]),
    "Misra1a": lambda b, x, xp: b[0] * (1 - xp.exp(-b[1] * x)),
    "Misra1b": lambda b, x, xp: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x, xp: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x, xp: b[0] * b[1] * x * (1 + b[1] * x) ** -1,
    "Nelson": lambda b, x, xp: b[0] - b[1] * x[0] * xp.exp(-b[2] * x[1]),
    "Rat42": lambda b, x, xp: b[0] / (1 + xp.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x, xp: b[0] / (1 + xp.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Roszman1": lambda b, x, xp: b[0] - b[1] * x - xp.arctan(b[2] / (x - b[3])) / math.pi,
    "Thurber": _cubic,
}


def folder() -> Path | None:
    """Return where the files are, ``None`` where there are none."""
    data = os.environ.get("QNEWTON_DATA")
    found = None if data is None else Path(data) / "nist"
    return found if found is not None and found.is_dir() else None


def load(name: str, where: Path) -> Regression:
    """Read one problem."""
    lines = (where / f"{name}.dat").read_text(encoding="ascii").splitlines()
    found = [_PARAMETER.match(line) for line in lines[:_DATA_FROM]]
    table = np.array([[float(v) for v in match[1].split()] for match in found if match])
    (squares,) = (
        float(line.split(":")[1]) for line in lines if line.startswith("Residual Sum of Squares")
    )
    rows = [[float(v) for v in line.split()] for line in lines[_DATA_FROM:] if line.strip()]
    data = np.array(rows).T
    # Of Nelson's problem the logarithm is modelled.
    y = np.log(data[0]) if name == "Nelson" else data[0]
    return Regression(
        name=name,
        model=MODELS[name],
        starts=table[:, :2].T.copy(),
        certified=table[:, 2].copy(),
        deviations=table[:, 3].copy(),
        squares=squares,
        x=data[1] if len(data) == 2 else data[1:],
        y=y,
    )


def digits(found: np.ndarray, certified: np.ndarray) -> float:
    """Return the certified digits of the worst parameter, at most 11, as many as are certified."""
    with np.errstate(all="ignore"):
        worst = float(np.abs(found / certified - 1).max())
    return min(11.0, -math.log10(worst)) if 0 < worst < math.inf else (11.0 if worst == 0 else 0.0)
