"""The versions of everything that computes, recorded with every run."""

import sys

import numpy
import scipy
import torch

import qnewton


def versions() -> dict[str, str]:
    """Return the version of every package whose arithmetic a run depends on."""
    return {
        "qnewton": qnewton.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
