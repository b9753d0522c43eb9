"""The frozen workloads train and repeat; runs, their log and the verdicts on them."""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.harness.results import FOLDER
from benchmarks.minibatch import campaign, log, runs, workloads
from benchmarks.minibatch.__main__ import main
from benchmarks.minibatch.campaign import Plan, best_of_families
from benchmarks.minibatch.rows import Found, rows_of, times_as_long
from benchmarks.minibatch.runs import Limits, Point, Run
from benchmarks.minibatch.settings import OURS, Setting, peers
from benchmarks.minibatch.where_it_pays import table_of
from benchmarks.minibatch.workloads import WORKLOADS, Training, Workload
from benchmarks.minibatch.workloads.acting import STEPS, episodes, kept_by_return
from benchmarks.minibatch.workloads.training import kept_by_loss, shuffled

DATA = Path(os.environ.get("QNEWTON_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
NEEDS_DATA = {"CNN", "VAE", "frozen body", "GRU", "tied GPT", "BERT"}
NAMED = {workload.name: workload for workload in WORKLOADS}

FROZEN = "6d8fb4451e8f945a"


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """Leave the number of threads as it was: a benchmark sets it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=WORKLOADS, ids=lambda workload: workload.name.replace(" ", "-"))
def workload(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Workload:
    found: Workload = request.param
    if found.name in NEEDS_DATA:
        if not DATA.is_dir():
            pytest.skip("needs MNIST and WikiText-2: QNEWTON_DATA names no folder")
        monkeypatch.setenv("QNEWTON_DATA", str(DATA))
    if found.name == "BERT":
        pytest.importorskip("transformers", reason="of the extra integrations")
    return found


def losses_of(training: Training, steps: int) -> list[float]:
    """Return the losses of some steps of SGD."""
    parameters = [p for p in training.model.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(parameters, lr=1e-2)
    losses = []
    torch.manual_seed(0)
    for _ in range(steps):
        batch = next(training.batches)
        sgd.zero_grad()
        loss = training.loss(batch)
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    return losses


def test_the_workloads_are_frozen() -> None:
    """A change makes earlier results worthless: it needs new runs of every optimizer."""
    digest = hashlib.sha256()
    for path in sorted(Path(workloads.__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    assert len(WORKLOADS) == len(NAMED) == 12
    assert digest.hexdigest()[:16] == FROZEN


@pytest.mark.slow
def test_a_workload_trains_the_same_way_from_the_same_seed(workload: Workload) -> None:
    before = torch.random.get_rng_state()
    training, again, other = workload.make(3), workload.make(3), workload.make(4)
    assert torch.equal(before, torch.random.get_rng_state())
    start = [p.detach().clone() for p in training.model.parameters() if p.requires_grad]
    losses = losses_of(training, 3)
    assert all(math.isfinite(loss) for loss in losses)
    assert losses == pytest.approx(losses_of(again, 3), rel=1e-5)
    assert losses != pytest.approx(losses_of(other, 3), rel=1e-5)
    trained = [p for p in training.model.parameters() if p.requires_grad]
    assert any(not torch.equal(old, new) for old, new in zip(start, trained, strict=True))
    assert training.model.training
    assert math.isfinite(training.held_out())


def test_batches_are_whole_epochs_in_new_orders() -> None:
    batches = shuffled((torch.arange(7), torch.arange(7) * 10), 3, seed=0)
    drawn = [next(batches) for _ in range(4)]
    assert all(len(inputs) == 3 and torch.equal(10 * inputs, other) for inputs, other in drawn)
    epochs = [torch.cat([drawn[i][0], drawn[i + 1][0]]).tolist() for i in (0, 2)]
    assert all(len(set(epoch)) == 6 for epoch in epochs)
    assert epochs[0] != epochs[1]


class Pushing(torch.nn.Module):
    """A policy that always pushes one way."""

    def __init__(self, action: int) -> None:
        super().__init__()
        self.action = action

    def forward(self, state: Tensor) -> Tensor:
        logits = torch.zeros(len(state), 2)
        logits[:, self.action] = 50.0
        return logits


@pytest.mark.parametrize("action", [0, 1])
def test_pushing_one_way_lets_the_pole_fall_the_other(action: int) -> None:
    states, actions, alive = episodes(Pushing(action), 8, torch.Generator().manual_seed(0))
    assert (actions == action).all()
    assert len(states) < 15
    speed, turning = states[-1][:, 1], states[-1][:, 3]
    way = 2 * action - 1
    assert (way * speed > 0).all()
    assert (way * turning < 0).all()
    assert torch.equal(alive, alive.cummin(dim=0).values)


def test_what_it_means_to_keep_what_one_had() -> None:
    assert kept_by_loss(1.0, 0.1, 0.119)
    assert not kept_by_loss(1.0, 0.1, 0.121)
    assert not kept_by_loss(1.0, 0.1, math.nan)
    assert kept_by_return(STEPS - 20.0, STEPS - 100.0, STEPS - 90.0)
    assert not kept_by_return(STEPS - 20.0, STEPS - 100.0, STEPS - 89.0)


def test_a_run_ends_at_its_limits_and_measures_off_the_clock() -> None:
    [adam] = [setting for setting in peers() if setting.name == "Adam, 0.01"]
    run = runs.run(NAMED["diabetes"], adam, 0, Limits(0.2, 1.0))
    assert run.error is None
    times = [runs.counted(point, run.threads) for point in run.curve]
    assert times == sorted(times)
    assert times[0] == 0.0
    assert 0.2 <= times[-1] < 1.0
    assert run.least_loss < run.curve[0].loss
    assert run.seconds_to(run.least_loss) in times
    assert run.seconds_to(-1.0) is None
    assert run.seconds_per_step == pytest.approx(times[-1] / run.curve[-1].steps)


def test_a_run_goes_on_to_its_target_or_to_the_most_seconds() -> None:
    [adam] = [setting for setting in peers() if setting.name == "Adam, 0.01"]
    never = runs.run(NAMED["diabetes"], adam, 0, Limits(0.05, 0.2, target=-1.0))
    soon = runs.run(NAMED["diabetes"], adam, 0, Limits(0.05, 9.0, target=1e9))
    assert runs.counted(never.curve[-1], never.threads) >= 0.2
    assert 0.05 <= runs.counted(soon.curve[-1], soon.threads) < 5.0


def test_an_optimizer_that_raises_has_a_run() -> None:
    def broken(model: torch.nn.Module) -> torch.optim.Optimizer:
        raise RuntimeError("no such\noptimizer")

    run = runs.run(NAMED["diabetes"], Setting("broken", "broken", broken), 0, Limits(1.0, 1.0))
    assert run.error == "RuntimeError: no such optimizer"
    assert len(run.curve) == 1


def run_of(setting: str, *points: tuple[float, float], held_out: float = 0.5) -> Run:
    curve = tuple(Point(s, 2 * s, int(10 * s), loss, held_out) for s, loss in points)
    return Run("diabetes", setting, 0, 1, Limits(10.0, 10.0), curve, None)


ADAM = run_of("Adam, 0.01", (0.0, 1.0), (5.0, 0.5), (10.0, 0.2))


@pytest.mark.parametrize(
    ("points", "times"),
    [
        (((0.0, 1.0), (1.0, 0.2)), 0.1),
        (((0.0, 1.0), (20.0, 0.1)), 2.0),
        (((0.0, 1.0), (40.0, 0.3)), math.inf),
        (((0.0, 1.0), (40.0, math.nan)), math.inf),
    ],
)
def test_the_times_are_to_adams_least_loss(
    points: tuple[tuple[float, float], ...], times: float
) -> None:
    assert times_as_long(run_of("QNewton", *points), ADAM) == times


def test_the_rows_say_who_lost_what() -> None:
    sudden = run_of("QNewton", (0.0, 1.0), (1.0, 0.1), (10.0, 0.9), held_out=0.7)
    sgd = run_of("SGD with momentum, 0.1", (0.0, 1.0), (2.0, 0.1))
    found = Found(NAMED["diabetes"], (ADAM, sgd), (ADAM,), (sudden,), ())
    told = {row.question: row for row in rows_of([found])}
    time_row, near, faster, kept, held_out = told.values()
    assert (time_row.verdict, near.verdict, faster.verdict) == ("met", "met", "met")
    assert "0.1×" in time_row.measured
    assert "SGD with momentum 2 s" in time_row.measured
    assert (kept.measured, kept.verdict) == ("0 of 1 (lost: diabetes 1)", "missed")
    # A mean square: what is higher is worse.
    assert (held_out.measured, held_out.verdict) == ("0 of 1 (worse: diabetes)", "missed")
    assert rows_of([]) == []


def test_the_best_of_a_family_has_the_least_loss() -> None:
    better = run_of("Adam, 0.003", (0.0, 1.0), (10.0, 0.1))
    nothing = run_of("SGD, 1", (0.0, math.nan))
    assert best_of_families([nothing, ADAM, better]) == {"Adam": better, "SGD": nothing}


def test_a_log_remembers_runs_of_the_same_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.jsonl"
    wanted = dataclasses.replace(ADAM, curve=())
    made: list[Run] = []

    def make() -> Run:
        made.append(ADAM)
        return ADAM

    assert log.remembered(path, wanted, make) == ADAM
    with path.open("a", encoding="utf-8") as lines:
        lines.write('{"source": "cut sh')
    assert log.remembered(path, wanted, make) == ADAM
    assert len(made) == 1
    log.remembered(path, dataclasses.replace(wanted, seed=1), make)
    assert len(made) == 2
    monkeypatch.setattr(log, "source_code", lambda setting: "other")
    log.remembered(path, wanted, make)
    assert len(made) == 3


@pytest.mark.slow
def test_a_campaign_reports_and_goes_on_where_it_was(tmp_path: Path) -> None:
    plan = Plan((NAMED["diabetes"],), 2, 0.02, (1,), tmp_path / "runs.jsonl")
    report = campaign.measure(lambda line: None, plan)
    verdicts = [row.verdict for row in report.rows]
    assert len(verdicts) >= 5
    facts = report.facts["diabetes"]
    assert {run["setting"] for run in facts["runs"]} >= {OURS.name}
    assert len(facts["grid"]) == len(peers())
    assert campaign.measure(lambda line: None, plan).facts == report.facts


def test_the_command_names_the_workloads(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--workload", "GAN"])
    said = capsys.readouterr().err
    assert all(name in said for name in NAMED)


def test_the_table_tells_where_to_take_adam() -> None:
    times = {"GRU": 0.4, "VAE": 2.0, "CNN": 1.05, "BERT": None}
    facts = {
        name: {"title": f"a {name}", "times_as_long_as_adam": value}
        for name, value in times.items()
    }
    _, _, *rows = table_of({"seeds": 5, **facts}).splitlines()
    assert rows == [
        "| a GRU | 0.40 | QNewton |",
        "| a CNN | 1.05 | either |",
        "| a VAE | 2.00 | Adam, if its learning rate is tuned |",
        "| a BERT | not within 4 | Adam, if its learning rate is tuned |",
    ]


def test_the_table_beside_peers_is_that_of_the_committed_results() -> None:
    results = json.loads((FOLDER / "minibatch.json").read_text(encoding="utf-8"))
    page = (Path(__file__).parents[2] / "docs" / "peers.md").read_text(encoding="utf-8")
    assert table_of(results["facts"]) in page
