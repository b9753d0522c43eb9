"""Test problems for least squares (Moré, Garbow and Hillstrom 1981), for torch and NumPy alike.

Each function takes the parameters and the namespace to compute with: ``torch`` or ``numpy``. The
minima are of the sum of squares, global and local ones as published.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

FACTORS = (1, 10, 100)


@dataclass(frozen=True)
class Problem:
    """A function, its usual start, the published minima, and its data by name."""

    name: str
    residuals: Callable[..., Any]
    start: tuple[float, ...]
    minima: tuple[float, ...]
    data: tuple[Any, ...] = ()

    def solved(self, squares: float) -> bool:
        """Return whether a sum of squares is one of the minima, to six digits."""
        return any(abs(squares - least) <= 1e-5 * least + 1e-10 for least in self.minima)

    def starts(self) -> list[np.ndarray]:
        """Return the usual start, and ten and a hundred times as far from zero."""
        start = np.array(self.start, dtype=float)
        return [factor * start for factor in (FACTORS if start.any() else FACTORS[:1])]


def rosenbrock(x: Any, xp: Any) -> Any:
    return xp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def freudenstein_roth(x: Any, xp: Any) -> Any:
    a, b = x
    return xp.stack([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])


def powell_badly_scaled(x: Any, xp: Any) -> Any:
    return xp.stack([1e4 * x[0] * x[1] - 1, xp.exp(-x[0]) + xp.exp(-x[1]) - 1.0001])


def brown_badly_scaled(x: Any, xp: Any) -> Any:
    return xp.stack([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def beale(x: Any, xp: Any) -> Any:
    y = (1.5, 2.25, 2.625)
    return xp.stack([y[i] - x[0] * (1 - x[1] ** (i + 1)) for i in range(3)])


def jennrich_sampson(x: Any, xp: Any, i: Any) -> Any:
    return 2 + 2 * i - (xp.exp(i * x[0]) + xp.exp(i * x[1]))


def helical_valley(x: Any, xp: Any) -> Any:
    a, b, c = x
    half = xp.where(a > 0, 0.0 * a, 0.5 + 0.0 * a)
    turn = xp.arctan(b / a) / (2 * math.pi) + half
    return xp.stack([10 * (c - 10 * turn), 10 * (xp.sqrt(a * a + b * b) - 1), c])


def bard(x: Any, xp: Any, u: Any, y: Any) -> Any:
    v = 16 - u
    w = xp.minimum(u, v)
    return y - (x[0] + u / (v * x[1] + w * x[2]))


def gaussian(x: Any, xp: Any, t: Any, y: Any) -> Any:
    return x[0] * xp.exp(-x[1] * (t - x[2]) ** 2 / 2) - y


def meyer(x: Any, xp: Any, t: Any, y: Any) -> Any:
    return x[0] * xp.exp(x[1] / (t + x[2])) - y


def gulf(x: Any, xp: Any, t: Any) -> Any:
    y = 25 + (-50 * xp.log(t)) ** (2 / 3)
    return xp.exp(-(xp.abs(y - x[1]) ** x[2]) / x[0]) - t


def box(x: Any, xp: Any, t: Any) -> Any:
    a, b, c = x
    return xp.exp(-t * a) - xp.exp(-t * b) - c * (xp.exp(-t) - xp.exp(-10 * t))


def powell_singular(x: Any, xp: Any) -> Any:
    a, b, c, d = x
    return xp.stack(
        [a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2]
    )


def wood(x: Any, xp: Any) -> Any:
    a, b, c, d = x
    return xp.stack(
        [
            10 * (b - a**2),
            1 - a,
            math.sqrt(90) * (d - c**2),
            1 - c,
            math.sqrt(10) * (b + d - 2),
            (b - d) / math.sqrt(10),
        ]
    )


def kowalik_osborne(x: Any, xp: Any, u: Any, y: Any) -> Any:
    del xp
    return y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


def brown_dennis(x: Any, xp: Any, t: Any) -> Any:
    a, b, c, d = x
    return (a + t * b - xp.exp(t)) ** 2 + (c + d * xp.sin(t) - xp.cos(t)) ** 2


def osborne_1(x: Any, xp: Any, t: Any, y: Any) -> Any:
    a, b, c, d, e = x
    return y - (a + b * xp.exp(-t * d) + c * xp.exp(-t * e))


def biggs_exp6(x: Any, xp: Any, t: Any) -> Any:
    a, b, c, d, e, f = x
    y = xp.exp(-t) - 5 * xp.exp(-10 * t) + 3 * xp.exp(-4 * t)
    return c * xp.exp(-t * a) - d * xp.exp(-t * b) + f * xp.exp(-t * e) - y


def osborne_2(x: Any, xp: Any, t: Any, y: Any) -> Any:
    bumps = sum(x[k] * xp.exp(-((t - x[k + 7]) ** 2) * x[k + 4]) for k in (1, 2, 3))
    return y - (x[0] * xp.exp(-t * x[4]) + bumps)


def watson(x: Any, xp: Any, t: Any) -> Any:
    powers = [t**j for j in range(len(x))]
    value = x[0] * powers[0]
    slope = 0 * value
    for j in range(1, len(x)):
        value, slope = value + x[j] * powers[j], slope + j * x[j] * powers[j - 1]
    return xp.stack([*(slope - value**2 - 1), x[0], x[1] - x[0] ** 2 - 1])


def extended_rosenbrock(x: Any, xp: Any) -> Any:
    return xp.concatenate([10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]])


def extended_powell(x: Any, xp: Any) -> Any:
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    parts = [a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2]
    return xp.concatenate(parts)


def penalty_1(x: Any, xp: Any) -> Any:
    return xp.stack([*(math.sqrt(1e-5) * (x - 1)), (x * x).sum(0) - 0.25])


def variably_dimensioned(x: Any, xp: Any) -> Any:
    total = sum((j + 1) * (x[j] - 1) for j in range(len(x)))
    return xp.stack([*(x - 1), total, total**2])


def trigonometric(x: Any, xp: Any) -> Any:
    n = len(x)
    total = n - xp.cos(x).sum(0)
    rows = [total + (i + 1) * (1 - xp.cos(x[i])) - xp.sin(x[i]) for i in range(n)]
    return xp.stack(rows)


def brown_almost_linear(x: Any, xp: Any) -> Any:
    n = len(x)
    return xp.stack([*(x[:-1] + x.sum(0) - (n + 1)), x.prod(0) - 1])


def discrete_boundary_value(x: Any, xp: Any) -> Any:
    n = len(x)
    h = 1 / (n + 1)
    rows = []
    for i in range(n):
        left = x[i - 1] if i else 0.0
        right = x[i + 1] if i + 1 < n else 0.0
        rows.append(2 * x[i] - left - right + h * h * (x[i] + (i + 1) * h + 1) ** 3 / 2)
    return xp.stack(rows)


def broyden_tridiagonal(x: Any, xp: Any) -> Any:
    inner = (3 - 2 * x) * x + 1
    rows = []
    for i in range(len(x)):
        left = x[i - 1] if i else 0.0
        right = x[i + 1] if i + 1 < len(x) else 0.0
        rows.append(inner[i] - left - 2 * right)
    return xp.stack(rows)


def broyden_banded(x: Any, xp: Any) -> Any:
    band = x * (1 + x)
    rows = []
    for i in range(len(x)):
        near = [j for j in range(max(0, i - 5), min(len(x), i + 2)) if j != i]
        rows.append(x[i] * (2 + 5 * x[i] ** 2) + 1 - sum(band[j] for j in near))
    return xp.stack(rows)


def linear_full_rank(x: Any, xp: Any) -> Any:
    shared = 2 / 10 * x.sum(0) + 1
    return xp.stack([*(x - shared), *([-shared] * 5)])


def linear_rank_1(x: Any, xp: Any) -> Any:
    total = sum((j + 1) * x[j] for j in range(5))
    return xp.stack([(i + 1) * total - 1 for i in range(10)])


def chebyquad(x: Any, xp: Any) -> Any:
    shifted = 2 * x - 1
    before, here = 1 + 0 * x, shifted
    rows = []
    for i in range(1, len(x) + 1):
        integral = 0.0 if i % 2 else -1 / (i * i - 1)
        rows.append(here.sum(0) / len(x) - integral)
        before, here = here, 2 * shifted * here - before
    return xp.stack(rows)


_BARD = (0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.1, 4.39)
_HALF = (0.0009, 0.0044, 0.0175, 0.054, 0.1295, 0.242, 0.3521)
_MEYER = (34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427)
_KOWALIK = (0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246)
_DOSES = (4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625)
# In thousandths.
_OSBORNE_1 = """844 908 932 936 925 908 881 850 818 784 751 718 685 658 628 603 580 558 538 522
506 490 478 467 457 448 438 431 424 420 414 411 406"""
_OSBORNE_2 = """1366 1191 1112 1013 991 885 831 847 786 725 746 679 608 655 616 606 602 626 651 724
649 649 694 644 624 661 612 558 533 495 500 423 395 375 372 391 396 405 428 429 523 562 607 653
672 708 633 668 645 632 591 559 597 625 739 710 729 720 636 581 428 292 162 98 54"""


def _thousandths(text: str) -> np.ndarray:
    return np.array(text.split(), dtype=float) / 1000


def _steps(first: float, step: float, count: int) -> np.ndarray:
    return first + step * np.arange(count, dtype=float)


PROBLEMS = (
    Problem("Rosenbrock", rosenbrock, (-1.2, 1), (0,)),
    Problem("Freudenstein-Roth", freudenstein_roth, (0.5, -2), (0, 48.98425)),
    Problem("Powell badly scaled", powell_badly_scaled, (0, 1), (0,)),
    Problem("Brown badly scaled", brown_badly_scaled, (1, 1), (0,)),
    Problem("Beale", beale, (1, 1), (0,)),
    Problem("Jennrich-Sampson", jennrich_sampson, (0.3, 0.4), (124.36218,), (_steps(1, 1, 10),)),
    Problem("helical valley", helical_valley, (-1, 0, 0), (0,)),
    Problem("Bard", bard, (1, 1, 1), (8.214877e-3, 17.428693), (_steps(1, 1, 15), np.array(_BARD))),
    Problem(
        "Gaussian",
        gaussian,
        (0.4, 1, 0),
        (1.1279328e-8,),
        (_steps(3.5, -0.5, 15), np.array((*_HALF, 0.3989, *_HALF[::-1]))),
    ),
    Problem(
        "Meyer",
        meyer,
        (0.02, 4000, 250),
        (87.945855,),
        (_steps(50, 5, 16), np.array((*_MEYER, 3820, 3307, 2872), dtype=float)),
    ),
    Problem("Gulf", gulf, (5, 2.5, 0.15), (0,), (_steps(0.01, 0.01, 99),)),
    Problem("Box 3-D", box, (0, 10, 20), (0,), (_steps(0.1, 0.1, 10),)),
    Problem("Powell singular", powell_singular, (3, -1, 0, 1), (0,)),
    Problem("Wood", wood, (-3, -1, -3, -1), (0,)),
    Problem(
        "Kowalik-Osborne",
        kowalik_osborne,
        (0.25, 0.39, 0.415, 0.39),
        (3.0750561e-4, 1.0273396e-3),
        (np.array(_DOSES), np.array(_KOWALIK)),
    ),
    Problem("Brown-Dennis", brown_dennis, (25, 5, -5, -1), (85822.2016,), (_steps(0.2, 0.2, 20),)),
    Problem(
        "Osborne 1",
        osborne_1,
        (0.5, 1.5, -1, 0.01, 0.02),
        (5.4648947e-5,),
        (_steps(0, 10, 33), _thousandths(_OSBORNE_1)),
    ),
    Problem(
        "Biggs EXP6",
        biggs_exp6,
        (1, 2, 1, 1, 1, 1),
        (0, 5.6556499e-3),
        (_steps(0.1, 0.1, 13),),
    ),
    Problem(
        "Osborne 2",
        osborne_2,
        (1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5),
        (4.0137736e-2,),
        (_steps(0, 0.1, 65), _thousandths(_OSBORNE_2)),
    ),
    Problem("Watson 6", watson, (0,) * 6, (2.2876701e-3,), (_steps(1 / 29, 1 / 29, 29),)),
    Problem("Watson 9", watson, (0,) * 9, (1.3997601e-6,), (_steps(1 / 29, 1 / 29, 29),)),
    Problem("extended Rosenbrock", extended_rosenbrock, (-1.2, 1) * 5, (0,)),
    Problem("extended Powell", extended_powell, (3, -1, 0, 1) * 3, (0,)),
    Problem("penalty I", penalty_1, tuple(range(1, 11)), (7.0876515e-5,)),
    Problem(
        "variably dimensioned", variably_dimensioned, tuple(1 - i / 10 for i in range(1, 11)), (0,)
    ),
    Problem("trigonometric", trigonometric, (0.1,) * 10, (0, 2.7950614e-5)),
    Problem("Brown almost-linear", brown_almost_linear, (0.5,) * 10, (0, 1)),
    Problem(
        "discrete boundary value",
        discrete_boundary_value,
        tuple(i / 11 * (i / 11 - 1) for i in range(1, 11)),
        (0,),
    ),
    Problem("Broyden tridiagonal", broyden_tridiagonal, (-1,) * 10, (0,)),
    Problem("Broyden banded", broyden_banded, (-1,) * 10, (0,)),
    Problem("linear, full rank", linear_full_rank, (1,) * 5, (5,)),
    Problem("linear, rank 1", linear_rank_1, (1,) * 5, (15 / 7,)),
    Problem("Chebyquad 8", chebyquad, tuple(i / 9 for i in range(1, 9)), (3.5168737e-3,)),
    Problem("Chebyquad 9", chebyquad, tuple(i / 10 for i in range(1, 10)), (0,)),
)
