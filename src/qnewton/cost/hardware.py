"""Machines from profile files, bundled or the user's own; every figure has its source."""

import datetime
import math
import sys
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from os import PathLike
from pathlib import Path
from typing import Any

from qnewton.cost.kernels import KERNELS
from qnewton.cost.roofline import Roofline, roofline_fits
from qnewton.records import Calibration, Figure, KernelFit, Network, QuantumHardware, Registry
from qnewton.records.messages import check, choice_of

BUNDLED = files("qnewton.cost") / "profiles"


@dataclass(frozen=True)
class Table:
    """One table of a profile, with the words that name it in a message.

    Attributes:
        where: File, and the table inside it.
        values: The parsed TOML.
    """

    where: str
    values: dict[str, Any]

    def only(self, allowed: Collection[str]) -> None:
        """Raise ``ValueError`` if the table holds a field that no profile has."""
        for field in self.values:
            if field not in allowed:
                known = ", ".join(allowed)
                raise ValueError(f"{self.where}: unknown field {field!r}; the fields are {known}")

    def get(self, field: str) -> Any:
        """Return a field, or raise ``ValueError`` if it is missing."""
        if field not in self.values:
            raise ValueError(f"{self.where}: the field {field} is missing")
        return self.values[field]

    def text(self, field: str) -> str:
        """Return a field that must be words; a TOML date counts, as ISO 8601."""
        value = self.get(field)
        if isinstance(value, datetime.date):
            return value.isoformat()
        holds = isinstance(value, str) and value.strip() != ""
        check(f"{self.where}: {field}", value, "must be a text in quotes", holds)
        return value

    def flag(self, field: str) -> bool:
        """Return a field that must be ``true`` or ``false``."""
        value = self.get(field)
        check(f"{self.where}: {field}", value, "must be true or false", isinstance(value, bool))
        return value

    def number(self, field: str, *, zero: bool = False, high: float = math.inf) -> float:
        """Return a finite number above 0, or from 0 where ``zero``, and at most ``high``."""
        value = self.get(field)
        limits = "0 or more" if zero else "above 0"
        if high < math.inf:
            limits = f"{limits} and at most {high:g}"
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        holds = is_number and (value > 0 or (zero and value == 0)) and value <= high
        check(f"{self.where}: {field}", value, f"must be a number {limits}", holds)
        return float(value)

    def table(self, field: str) -> "Table":
        """Return a field that must itself be a table."""
        value = self.get(field)
        where, limits = f"{self.where}: {field}", "must be a table with value, source, date"
        check(where, value, limits, isinstance(value, dict))
        return Table(where, value)

    def figure(self, field: str, *, zero: bool = False, high: float = math.inf) -> Figure:
        """Return a field that must be a number with its source and date."""
        table = self.table(field)
        table.only(("value", "source", "date"))
        value = table.number("value", zero=zero, high=high)
        return Figure(value=value, source=table.text("source"), date=table.text("date"))


def bundled(kind: str) -> tuple[str, ...]:
    """Return the names of the profiles of ``kind`` that come with the package, sorted."""
    folder = BUNDLED / kind
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir()))


def read(kind: str, name_or_path: str | PathLike[str]) -> Table:
    """Return a bundled profile by name, or a user's own by path.

    Raises:
        ValueError: If there is no such profile or file, or the file is not TOML.
    """
    names = bundled(kind)
    if str(name_or_path) in names:
        return _parse(BUNDLED / kind / f"{name_or_path}.toml", f"profile {name_or_path}")
    path = Path(name_or_path)
    if path.suffix != ".toml":
        known = f"{choice_of(str(name_or_path), names)}, or the path of a .toml file"
        raise ValueError(f"no {kind} profile is called {str(name_or_path)!r}; {known}")
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; bundled profiles: {', '.join(names)}")
    return _parse(path, str(path))


def _parse(file: Traversable, where: str) -> Table:
    try:
        return Table(where, tomllib.loads(file.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: not a TOML file: {error}") from error


_TIMES = ("readout_time_s", "t1_s", "t2_s")
_PROBABILITIES = ("two_qubit_error", "readout_error", "t_error")
_HARDWARE_FIELDS = ("name", "title", "hypothetical", "gate_time_s", *_TIMES, *_PROBABILITIES)


def _check_machine(machine: QuantumHardware) -> None:
    kind = "quantum machine"
    if machine.name in bundled("quantum"):
        own = f"a {kind} called {machine.name!r} comes with the package"
        raise ValueError(f"{own}; choose another name")
    times = dict.fromkeys(("gate_time_s", *_TIMES), (sys.float_info.min, sys.float_info.max))
    for field, (low, high) in (times | dict.fromkeys(_PROBABILITIES, (0.0, 1.0))).items():
        figure: Any = getattr(machine, field)
        if figure is None and field != "gate_time_s":
            continue
        value = figure.value if isinstance(figure, Figure) else None
        limits = f"from {low:.3g} to {high:.3g} with its source and date"
        holds = value is not None and low <= value <= high
        check(
            f"{kind} {machine.name!r}: {field}",
            figure,
            f"must be a Figure of a value {limits}",
            holds,
        )


MACHINES: Registry[QuantumHardware] = Registry(
    "quantum machine", "qnewton.machines", of=QuantumHardware, check=_check_machine
)
"""Quantum machines that do not come with the package."""

_ROOFLINE = ("bandwidth_bytes_per_s", "float32_flops", "float64_flops", "unblocked_share")
_ROOFLINE += ("launch_s",)
_NETWORK = ("nodes", "all_reduce_s", "node_bytes_per_s")
_CLASSICAL_FIELDS = ("name", "machine", "date", "source", "fits", "memory_bytes")
_CLASSICAL_FIELDS += (*_ROOFLINE, *_NETWORK)
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
        ('h100', 'h100-cluster', 'nominal', 'paper-h100')
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
            ``machine``, ``date``, ``source``, and the rates: either tables ``[[fits]]``, each with
            ``kernel``, ``dtype``, ``seconds_per_unit`` and, optionally, ``overhead_s``; or what
            all rates follow from (:class:`~qnewton.cost.roofline.Roofline`):
            ``bandwidth_bytes_per_s``, ``float32_flops``, ``float64_flops``, ``unblocked_share``
            and ``launch_s``, tables with ``value``, ``source`` and ``date``. ``memory_bytes`` is
            optional, and so is, for a cluster, the network: ``nodes``, ``all_reduce_s`` and
            ``node_bytes_per_s``, likewise tables.

    Raises:
        ValueError: One line naming the file, the field and its limit.

    Cost:
        Reads one small file.

    Reference:
        The sources named inside each profile.

    Example:
        >>> fit = load_classical("paper-h100").fit("lu_inverse")
        >>> f"{fit.seconds_per_unit:.2g} s × {fit.work}"
        '4.7e-13 s × N^3'
        >>> f"{load_classical('h100').memory_bytes:.2g} bytes"
        '8e+10 bytes'
    """
    table = read("classical", name_or_path)
    table.only(_CLASSICAL_FIELDS)
    texts: dict[str, Any] = {
        field: table.text(field) for field in ("name", "machine", "date", "source")
    }
    if any(field in table.values for field in _ROOFLINE):
        if "fits" in table.values:
            raise ValueError(f"{table.where}: rates follow from fits or bandwidth; give one")
        values = {field: table.figure(field).value for field in _ROOFLINE}
        check(
            f"{table.where}: unblocked_share",
            values["unblocked_share"],
            "must be at most 1",
            values["unblocked_share"] <= 1.0,
        )
        fits = roofline_fits(Roofline(**values))
    else:
        fits = _timed_fits(table)
    memory = table.figure("memory_bytes").value if "memory_bytes" in table.values else None
    return Calibration(fits=fits, memory_bytes=memory, network=_network(table), **texts)


def _timed_fits(table: Table) -> tuple[KernelFit, ...]:
    entries = table.get("fits")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{table.where}: fits is {entries!r}; it must be one or more [[fits]]")
    places = (f"{table.where}: fits[{index}]" for index in range(len(entries)))
    fits = tuple(_kernel_fit(Table(*entry)) for entry in zip(places, entries, strict=True))
    if len({(f.kernel, f.dtype) for f in fits}) < len(fits):
        raise ValueError(f"{table.where}: fits has a kernel and dtype twice; give each once")
    return fits


def _network(table: Table) -> Network | None:
    if not any(field in table.values for field in _NETWORK):
        return None
    nodes, all_reduce_s, sent = (table.figure(field).value for field in _NETWORK)
    check(f"{table.where}: nodes", nodes, "must be a whole number", nodes == int(nodes))
    return Network(nodes=int(nodes), all_reduce_s=all_reduce_s, bytes_per_s=sent)


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
    known = f"must be one of {', '.join(KERNELS)}"
    check(f"{table.where}: kernel", kernel, known, kernel in KERNELS)
    check(f"{table.where}: dtype", dtype, "must be float32 or float64", dtype in _DTYPES)
    has_overhead = "overhead_s" in table.values
    overhead_s = table.number("overhead_s", zero=True) if has_overhead else 0.0
    return KernelFit(
        kernel=kernel,
        work=KERNELS[kernel].unit,
        dtype=dtype,
        seconds_per_unit=table.number("seconds_per_unit"),
        overhead_s=overhead_s,
    )
