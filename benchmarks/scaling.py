"""How do time and memory of the closed form grow with N and with the batch?

ReLU networks inputs-h-h-10 on random inputs, float32, closure included. Against N by hidden
widths h, for 784 and for 64 inputs, at batch 2048; against the batch for 784-16-16-10. A power
law is fitted to the upper half of each sweep, where what does not grow no longer matters.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from benchmarks.contenders import qnewton_hessian, qnewton_route
from benchmarks.harness import Contender, Report, Row, Say, describe_machine, interleave, peak_bytes
from benchmarks.harness.results import FOLDER
from benchmarks.problems import random_mlp
from benchmarks.scaling_picture import Point, scaling_picture
from qnewton.report import save_chart

BATCH = 2048
# 784-16-16-10 is N = 13,002; 64 inputs reach from N = 502 to 12,966.
WIDTHS = {784: (1, 2, 4, 8, 16), 64: (6, 12, 23, 43, 82)}
BATCHES = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
FITTED_FROM = 0.5


@dataclass(frozen=True)
class Fit:
    """y = c·x^exponent, by least squares of the logarithms.

    Attributes:
        exponent: The slope.
        points: How many points it rests on.
    """

    exponent: float
    points: int


def hessian(inputs: int, hidden: int, batch: int) -> Callable[[], Tensor]:
    """Return our run on one network, for a process of its own."""
    return qnewton_hessian(random_mlp(inputs, hidden, batch))


def measure(say: Say) -> Report:
    """Time and weigh every network of the sweeps, and draw them."""
    machine = describe_machine()
    sweeps = {
        f"N, {inputs} inputs": [(inputs, hidden, BATCH) for hidden in widths]
        for inputs, widths in WIDTHS.items()
    } | {"batch, 784-16-16-10": [(784, 16, batch) for batch in BATCHES]}
    networks = list(dict.fromkeys(network for sweep in sweeps.values() for network in sweep))
    say(f"{len(networks)} networks; route: {qnewton_route(random_mlp(*networks[0]))[0]}")
    timings = interleave([Contender(_name(n), hessian(*n)) for n in networks], say)
    peaks = {}
    for network in networks:
        peaks[_name(network)] = peak_bytes(hessian, *network)
        say(f"{_name(network)}: peak {peaks[_name(network)] / 1e6:.0f} MB")
    points = [
        Point(
            sweep=sweep,
            x=batch if sweep.startswith("batch") else random_mlp(inputs, hidden, 1).n,
            seconds=timings[_name((inputs, hidden, batch))].median,
            peak_bytes=peaks[_name((inputs, hidden, batch))],
        )
        for sweep, members in sweeps.items()
        for inputs, hidden, batch in members
    ]
    fits = {sweep: _fits([p for p in points if p.sweep == sweep]) for sweep in sweeps}
    picture = scaling_picture(points, fits)
    paths = save_chart(picture, FOLDER, "scaling")
    say(f"written: {', '.join(path.name for path in paths)}")
    rows = [
        Row(
            f"exact Hessian against {sweep}",
            "",
            f"time ~ x^{time.exponent:.2f}, peak memory ~ x^{memory.exponent:.2f} "
            f"(upper {time.points} points)",
            "",
        )
        for sweep, (time, memory) in fits.items()
    ]
    facts = {
        "data": random_mlp(*networks[0]).data,
        "points": [vars(point) for point in points],
        "exponents": {
            sweep: {"time": vars(time), "peak_memory": vars(memory)}
            for sweep, (time, memory) in fits.items()
        },
        "caption": picture.caption,
    }
    return Report("scaling", rows, machine, timings, peaks, facts)


def power_law(x: Sequence[float], y: Sequence[float]) -> Fit:
    """Return the exponent of y = c·x^exponent, fitted to the logarithms.

    Raises:
        ValueError: If there are fewer than two points, or one is not positive.

    Example:
        >>> power_law([1.0, 2.0, 4.0], [3.0, 12.0, 48.0])
        Fit(exponent=2.0, points=3)
    """
    if len(x) < 2 or min(*x, *y) <= 0:
        raise ValueError(f"a power law needs two positive points or more; got {list(x)}, {list(y)}")
    u, v = [math.log(value) for value in x], [math.log(value) for value in y]
    center_u, center_v = sum(u) / len(u), sum(v) / len(v)
    covariance = sum((a - center_u) * (b - center_v) for a, b in zip(u, v, strict=True))
    return Fit(round(covariance / sum((a - center_u) ** 2 for a in u), 12), len(x))


def _fits(points: Sequence[Point]) -> tuple[Fit, Fit]:
    """Return the exponents of time and of memory over the upper half of a sweep."""
    upper = points[int(len(points) * FITTED_FROM) :]
    x = [float(point.x) for point in upper]
    return (
        power_law(x, [point.seconds for point in upper]),
        power_law(x, [float(point.peak_bytes) for point in upper]),
    )


def _name(network: tuple[int, int, int]) -> str:
    inputs, hidden, batch = network
    return f"{inputs}-{hidden}-{hidden}-10, batch {batch}"
