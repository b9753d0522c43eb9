"""What steps do, written down, so that a change that is meant to change nothing can show it.

Digits and a convolutional network, five policies, three curvatures, fixed and automatic damping,
``layer`` and ``full`` blocks: of every step the decisions, outcomes and numbers, without measured
seconds and without sentences, and at the end the parameters. Nominal calibration, one thread,
float64, so that another processor's rounding stays below what is compared.

    python -m tests.step_dumps write FOLDER      # all 120 combinations, some minutes
    python -m tests.step_dumps compare FOLDER    # runs them again and names every difference

``tests/golden/steps`` holds a subset, which ``tests/test_step_dumps.py`` compares.
"""

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton import Classical, QNewton
from qnewton.cost import nominal_calibration
from qnewton.curvature import Kind, Partition
from qnewton.records import Attempt, BlockRecord, Estimate, StepRecord, encode
from qnewton.workloads import load_workload

POLICIES = ("classical", "paper", "hybrid", "classical-only", "quantum-only")
CURVATURES: tuple[Kind, ...] = ("hessian", "ggn", "fisher")
DAMPINGS: tuple[float | Literal["auto"], ...] = (1.0, "auto")
BLOCKS: tuple[Partition, ...] = ("full", "layer")
NETWORKS = ("digits", "convolutions")
STEPS = 4

_STEPS_PER_UNIT = 4096

FIXED, AUTOMATIC = 1e-10, 1e-6
"""Relative differences that are rounding, by how λ is set: automatic damping amplifies them."""

RESIDUAL = 1e-6
"""The residual that solvers are asked for at most: below it, a residual is rounding's."""


@dataclass(frozen=True)
class Case:
    """One combination.

    Attributes:
        network: A key of :data:`NETWORKS`.
        policy: The policy.
        curvature: The curvature.
        damping: λ, or ``auto``.
        blocks: The partition.
    """

    network: str
    policy: str
    curvature: Kind
    damping: float | Literal["auto"]
    blocks: Partition

    @property
    def name(self) -> str:
        """All five in one word."""
        return f"{self.network}-{self.policy}-{self.curvature}-λ={self.damping}-{self.blocks}"

    @property
    def tolerance(self) -> float:
        """The relative difference that counts as rounding."""
        return AUTOMATIC if self.damping == "auto" else FIXED


def all_cases() -> list[Case]:
    """Return every combination."""
    return [
        Case(*which)
        for which in itertools.product(NETWORKS, POLICIES, CURVATURES, DAMPINGS, BLOCKS)
    ]


def subset() -> list[Case]:
    """Return combinations that together hold every value, and every policy under both dampings."""
    cases = [c for c in all_cases() if c.network == "convolutions" and c.blocks == "layer"]
    cases = [c for c in cases if c.curvature == "hessian" or c.policy == "classical"]
    digits = [c for c in all_cases() if c.network == "digits" and c.blocks == "full"]
    return cases + [c for c in digits if c.policy in ("classical", "paper")]


def run(case: Case) -> tuple[list[dict[str, Any]], Tensor]:
    """Take the steps of one combination; return what each did, and the parameters after them.

    A combination that is refused leaves one entry that says so, and its first parameters.
    """
    model, inputs, targets = _problem(case.network)
    seen: list[dict[str, Any]] = []
    try:
        optimizer = QNewton(
            model,
            curvature=case.curvature,
            blocks=case.blocks,
            damping=case.damping,
            policy=case.policy,
            quantum=None if case.policy in ("classical", "classical-only") else "attosecond",
            classical=Classical(calibration=nominal_calibration()),
        )
        for _ in range(STEPS):
            optimizer.step(lambda: cross_entropy(model(inputs), targets))
            seen.append(view(optimizer.records[-1]))
    except ValueError:
        seen.append({"refused": True})
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    return seen, flat


def view(record: StepRecord) -> dict[str, Any]:
    """Return what a step did, without seconds that were measured and without sentences."""
    modelled = record.modelled
    damping = record.damping
    return {
        "step": record.step,
        "phase": record.phase,
        "loss": record.loss,
        "gradient_norm": record.gradient_norm,
        "step_norm": record.step_norm,
        "cosine": record.cosine,
        "skipped": record.skipped is not None,
        "modelled_seconds": None if modelled is None else modelled.total,
        "forward_backward_flops": record.forward_backward_flops,
        "damping": None
        if damping is None
        else {
            "strength": damping.strength,
            "next_strength": damping.next_strength,
            "radius": damping.radius,
            "next_radius": damping.next_radius,
            "curvature": damping.curvature,
            "predicted": damping.predicted,
            "actual": damping.actual,
            "ratio": damping.ratio,
            "tries": damping.tries,
            "products": damping.products,
            "length": damping.length,
            "clipped": damping.clipped,
            "negative_curvature": damping.negative_curvature is not None,
        },
        "blocks": [_block(block) for block in record.blocks],
    }


def _block(block: BlockRecord) -> dict[str, Any]:
    facts, treatment = block.facts, block.treatment
    return {
        "name": block.name,
        "n": block.n,
        "kind": block.curvature.kind,
        "route": block.curvature.route,
        "forming_flops": block.curvature.forming_flops,
        "product_flops": block.curvature.product_flops,
        "damping": treatment.damping,
        "kept_entries": treatment.kept_entries,
        "condition": _estimate(facts.spectrum.condition),
        "bounds": {bound.method: _estimate(bound) for bound in facts.spectrum.bounds},
        "row_sparsity": facts.spectrum.row_sparsity,
        "max_abs": facts.spectrum.max_abs,
        "norm": facts.spectrum.norm,
        "frobenius": facts.spectrum.frobenius,
        "definiteness": facts.spectrum.definiteness,
        "rank": facts.rank,
        "held": facts.held.KIND,
        "policy": block.decision.policy,
        "chosen": block.decision.chosen,
        "quotes": {
            quote.solver: {
                "machine": quote.machine,
                "seconds": quote.seconds,
                "queries": None if quote.query_count is None else quote.query_count.expected,
                "products": quote.products,
                "max_products": quote.max_products,
            }
            for quote in block.decision.quotes
        },
        "attempts": [
            {
                "solver": attempt.solver,
                "solved": attempt.outcome == "solved",
                "residual": _residual(attempt),
                "products": attempt.products,
                "queries": None if attempt.quantum is None else attempt.quantum.queries,
            }
            for attempt in block.attempts
        ],
        "first_order": block.first_order is not None,
    }


def _residual(attempt: Attempt) -> float | None:
    return None if attempt.residual is None else max(attempt.residual, RESIDUAL)


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "log_value": estimate.log_value,
        "products": estimate.products,
    }


def _problem(network: str) -> tuple[nn.Module, Tensor, Tensor]:
    workload = load_workload("digits", 0)
    inputs, targets = _coarse(workload.train_inputs), workload.train_targets
    if network == "digits":
        model = workload.build_model(0)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = nn.Sequential(
                nn.Conv2d(1, 3, 3, padding=1),
                nn.Tanh(),
                nn.MaxPool2d(4),
                nn.Flatten(),
                nn.Linear(12, 10),
            )
        inputs, targets = inputs.view(-1, 1, 8, 8)[:256], targets[:256]
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(_coarse(parameter))
    return model, inputs, targets


def _coarse(numbers: Tensor) -> Tensor:
    """Return float32 numbers in steps that hide how a processor rounded them."""
    return (numbers.double() * _STEPS_PER_UNIT).round() / _STEPS_PER_UNIT


def write(folder: Path, cases: Sequence[Case]) -> None:
    """Run the combinations and write ``steps.jsonl`` and ``parameters.npz``."""
    folder.mkdir(parents=True, exist_ok=True)
    parameters: dict[str, Any] = {}
    with (folder / "steps.jsonl").open("w", encoding="utf-8") as file:
        for case in track(cases, "writing"):
            seen, flat = run(case)
            line = {"case": case.name, "steps": encode(seen)}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            parameters[case.name] = flat.numpy()
    numpy.savez_compressed(folder / "parameters.npz", **parameters)


def differences(folder: Path, cases: Iterable[Case]) -> Iterator[str]:
    """Run the combinations again and yield a line for whatever is not as it was written."""
    lines = (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    written = {entry["case"]: entry["steps"] for entry in map(json.loads, lines)}
    with numpy.load(folder / "parameters.npz") as parameters:
        for case in cases:
            seen, flat = run(case)
            yield from _compare(case.name, written[case.name], encode(seen), case.tolerance)
            before = torch.from_numpy(parameters[case.name])
            moved = float((flat - before).norm() / before.norm())
            if not moved <= case.tolerance:
                yield f"{case.name}: the parameters differ by {moved:.2e}"


def _compare(where: str, before: Any, after: Any, tolerance: float) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        for key in before:
            yield from _compare(f"{where}.{key}", before[key], after[key], tolerance)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _compare(f"{where}[{i}]", old, new, tolerance)
    elif isinstance(before, float) and isinstance(after, float | int):
        if not math.isclose(before, after, rel_tol=tolerance, abs_tol=0.0):
            yield f"{where}: {before!r} became {after!r}"
    elif before != after:
        yield f"{where}: {before!r} became {after!r}"


def main() -> int:
    """Write or compare all combinations."""
    parser = argparse.ArgumentParser(description="Write down what steps do, or compare.")
    parser.add_argument("action", choices=("write", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--subset", action="store_true", help="only those of tests/golden/steps")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cases = subset() if asked.subset else all_cases()
    if asked.action == "write":
        write(asked.folder, cases)
        return 0
    found = list(differences(asked.folder, track(cases, "comparing")))
    for line in found:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{len(cases)} combinations, {len(found)} differences\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
