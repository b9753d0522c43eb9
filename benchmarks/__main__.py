"""Runs benchmarks one after the other, each in a process of its own, and prints one table."""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.harness import Row, table
from benchmarks.harness.results import read_rows

NAMES = (
    "newton_steps",
    "mlp_hessian",
    "conv_curvature",
    "scaling",
    "condition_number",
    "pruning",
    "emulation",
    "polynomial_limits",
    "error_budget",
    "walk_constant",
    "circuit_noise",
    "circuits",
    "circuit_terms",
    "phase_angles",
    "circuit_training",
    "newton_step",
    "fisher_step",
    "sample_jacobian",
    "route_choice",
    "optimizer_overhead",
    "full_batch",
    "physics",
    "fits",
    "step_cost",
    "minibatch",
    "mnist_to_95",
    "untouched_defaults",
    "seeds",
    "pricing",
    "report_page",
    "modelled_seconds",
    "transformer_step",
    "text_training",
    "gpu",
)
_ROOT = Path(__file__).parents[1]
_ONE = "import sys; from benchmarks.__main__ import run_one; run_one(sys.argv[1])"


def run_one(name: str) -> None:
    """Run one benchmark in this process and write its JSON."""
    report = importlib.import_module(f"benchmarks.{name}").measure(lambda line: _say(name, line))
    _say(name, f"written: {report.write().name}")


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks asked for; 0 if all was measured and met, 1 if not, 2 for a bad request.

    A process each: neither memory nor threads of one reach the next, and one that is killed
    leaves the others their turn.
    """
    options = _parse(arguments)
    if options.data_dir is not None:
        os.environ["QNEWTON_DATA"] = str(options.data_dir.resolve())
    if os.environ.get("OMP_NUM_THREADS"):
        _say("bench", "OMP_NUM_THREADS limits torch but not jax: use taskset to limit both")
    rows: list[Row] = []
    for name in options.names or NAMES:
        code = subprocess.run([sys.executable, "-c", _ONE, name], check=False, cwd=_ROOT).returncode
        rows += read_rows(name) if code == 0 else [_failure(name, code)]
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table(rows))
    return 0 if all(row.verdict in ("met", "") for row in rows) else 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}; all if none is named"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="folder with MNIST, wikitext-2 and nist; some use random inputs without",
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name!r}; choose from {', '.join(NAMES)}")
    return options


def _failure(name: str, code: int) -> Row:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit status {code}"
    return Row(name, "runs to its end", f"{how}; its messages are above", "failed")


def _say(name: str, line: str) -> None:
    print(f"[{name}] {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
