"""Which clock a number comes from, in words that stand beside every table."""

from qnewton.records import QuantumHardware
from qnewton.report.quantities import seconds_text
from qnewton.runs import RunConfig

MEASURED_HEADER = "measured on\nthis machine"
MODELLED_HEADER = "modelled"


def measured_text(config: RunConfig) -> str:
    """Say what the measured clock measured."""
    threads = "" if config.threads is None else f", {config.threads} threads"
    return f"Measured: wall-clock time on {config.machine}{threads}."


def modelled_text(config: RunConfig) -> str:
    """Say which models the modelled clock rests on, and which of their machines do not exist."""
    if config.calibration is None:
        return "Modelled: nothing, no prices were in force."
    calibration = config.calibration
    classical = (
        f"classical stages by the calibration {calibration.name} "
        f"({calibration.machine}, {calibration.date}, {calibration.source})"
    )
    if config.hardware is None:
        return f"Modelled: {classical}; no quantum machine was asked."
    return f"Modelled: {classical}; quantum solves on {hardware_text(config.hardware)}."


def hardware_text(hardware: QuantumHardware) -> str:
    """Describe a quantum machine in a few words, a hypothetical one as such.

    Example:
        >>> from qnewton.records import Figure
        >>> hardware_text(QuantumHardware(name="attosecond", title="", hypothetical=True,
        ...     gate_time_s=Figure(value=1e-18, source="Q-Newton paper", date="2024")))
        'attosecond (hypothetical machine; gate time 1 as: Q-Newton paper, 2024)'
    """
    gate = hardware.gate_time_s
    kind = "hypothetical machine; " if hardware.hypothetical else ""
    return (
        f"{hardware.name} ({kind}gate time {seconds_text(gate.value)}: {gate.source}, {gate.date})"
    )
