"""Table IV: the paper's policies on Mistral and BERT, each layer scheduled by itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from paper import text_runs as text
from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext, Texts
from paper.paper_rows import TABLE_4, sums_table
from paper.repricing import HERE, PAPER_H100, total
from paper.text_runs import ModelRuns
from qnewton.cost import load_classical, lu_inverse_quote
from qnewton.experiments.compare import NEWTON_POLICIES
from qnewton.optimizer.block_plan import DENSE_LIMIT
from qnewton.records import BlockRecord, Calibration, Formed, Outcome, Quote
from qnewton.report import LayerCell, Picture, layer_map
from qnewton.runs import Run
from qnewton.scheduler.policy import decide
from qnewton.workloads.transformer import Architecture

_TEXTS = Texts("table-4")
MACHINES = {HERE: None, PAPER_H100: PAPER_H100}


@dataclass(frozen=True, kw_only=True)
class LayerChoice:
    """One layer in one step under one policy; modelled seconds.

    Attributes:
        step: The step.
        layer: The block's name.
        n: Its unknowns.
        chosen: The solver.
        seconds: Its price; ``None`` if refused.
    """

    step: int
    layer: str
    n: int
    chosen: str
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class StepSolves:
    """All layers of one step; modelled seconds of their solves alone.

    Attributes:
        step: The step.
        layers: What each layer's decision is.
    """

    step: int
    layers: tuple[LayerChoice, ...]

    @property
    def total(self) -> float | None:
        """One layer after the other."""
        return total(choice.seconds for choice in self.layers)

    @property
    def makespan(self) -> float | None:
        """The quantum machine beside the classical one, each taking its layers in turn.

        Example:
            >>> layer = dict(step=0, n=1)
            >>> StepSolves(step=0, layers=(
            ...     LayerChoice(layer="a", chosen="qsvt", seconds=2.0, **layer),
            ...     LayerChoice(layer="b", chosen="lu_inverse", seconds=3.0, **layer),
            ... )).makespan
            3.0
        """
        quantum = total(c.seconds for c in self.layers if c.chosen == "qsvt")
        classical = total(c.seconds for c in self.layers if c.chosen != "qsvt")
        return None if quantum is None or classical is None else max(quantum, classical)


def price_layers(
    run: Run, policy: str, classical_machine: str | None = None
) -> tuple[StepSolves, ...]:
    """Decide every layer of every recorded Newton step again under ``policy``.

    Layers whose entries may not be formed (above ``max_dense``) have no quote of an inversion and
    are left out.

    Args:
        run: A run whose blocks hold quotes of LU inversion and of the quantum solver.
        policy: One of the paper's three policies, or ``classical`` for what ran.
        classical_machine: A classical profile that prices LU inversion; ``None`` for the run's
            own calibration.

    Raises:
        ValueError: If a quote that the policy compares is missing.
    """
    machine = None if classical_machine is None else load_classical(classical_machine)
    return tuple(
        StepSolves(
            step=record.step,
            layers=tuple(
                _choice(record.step, block, policy, lambda block: _two(block, run, machine))
                for block in record.blocks
                if block.n <= DENSE_LIMIT
            ),
        )
        for record in run.steps
        if record.blocks
    )


def _choice(
    step: int, block: BlockRecord, policy: str, quotes: Callable[[BlockRecord], Sequence[Quote]]
) -> LayerChoice:
    decision = block.decision
    if policy != "classical":
        decision = decide(policy, quotes(block))
    quote = decision.quote(decision.chosen)
    assert quote is not None
    return LayerChoice(
        step=step, layer=block.name, n=block.n, chosen=decision.chosen, seconds=quote.seconds
    )


def _two(block: BlockRecord, run: Run, machine: Calibration | None) -> tuple[Quote, Quote]:
    classical, quantum = (block.decision.quote(name) for name in ("lu_inverse", "qsvt"))
    if machine is not None:
        # Algorithm 2 prices the inversion of entries that are there.
        classical = lu_inverse_quote(machine, replace(block.facts, held=Formed()))
    elif classical is not None and classical.refusal is not None:
        # The run refused it, where κ leaves it too few digits; Algorithm 2 asks what it costs.
        assert run.config.calibration is not None
        classical = lu_inverse_quote(run.config.calibration, block.facts, as_timed=True)
    if classical is None or quantum is None:
        raise ValueError(
            f"block {block.name!r} has no quote of {'qsvt' if classical else 'lu_inverse'}; train "
            "with a quantum machine (hardware) and blocks that may be formed"
        )
    return classical, quantum


@dataclass(frozen=True, kw_only=True)
class Priced(ModelRuns):
    """One model's runs, with the layers of its best Newton run priced by machine and policy."""

    prices: dict[tuple[str, str], tuple[StepSolves, ...]]

    def mean(self, machine: str, policy: str) -> tuple[float | None, float | None]:
        """Return the mean seconds of a step's solves, one after the other and side by side."""
        found = self.prices[machine, policy]
        sums = (total(step.total for step in found), total(step.makespan for step in found))
        one, both = (None if s is None or not found else s / len(found) for s in sums)
        return one, both


Models = dict[Architecture, Priced]


def _run(context: PaperContext, setup: text.TextSetup) -> Models:
    models = {}
    for model, found in text.all_text_runs(context, setup).items():
        best = found.best["Newton"]
        prices = {
            (machine, policy): price_layers(best, policy, profile)
            for machine, profile in MACHINES.items()
            for policy in NEWTON_POLICIES
        } | {(HERE, "classical"): price_layers(best, "classical")}
        models[model] = Priced(**vars(found), prices=prices)
    return models


def _table(found: Priced) -> ArtifactTable:
    labels = {"SGD": "SGD, tuned", "Adam": "Adam, tuned", "Newton": "Newton (the run)"}
    rows = []
    for name, label in labels.items():
        run = found.best[name]
        measured = run.metrics[-1].measured_seconds / len(run.steps)
        solves = found.mean(HERE, "classical") if name == "Newton" else (None, None)
        rows.append((label, found.steps_to_target(run), measured, *solves, None, None, None))
    steps = found.steps_to_target(found.best["Newton"])
    for policy, label in NEWTON_POLICIES.items():
        chosen = [c.chosen for step in found.prices[HERE, policy] for c in step.layers]
        means = [found.mean(machine, policy) for machine in MACHINES]
        share = chosen.count("qsvt") / len(chosen)
        rows.append((label, steps, None, *means[0], *means[1], share))
    made = _TEXTS.table("table-4", rows, found=found, limit=DENSE_LIMIT)
    return replace(made, name=f"table-4-{found.model}")


def _layers_table(found: Priced) -> ArtifactTable:
    records = [r for r in found.best["Newton"].steps if r.blocks]
    chosen = {c.layer: c.chosen for c in found.prices[HERE, "paper"][-1].layers}

    def kappa(block: BlockRecord) -> float | None:
        condition = block.facts.spectrum.condition
        return None if condition is None else condition.value

    rows = []
    for first, last in zip(records[0].blocks, records[-1].blocks, strict=True):
        name = first.name.removeprefix("model.")
        kappas = (kappa(first), kappa(last))
        rows.append((name, first.n, *kappas, first.solver, chosen.get(last.name)))
    return _TEXTS.table("table-4-layers", rows, found=found)


def _picture(found: Priced) -> Picture:
    """Draw, by classical machine, which solver each layer's system goes to at every step."""
    cells = [
        LayerCell(
            machine, choice.step, choice.layer.removeprefix("model."), choice.n, choice.chosen
        )
        for machine in MACHINES
        for step in found.prices[machine, "paper"]
        for choice in step.layers
    ]
    return layer_map(cells, _TEXTS.caption("layers", found=found))


def _checks(found: Priced) -> Iterator[Check]:
    both = [(step.makespan, step.total) for steps in found.prices.values() for step in steps]
    records = found.best["Newton"].steps
    skipped = sum(record.skipped is not None for record in records)
    solved = all(block.outcome is Outcome.SOLVED for record in records for block in record.blocks)
    yield from text.run_checks(found)
    shorter = all(m is None or t is None or m <= t * (1 + 1e-12) for m, t in both)
    yield _TEXTS.check("makespan", shorter, found=found, steps=len(both))
    whole, steps = solved and skipped == 0, len(records)
    yield _TEXTS.check("solved", whole, found=found, steps=steps, skipped=skipped)


def _finding(found: Priced) -> Finding:
    classical, hybrid = (found.mean(PAPER_H100, name)[0] for name in ("classical-only", "paper"))
    here, own = (found.mean(HERE, name)[0] for name in ("paper", "classical"))
    seconds = {"classical": classical, "hybrid": hybrid, "here": here, "own": own}
    machine = load_classical(PAPER_H100).machine
    finding = _TEXTS.finding("cheaper", False, found=found, machine=machine, **seconds)
    tested = classical is not None and hybrid is not None
    return finding if tested else replace(finding, verdict="not tested")


EXPERIMENT = Experiment(
    name="table-4",
    title="Table IV: Mistral on WikiText, each layer scheduled by itself",
    quick=text.QUICK_TEXT,
    full=text.FULL_TEXT,
    run=_run,
    tables=lambda models: [
        *map(_table, models.values()),
        sums_table("table-4-paper-sums", TABLE_4, lambda row: (row.seconds / 60,)),
        _layers_table(models["mistral"]),
    ],
    pictures=lambda models: {
        f"table-4-layers-{model}": _picture(found) for model, found in models.items()
    },
    checks=lambda models: [check for found in models.values() for check in _checks(found)],
    findings=lambda models: [_finding(found) for found in models.values()],
    settings=text.text_settings,
)
