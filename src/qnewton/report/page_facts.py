"""What a page states of its runs: what was trained, what came out, and where it all comes from."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from qnewton.cost import DEFAULT_AUDIT
from qnewton.records import encode
from qnewton.report.page_runs import Curve, PageRuns
from qnewton.report.quantities import UNKNOWN, number_text, seconds_text, share_text
from qnewton.report.run_answer import wins_of
from qnewton.report.step_prices import RunPrices
from qnewton.report.style import method_look
from qnewton.report.table import Column, Table, table_of
from qnewton.report.words import machine_name
from qnewton.runs import Run, RunConfig
from qnewton.scheduler.policy import POLICIES

Pairs = list[tuple[str, str]]


def trained(run: Run) -> Pairs:
    """Return what a run trained, by name: the workload, the model, its Newton systems, the goal."""
    config, options = run.config, run.config.options
    blocks = next((step.blocks for step in run.steps if step.blocks), ())
    pairs = [
        ("workload", config.workload),
        ("data", config.data),
        ("parameters", f"{run.steps[0].parameters:,}" if run.steps else None),
        ("steps by", method_look(config.policy).label),
        ("seed", str(config.seed)),
        ("at most", _many(options.get("steps"), "step")),
        ("target", _target(options.get("target"))),
    ]
    if blocks:
        batch = blocks[0].curvature.batch
        pairs.append(("batch", None if batch is None else f"{batch:,} samples"))
        sizes = sorted({block.n for block in blocks})
        unknowns = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        curvature = blocks[0].curvature
        pairs += [
            ("systems per step", f"{_many(len(blocks), 'system')} of {unknowns} unknowns"),
            ("curvature", f"{curvature.kind}, by the {curvature.route} route"),
            ("damping λ", str(options.get("damping", UNKNOWN))),
            ("pruning", _pruning(options)),
        ]
    pairs += [("note", note) for note in config.notes]
    return [(name, value) for name, value in pairs if value]


def tiles(told: PageRuns, prices: RunPrices | None) -> list[tuple[str, str, str]]:
    """Return the first figures of a page: a name, a value, and what it is of."""
    if told.several or told.told is None:
        return []
    run = told.told.run
    of = "" if told.comparison is None else f"of {told.told.label}"
    found = [
        ("steps", f"{len(run.steps):,}", of),
        (
            "test accuracy",
            share_text(_accuracy(run)),
            "at the last evaluation",
        ),
        (
            "measured",
            seconds_text(sum(s.measured.total for s in run.steps)),
            "on the machine that trained",
        ),
        ("modelled", seconds_text(_modelled(run)), "as the run decided"),
    ]
    if prices is not None:
        classical = _sum(prices, "classical")
        quantum = _sum(prices, "audited")
        part = f", {len(prices.steps)} steps" if prices.sampled else ""
        found.append(("solves, best classical", seconds_text(classical), f"modelled{part}"))
        machine = prices.audited_machine
        found.append(
            ("solves, quantum", seconds_text(quantum), f"audited, {machine_name(machine)}{part}")
        )
    return found


def price_summary(prices: RunPrices) -> Table:
    """Return what all solves of a run would cost by one kind of solver each."""
    paper, audited = machine_name(prices.machine), machine_name(prices.audited_machine)
    rows = [
        ("best classical", "this run's calibration", "classical", "everything that a solve does"),
        ("LU inversion", "this run's calibration", "lu", "the paper's C·N³: the inverse alone"),
        ("quantum, paper's price", paper, "paper", "gate time × expected queries"),
        ("quantum, audited price", audited, "audited", "every term, read-out included"),
    ]
    cells = []
    for who, machine, name, priced in rows:
        known = sum(getattr(price, name) is not None for price in prices.steps)
        steps = f"{known} of {len(prices.steps)}"
        cells.append((who, machine, seconds_text(_sum(prices, name)), steps, priced))
    headers = (
        "who would solve",
        "machine",
        "modelled seconds\nof all solves",
        "steps with\na price",
    )
    notes = ["Solves alone: computing the curvature, and measuring κ and d, come before each."]
    if prices.sampled:
        notes.append(f"{len(prices.steps)} of {prices.newton_steps} Newton steps, evenly spread.")
    return Table(
        "What the solves would cost",
        (*headers, "what is priced"),
        cells,
        text_columns=frozenset({0, 1, 4}),
        note="\n".join(notes),
    )


def runs_table(told: PageRuns, prices: Mapping[str, RunPrices | None]) -> Table:
    """Return several runs, one row each: what they came to on both clocks, and who would win."""

    def wins(curve: Curve) -> str:
        found = prices[curve.label]
        if found is None:
            return UNKNOWN
        won, of, _ = wins_of(found)
        return f"{won} of {of}"

    def ratio(curve: Curve) -> str:
        found = prices[curve.label]
        return number_text(None if found is None else wins_of(found)[2])

    columns: tuple[Column[Curve], ...] = (
        Column("run", lambda curve: curve.label, words=True),
        Column("workload", lambda curve: curve.run.config.workload, words=True),
        Column("steps by", lambda c: method_look(c.run.config.policy).label, words=True),
        Column("steps", lambda curve: f"{len(curve.run.steps):,}"),
        Column("last\nloss", lambda c: number_text(c.run.steps[-1].loss if c.run.steps else None)),
        Column("test\naccuracy", lambda c: share_text(_accuracy(c.run))),
        Column(
            "measured\ntotal", lambda c: seconds_text(sum(s.measured.total for s in c.run.steps))
        ),
        Column("modelled\ntotal", lambda c: seconds_text(_modelled(c.run))),
        Column("steps that\nquantum wins", wins),
        Column("quantum over\nclassical", ratio),
    )
    note = "The last two columns are of the audited price, and the cheapest classical solver."
    return table_of("The runs", columns, told.curves, note)


def provenance(told: PageRuns) -> Pairs:
    """Return where a page comes from: command, versions, machine, calibration, seed, files."""
    files = ["config.json", "steps.jsonl", "metrics.jsonl"]
    files += [] if told.comparison is None else ["comparison.json"]
    own = [] if told.several else _origin(told.config)
    each = [
        (curve.label, "; ".join(f"{name} {value}" for name, value in _origin(curve.run.config)))
        for curve in told.curves
        if told.several
    ]
    return [
        *own,
        *each,
        ("folders", ", ".join(told.asked)),
        ("files read", ", ".join(files)),
        ("page by", shlex.join(["qnewton", "report", *told.asked])),
    ]


def _origin(config: RunConfig) -> Pairs:
    pairs = [
        ("trained by", training_command(config)),
        ("begun", config.created),
        ("machine", config.machine),
        *([] if config.threads is None else [("threads", str(config.threads))]),
        ("versions", ", ".join(f"{name} {version}" for name, version in config.versions.items())),
        ("seed", str(config.seed)),
    ]
    by = config.calibration
    if by is not None:
        pairs.append(("calibration", f"{by.name} ({by.machine}, {by.date}, {by.source})"))
    return pairs


_NOT_OF_COMPARE = frozenset(
    {"optimizer", "policy", "checkpoint_every", "algorithm", "readout", "shots"}
    | {"readout_tolerance", "qpus", "survey_every"}
)
_AUDIT_OPTIONS = {
    "query_set": "query-set",
    "epsilon": "error",
    "tables": "tables",
    "error_correction": "error-correction",
    "readout": "state-readout",
}


def training_command(config: RunConfig) -> str:
    """Return a command that trains the same again, with every option that was in force.

    Calibration and processor are the machine's own, and the audit of a price is given as far as the
    command line of ``qnewton train`` takes it.
    """
    compares = config.kind == "compare"
    words = ["qnewton", "compare" if compares else "train", config.workload]
    known = {"seed": config.seed} | config.options
    if config.hardware is not None:
        known = {"hardware": config.hardware.name} | known
    if config.policy in POLICIES.names:
        known = {"policy": config.policy} | known
    for name, value in known.items():
        if name in ("workload", "audit") or value is None or (compares and name in _NOT_OF_COMPARE):
            continue
        flag = f"--{name.replace('_', '-')}"
        if name == "relative_damping":
            words += [flag] if value else []
        else:
            words += [flag, str(value)]
    if not compares:
        usual = encode(DEFAULT_AUDIT)
        audit: Mapping[str, Any] = config.options.get("audit") or {}
        for name, option in _AUDIT_OPTIONS.items():
            if name in audit and audit[name] != usual[name]:
                words += [f"--{option}", str(audit[name])]
    return shlex.join(words)


def _accuracy(run: Run) -> float | None:
    return run.metrics[-1].test_accuracy if run.metrics else None


def _modelled(run: Run) -> float | None:
    known = [step.modelled.total for step in run.steps if step.modelled is not None]
    return sum(known) if len(known) == len(run.steps) > 0 else None


def _sum(prices: RunPrices, name: str) -> float | None:
    values: Sequence[float | None] = [getattr(price, name) for price in prices.steps]
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _many(count: int | None, what: str) -> str | None:
    return None if count is None else f"{count:,} {what}{'' if count == 1 else 's'}"


def _target(target: float | None) -> str | None:
    return None if target is None else f"{100 * target:g}% test accuracy"


def _pruning(options: Mapping[str, Any]) -> str | None:
    if options.get("prune_count") is not None:
        return f"at most {options['prune_count']} entries kept per row"
    if options.get("prune_mass") is not None:
        return f"{share_text(options['prune_mass'])} of each row's absolute sum kept"
    return None
