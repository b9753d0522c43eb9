"""The Newton system that a step of a recorded run solved, made again in memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from qnewton import runs
from qnewton.operators import DenseOperator, LinearSystem, SymmetricOperator
from qnewton.optimizer import QNewton, StageHook
from qnewton.records import BlockRecord, StepRecord
from qnewton.runs.checkpoints import checkpoint_paths, step_of
from qnewton.training.loop import Progress, Session, train
from qnewton.training.session import reopened

_SAME = 1e-6
"""Relative difference of two losses that only another version's rounding explains."""

_NAMED = 8  # blocks that a message names


def block_to_solve(run: runs.Run, step: int, name: str | None, largest: int) -> BlockRecord:
    """Return the record of the block of a step whose system fits, from the run's folder alone.

    Args:
        run: A recorded run.
        step: The step, counted from 0.
        name: The block's name; by default the first that fits.
        largest: The most unknowns that fit.

    Raises:
        ValueError: If the step is not recorded or solved no system, no block has that name, or
            none fits; the line says what there is.
    """
    if not 0 <= step < len(run.steps):
        recorded = f"0 to {len(run.steps) - 1}" if run.steps else "none"
        raise ValueError(f"--step is {step}; {run.folder} has recorded steps {recorded}")
    solved = [block for block in run.steps[step].blocks if block.solver is not None]
    if not solved:
        others = [s.step for s in run.steps if any(b.solver is not None for b in s.blocks)]
        said = f"step {step} of {run.folder} solved no system"
        way_out = f"the first that did is {others[0]}" if others else "no step of this run did"
        raise ValueError(f"{said}; {way_out}")
    asked = [block for block in solved if name in (None, block.name)]
    if not asked:
        raise ValueError(f"--block is {name!r}; step {step} solved: {_sizes(solved)}")
    fits = [block for block in solved if block.n <= largest]
    chosen = next((block for block in asked if block in fits), None)
    if chosen is not None:
        return chosen
    large = "every block is" if name is None else f"block {name} has {asked[0].n:,} unknowns,"
    raise ValueError(
        f"{large} above a circuit's limit of {largest:,} unknowns; blocks of step {step} that fit: "
        f"{_sizes(fits)}; of all: {_sizes(solved)}; train with --blocks tensor for smaller ones"
    )


def _sizes(blocks: Sequence[BlockRecord]) -> str:
    """Return the names and sizes of some blocks, the smallest first, at most eight of them."""
    by_size = sorted(blocks, key=lambda block: block.n)
    named = [f"{block.name} ({block.n:,})" for block in by_size[:_NAMED]]
    rest = [f"{len(blocks) - _NAMED} larger ones"] if len(blocks) > _NAMED else []
    return ", ".join([*named, *rest]) or "none"


def solved_system(
    run: runs.Run,
    step: int,
    block: str,
    data_dir: Path | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    on_stage: StageHook = lambda _step, _stage: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> LinearSystem:
    """Return the damped and pruned system A·x = -g that a step of a run solved for one block.

    The run goes on in memory from its last checkpoint at or before the step, or from its
    beginning; nothing is written. Of several systems that the step solved for the block, one for
    every λ that it tried, it is the last.

    Args:
        run: A recorded run.
        step: One of its steps, counted from 0.
        block: The name of a block that it solved.
        data_dir: Local folder with data, for workloads that need one.
        on_step: Told of every step that is taken again.
        on_stage: Told when a stage of such a step begins.
        on_warning: Told, in one line, why the system may not be the recorded one.

    Raises:
        NotARunError: If the folder is not a run.
        CorruptRunError: If its configuration is not what it was.
        ValueError: If the steps that are taken again do not solve for that block.

    Cost: the steps from the checkpoint on, and the block's entries.
    """
    session = reopened(run.folder, data_dir, on_warning)
    optimizer = session.stepper.optimizer
    assert isinstance(optimizer, QNewton)  # else no block of the run was solved
    solved_by: SymmetricOperator | None = None
    found: LinearSystem | None = None

    def keep(at: int, system: LinearSystem, record: BlockRecord, direction: Tensor) -> None:
        nonlocal solved_by, found
        # A step that bends solves with the same matrix again, for another right-hand side.
        if at == step and system.name == block and system.operator is not solved_by:
            solved_by = system.operator
            # A matrix that is only multiplied with ends with the step's graph.
            entries = DenseOperator(solved_by.dense().clone(), solved_by.treatment)
            found = system.with_operator(entries).with_rhs(system.rhs.clone())

    past = _put_back(session, run, step, on_warning)
    session.stepper.on_stage(on_stage)
    handle = optimizer.register_solution_hook(keep)
    try:
        again = train(session, past=past, on_step=on_step, stop=lambda taken: len(taken) > step)
    finally:
        handle.remove()
    difference = _difference(run.steps[step], again.records[step])
    if difference is not None:
        on_warning(f"{difference}; the system is that of the step taken here")
    if found is None:
        raise ValueError(f"taken again, step {step} did not solve block {block!r}")
    return found


def _put_back(
    session: Session, run: runs.Run, step: int, on_warning: Callable[[str], None]
) -> runs.Run:
    """Put the session back to where it stood at or before a step; return what came before."""
    done = 0
    for path in reversed(checkpoint_paths(run.folder)):
        if step_of(path) > step:
            continue
        try:
            checkpoint = runs.read_checkpoint(path)
        except runs.CorruptRunError as error:
            on_warning(f"{error}; skipped")
            continue
        session.restore(checkpoint.data)
        done = checkpoint.step
        break
    metrics = tuple(metric for metric in run.metrics if metric.step <= done)
    return replace(run, steps=run.steps[:done], metrics=metrics)


def _difference(recorded: StepRecord, taken: StepRecord) -> str | None:
    """Return how a step differs from its record, in words; ``None`` if it does not."""
    if abs(taken.loss - recorded.loss) <= _SAME * abs(recorded.loss):
        return None
    numbers = f"has the loss {taken.loss:.8g}, its record {recorded.loss:.8g}"
    return f"step {taken.step}, taken again, {numbers}"
