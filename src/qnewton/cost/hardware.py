"""Machines by name or file: quantum hardware profiles and classical calibrations.

The bundled ones lie in ``profiles/quantum`` and ``profiles/classical``; each figure has a value,
a source and a date.
"""

import sys
from os import PathLike
from typing import Any

from qnewton.cost.kernels import KERNELS
from qnewton.cost.profile_file import Table, bundled, read
from qnewton.records import Calibration, Figure, KernelFit, QuantumHardware, Registry

_TIMES = ("readout_time_s", "t1_s", "t2_s")
_PROBABILITIES = ("two_qubit_error", "readout_error", "t_error")
_HARDWARE_FIELDS = ("name", "title", "hypothetical", "gate_time_s", *_TIMES, *_PROBABILITIES)


def _check_machine(machine: QuantumHardware) -> None:
    kind = "quantum machine"
    if machine.name in bundled("quantum"):
        raise ValueError(
            f"a {kind} called {machine.name!r} comes with the package; choose another name"
        )
    times = dict.fromkeys(("gate_time_s", *_TIMES), (sys.float_info.min, sys.float_info.max))
    for field, (low, high) in (times | dict.fromkeys(_PROBABILITIES, (0.0, 1.0))).items():
        figure: Any = getattr(machine, field)
        if figure is None and field != "gate_time_s":
            continue
        value = figure.value if isinstance(figure, Figure) else None
        if value is None or not low <= value <= high:
            raise ValueError(
                f"{kind} {machine.name!r}: {field} is {figure!r}; it must be a Figure of a value "
                f"from {low:.3g} to {high:.3g} with its source and date"
            )


MACHINES: Registry[QuantumHardware] = Registry(
    "quantum machine", "qnewton.machines", of=QuantumHardware, check=_check_machine
)
"""Quantum machines that do not come with the package."""

_CLASSICAL_FIELDS = ("name", "machine", "date", "source", "fits")
_FIT_FIELDS = ("kernel", "dtype", "seconds_per_unit", "overhead_s")
_DTYPES = ("float32", "float64")


def available_hardware() -> tuple[str, ...]:
    """Return the names of the bundled quantum machines, and of those in :data:`MACHINES`.

    Example:
        >>> available_hardware()
        ('attosecond', 'ibm_sherbrooke', 'photonic-ghz', 'photonic-thz', 'qubit_gate_ns_e3', \
'qubit_gate_ns_e4', 'qubit_gate_us_e3')
    """
    return (*bundled("quantum"), *MACHINES.names)


def available_classical() -> tuple[str, ...]:
    """Return the names of the bundled classical calibrations.

    Example:
        >>> available_classical()
        ('nominal', 'paper-h100')
    """
    return bundled("classical")


def load_hardware(name_or_path: str | PathLike[str]) -> QuantumHardware:
    """Load a quantum machine: one that is known by name, or a user's own ``.toml`` by path.

    Args:
        name_or_path: One of :func:`available_hardware`, or the path of a file with ``name``,
            ``title``, ``hypothetical`` and tables ``gate_time_s`` (required),
            ``two_qubit_error``, ``readout_time_s``, ``readout_error``, ``t_error``, ``t1_s``,
            ``t2_s``, each with ``value``, ``source`` and ``date``. Times in seconds, errors are
            probabilities.

    Raises:
        ValueError: One line naming the file, the field and its limit.

    Cost:
        Reads one small file.

    Reference:
        The sources named inside each profile.

    Example:
        >>> machine = load_hardware("ibm_sherbrooke")
        >>> machine.gate_time_s.value, machine.hypothetical
        (5.33e-07, False)
    """
    registered = MACHINES.find(str(name_or_path))
    if registered is not None:
        return registered
    table = read("quantum", name_or_path)
    table.only(_HARDWARE_FIELDS)
    return QuantumHardware(
        name=table.text("name"),
        title=table.text("title"),
        hypothetical=table.flag("hypothetical"),
        gate_time_s=table.figure("gate_time_s"),
        **{f: table.figure(f) for f in _TIMES if f in table.values},
        **{f: table.figure(f, zero=True, high=1.0) for f in _PROBABILITIES if f in table.values},
    )


def load_classical(name_or_path: str | PathLike[str]) -> Calibration:
    """Load a classical machine: a bundled calibration by name, or a user's ``.toml`` by path.

    Args:
        name_or_path: One of :func:`available_classical`, or the path of a file with ``name``,
            ``machine``, ``date``, ``source`` and tables ``[[fits]]``, each with ``kernel``,
            ``dtype``, ``seconds_per_unit`` and, optionally, ``overhead_s``.

    Raises:
        ValueError: One line naming the file, the field and its limit.

    Cost:
        Reads one small file.

    Reference:
        The source named inside each profile.

    Example:
        >>> fit = load_classical("paper-h100").fit("lu_inverse")
        >>> f"{fit.seconds_per_unit:.2g} s × {fit.work}"
        '4.7e-13 s × N^3'
    """
    table = read("classical", name_or_path)
    table.only(_CLASSICAL_FIELDS)
    entries = table.get("fits")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{table.where}: fits is {entries!r}; it must be one or more [[fits]]")
    fits = tuple(
        _kernel_fit(Table(f"{table.where}: fits[{i}]", entry)) for i, entry in enumerate(entries)
    )
    if len({(f.kernel, f.dtype) for f in fits}) < len(fits):
        raise ValueError(f"{table.where}: fits has a kernel and dtype twice; give each once")
    return Calibration(
        name=table.text("name"),
        machine=table.text("machine"),
        date=table.text("date"),
        source=table.text("source"),
        fits=fits,
    )


def nominal_calibration() -> Calibration:
    """Return round-number rates of a small CPU, for when nothing was measured yet.

    Every quote made from them carries their source among its assumptions.

    Example:
        >>> nominal_calibration().source
        'nominal rates, not measured on this machine: run `qnewton calibrate`'
    """
    return load_classical("nominal")


def _kernel_fit(table: Table) -> KernelFit:
    if not isinstance(table.values, dict):
        raise ValueError(f"{table.where} is {table.values!r}; it must be a table")
    table.only(_FIT_FIELDS)
    kernel, dtype = table.text("kernel"), table.text("dtype")
    if kernel not in KERNELS:
        raise ValueError(
            f"{table.where}: kernel is {kernel!r}; it must be one of {', '.join(KERNELS)}"
        )
    if dtype not in _DTYPES:
        raise ValueError(f"{table.where}: dtype is {dtype!r}; it must be float32 or float64")
    has_overhead = "overhead_s" in table.values
    overhead_s = table.number("overhead_s", zero=True) if has_overhead else 0.0
    return KernelFit(
        kernel=kernel,
        work=KERNELS[kernel].unit,
        dtype=dtype,
        seconds_per_unit=table.number("seconds_per_unit"),
        overhead_s=overhead_s,
    )
