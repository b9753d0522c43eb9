"""What ``qnewton readout --find`` prints: the coarsest read-out that trains, and its price."""

from qnewton.cli.output import RESULTS, print_json, say
from qnewton.experiments.readout_limits import Limit, ReadoutLimits
from qnewton.experiments.readout_sweep import SweepPoint
from qnewton.experiments.run_prices import RunPrice
from qnewton.records import encode


def print_limits(found: ReadoutLimits, workload: str, as_json: bool) -> None:
    """Print every run that was looked at, the two limits, and what they cost.

    Args:
        found: What was found.
        workload: What was trained.
        as_json: Whether to print one JSON object.
    """
    if as_json:
        print_json({**encode(found), "workload": workload, "said": sentences(found)})
        return
    from qnewton.report.quantities import number_text
    from qnewton.report.table import Column, table_of

    columns: tuple[Column[SweepPoint], ...] = (
        Column("shots", lambda p: "ideal" if p.shots is None else f"{p.shots:,}"),
        Column("ε", lambda p: f"{p.epsilon:.3g}"),
        Column("accuracy", lambda p: f"{p.test_accuracy:.1%}"),
        Column("angle", lambda p: number_text(p.median_angle)),
    )
    targets = ", ".join(f"{target:.1%}" for target in found.targets)
    title = f"{workload}: runs looked at, targets {targets}"
    for sentence in sentences(found):
        say(sentence)
    RESULTS.print(table_of(title, columns, [*found.shots.points, *found.epsilon.points]).rich())


def sentences(found: ReadoutLimits) -> tuple[str, ...]:
    """Return the limits and the prices in words.

    Args:
        found: What was found.
    """
    off = "" if found.error is None else f"; directions read so are off by {found.error:.2g}"
    said = [
        f"Fewest shots of a read-out: {_limit(found.shots, ',.0f')}{off}.",
        f"Largest error ε of the polynomial: {_limit(found.epsilon, '.3g')}.",
        f"At the usual errors {_price(found.usual)}.",
    ]
    if found.coarse is not None:
        said.append(f"At these {_price(found.coarse)}.")
    return tuple(said)


def _limit(limit: Limit, digits: str) -> str:
    if limit.value is None:
        return f"none trains, up to {limit.failed:{digits}}"
    beside = (
        "the end of the range"
        if limit.failed is None
        else f"{limit.failed:{digits}} does not train"
    )
    return f"{limit.value:{digits}} ({beside})"


def _price(price: RunPrice) -> str:
    if not price.priced:
        return f"no solve has a price on {price.machine}: {price.refused}"
    sums = f"{price.quantum_seconds:.3g} s on {price.machine}, {price.classical_seconds:.3g} s "
    even = "" if price.gate_time_s is None else f", even at gates of {price.gate_time_s:.2g} s"
    return f"the {price.priced} solves of a run take {sums}by classical solvers (modelled){even}"
