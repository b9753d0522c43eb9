"""This machine in words, and the calibration that was stored for it."""

import os
import platform
from pathlib import Path

import torch

from qnewton.cost import load_calibration, nominal_calibration
from qnewton.records import Calibration


def describe_machine() -> str:
    """Return processor, threads and torch build in one line, the name of a stored calibration."""
    threads = torch.get_num_threads()
    return (
        f"{processor()}, {threads} thread{'s' if threads > 1 else ''}, {platform.system()} "
        f"{platform.machine()}, torch {torch.__version__}"
    )


def default_calibration() -> Calibration:
    """Return what ``qnewton calibrate`` stored for this machine, else the nominal rates.

    Raises:
        ValueError: If the stored file is damaged; the line says how to replace it.
    """
    return load_calibration(describe_machine()) or nominal_calibration()


def memory_bytes() -> float | None:
    """Return the bytes of this machine's memory, or ``None`` where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def processor() -> str:
    """Return the processor's name, as the system knows it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"
