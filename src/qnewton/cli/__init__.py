"""The command line: ``qnewton``."""

from qnewton.cli.main import main

__all__ = ["main"]
