"""``qnewton paper``: the paper's tables and figures, made again by a checkout's ``paper/``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

import qnewton
from qnewton.cli.output import require
from qnewton.records.messages import choice_of

_CHECKOUT = Path(qnewton.__file__).parents[2]
"""Where ``paper/`` lies beside ``src/``, if this is a checkout."""

_WHY = {"altair": "need altair"}
_WHY |= dict.fromkeys(("paper", "paper.command"), "are not part of the installed package")
"""What keeps the command from working, by the module that is missing."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Make one table or figure of arXiv:2405.00252 again, beside the paper's own numbers, or all.

    Names: table-1 (parameter counts), table-2 (condition-number estimation), table-3 (SGD,
    classical-only, quantum-only, Q-Newton on MNIST), table-4 (the same on Mistral and BERT, each
    layer scheduled by itself), fig-2 (loss of Newton, SGD and Adam on both), fig-1 (accuracy
    against sparsity; who solves which step), fig-3 (where a step's time goes), fig-5 (cost against
    κ and d), fig-6 (sparsity of rows), fig-8 (accuracy and κ against λ),
    batch-step (beyond the paper: what quantum would have to cost against a mini-batch step), all.

    Each goes into its own folder: CSV and JSON of the tables, PNG, SVG and CSV of the pictures,
    checks, and what was found about the paper's claims. Quick by default; every caption says what
    was run. The exit code is 1 if an artifact fails one of its own checks.

    Examples: qnewton paper table-3 --data-dir data; qnewton paper all --full

    Attributes:
        name: Which one, or all.
        full: As published (hours on two cores) rather than quick.
        out: Folder for the results.
        runs: Folder whose runs are read again where they are there, and kept otherwise; the
            default is a new folder below OUT/runs.
        findings: Where to write the page of findings, with its evidence in a folder beside it; the
            default is OUT/findings.md, for all only.
        seed: Seed of every run.
        data_dir: Folder with MNIST and wikitext-2 (else QNEWTON_DATA, else the Hugging Face Hub).
        json: Print one JSON object with every artifact.
    """

    usual: ClassVar[tuple[str, ...]] = ("name", "full", "out", "data_dir", "json")

    name: tyro.conf.Positional[str]
    full: bool = False
    out: Path = Path("paper-results")
    runs: Path | None = None
    findings: Path | None = None
    seed: int = 0
    data_dir: Path | None = None
    json: bool = False

    def run(self) -> None:
        """Make what was asked for, write it, show it, and fail if a check fails."""
        if (_CHECKOUT / "paper" / "command.py").is_file() and str(_CHECKOUT) not in sys.path:
            sys.path.insert(0, str(_CHECKOUT))
        try:
            # Whether the name is known is told before torch is loaded, which takes seconds.
            from paper import ARTIFACTS

            names = (*ARTIFACTS, "all")
            said = f"no table or figure is called {self.name!r}; {choice_of(self.name, names)}"
            require(self.name in names, said)
            from paper.command import make_artifacts
        except ModuleNotFoundError as error:
            why = _WHY.get(error.name or "")
            if why is None:
                raise
            raise ValueError(
                f"the paper's tables and figures {why}; clone qnewton's repository, install it "
                "with pip install -e '.[report,text]', and run qnewton paper there"
            ) from None
        make_artifacts(self)
