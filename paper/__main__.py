"""``python -m paper NAME``: the same as ``qnewton paper NAME``."""

import sys

from qnewton.cli import main

sys.exit(main(["paper", *sys.argv[1:]]))
