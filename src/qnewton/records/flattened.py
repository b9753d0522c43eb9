"""A step record as plain numbers under stable names, for loggers."""

from dataclasses import fields

from qnewton.records.health import Cause, Health
from qnewton.records.steps import StageSeconds, StepRecord


def scalars(record: StepRecord, health: Health | None = None) -> dict[str, float]:
    """Return what a step did as numbers by name; what is unknown has no entry.

    Names begin with ``qnewton/``:

    ============================================  ==================================================
    ``loss``, ``gradient_norm``                   on the step's batch, before the update
    ``step_norm``, ``decay_norm``                 lengths of β·x, and of what weight decay took off
    ``refused``                                   1 where nothing was changed, else 0
    ``length``, ``agreement``                     α and z of a step on one of many batches
    ``damping``                                   λ, the largest of all blocks
    ``ratio``, ``radius``, ``tries``              ρ, Δ and evaluations, where λ sets itself
    ``condition``                                 κ, the largest of the blocks where it is known
    ``solver/NAME``                               blocks whose direction solver NAME gave
    ``measured_s/STAGE``, ``measured_s/total``    wall-clock seconds
    ``modelled_s/STAGE``, ``modelled_s/total``    seconds by the price model, where it has a price
    ``health/loss``, ``health/trend``             running loss, and its change
    ``health/refused``                            share of refused steps
    ``health/wrong/CAUSE``                        1 where that is wrong, else 0
    ============================================  ==================================================

    Args:
        record: The step.
        health: How the run goes; its numbers are left out without.

    Example:
        >>> from qnewton.records import MeasuredSeconds
        >>> record = StepRecord(step=3, phase="newton", loss=0.5, gradient_norm=None, step_norm=2.0,
        ...                     cosine=None, parameters=10, measured=MeasuredSeconds(solve=0.25))
        >>> found = scalars(record)
        >>> found["qnewton/loss"], found["qnewton/measured_s/total"]
        (0.5, 0.25)
        >>> "qnewton/modelled_s/total" in found
        False
    """
    damping = record.damping
    conditions = (block.facts.spectrum.condition for block in record.blocks)
    values: dict[str, float | None] = {
        "loss": record.loss,
        "gradient_norm": record.gradient_norm,
        "step_norm": record.step_norm,
        "decay_norm": record.decay_norm,
        "refused": record.skipped is not None,
        "damping": max((block.treatment.damping for block in record.blocks), default=None),
        "condition": max(
            (found.value for found in conditions if found and found.value is not None), default=None
        ),
    }
    if damping is not None:
        values |= {"damping": damping.strength, "ratio": damping.ratio}
        values |= {"radius": damping.radius, "tries": damping.tries}
    if record.averaged is not None:
        values |= {"length": record.averaged.length, "agreement": record.averaged.agreement}
    values |= {f"solver/{name}": count for name, count in record.solvers.items()}
    values |= _seconds("measured_s", record.measured)
    if record.modelled is not None:
        values |= _seconds("modelled_s", record.modelled)
    if health is not None:
        wrong = {finding.cause for finding in health.findings}
        values |= {f"health/{name}": getattr(health, name) for name in ("loss", "trend", "refused")}
        values |= {f"health/wrong/{cause}": cause in wrong for cause in Cause}
    return {f"qnewton/{name}": float(value) for name, value in values.items() if value is not None}


def _seconds(clock: str, seconds: StageSeconds) -> dict[str, float]:
    stages = {f"{clock}/{field.name}": getattr(seconds, field.name) for field in fields(seconds)}
    return stages | {f"{clock}/total": seconds.total}
