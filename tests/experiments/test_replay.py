"""Recorded steps priced again: under their own settings to the letter, and under others."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qnewton.cost import Audit, Market, classical_quotes, load_hardware, nominal_calibration
from qnewton.cost.solvers import classical_solvers
from qnewton.experiments.replay import own_settings, replay
from qnewton.records import StepRecord
from qnewton.runs import Run, read_run
from qnewton.scheduler.offers import candidates
from qnewton.scheduler.policy import POLICIES
from qnewton.scheduler.pricing import ReplaySettings, repriced_steps
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare
from qnewton.workloads import load_workload


def _run(folder: Path, **options) -> Run:
    request = TrainingRequest(
        workload="digits", steps=3, blocks="layer", checkpoint_every=3, **options
    )
    session = prepare(request, load_workload("digits", 0, None), nominal_calibration())
    begin(session, folder)
    return read_run(folder)


@pytest.fixture(scope="module", params=["classical", "paper", "plain", "hybrid"])
def run(request, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / request.param
    if request.param == "plain":
        return _run(folder, policy="classical")
    machine = "qubit_gate_ns_e3" if request.param == "hybrid" else "attosecond"
    return _run(folder, policy=request.param, hardware=machine)


def test_own_settings_reproduce_every_decision_quote_and_second(run):
    settings = own_settings(run)
    for record in run.steps:
        [repriced] = repriced_steps([record], POLICIES.get(run.config.policy), settings)
        decisions = [block.decision for block in repriced.blocks]
        for block, again in zip(record.blocks, decisions, strict=True):
            assert again.machine == block.decision.machine
            assert (again.chosen, again.reason) == (block.decision.chosen, block.decision.reason)
            assert again.quotes == block.decision.quotes


def test_own_settings_reproduce_the_modelled_clock(run):
    found = replay(run.steps, run.config.policy, own_settings(run))
    recorded = [record.modelled.total for record in run.steps if record.modelled is not None]
    assert found.changed == 0
    assert found.seconds == pytest.approx(sum(recorded), rel=1e-12)


def test_hybrid_blocks_share_machines_that_work_at_the_same_time(tmp_path):
    run = _run(
        tmp_path / "run",
        policy="hybrid",
        hardware="attosecond",
        qpus=2,
        audit=Audit(error_correction="perfect", query_set="warm-start", readout="coherent"),
    )
    assert own_settings(run).audit.readout == "coherent"
    assert own_settings(run).n_qpus == 2
    for record in run.steps:
        machines = [block.decision.machine for block in record.blocks]
        assert all(machine in (0, 1, 2) for machine in machines)
        loads = [0.0, 0.0, 0.0]
        for block in record.blocks:
            quote = block.decision.quote(block.decision.chosen)
            assert quote is not None
            assert quote.seconds is not None
            assert (block.decision.machine == 0) == (quote.machine == "classical")
            assert block.decision.machine is not None
            loads[block.decision.machine] += quote.seconds
        assert record.modelled is not None
        assert record.modelled.solve == pytest.approx(max(loads), rel=1e-12)
    one = replay(run.steps, "hybrid", replace(own_settings(run), n_qpus=1))
    two = replay(run.steps, "hybrid", own_settings(run))
    assert two.changed == 0
    assert two.seconds is not None
    assert one.seconds is not None
    assert two.seconds <= one.seconds


def test_kept_classical_quotes_give_what_priced_ones_do(run):
    settings = own_settings(run)
    for policy in ("classical", run.config.policy):
        kept = replay(run.steps, policy, replace(settings, keep=("classical",)))
        assert kept == replay(run.steps, policy, settings)


def _repriced(record: StepRecord, seconds: list[float | None]) -> StepRecord:
    """The step with other classical prices on record, taken from the list in turn."""
    blocks, count = [], 0
    for block in record.blocks:
        quotes = []
        for quote in block.decision.quotes:
            if quote.machine == "classical":
                quote = replace(quote, seconds=seconds[count % len(seconds)])
                count += 1
            quotes.append(quote)
        blocks.append(replace(block, decision=replace(block.decision, quotes=tuple(quotes))))
    return replace(record, blocks=tuple(blocks))


@hypothesis_settings(deadline=None, max_examples=30)
@given(
    seconds=st.lists(
        st.none() | st.floats() | st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1
    )
)
def test_a_replay_of_any_recorded_prices_ends_and_decides_or_refuses(run, seconds):
    records = [_repriced(record, seconds) for record in run.steps]
    settings = replace(own_settings(run), keep=("classical",))
    for policy in POLICIES.names:
        try:
            found = replay(records, policy, settings)
        except ValueError as error:
            refusal = str(error)
        else:
            assert found.seconds is None or 0 <= found.seconds < math.inf
            assert found.solves == sum(found.decisions.values())
            continue
        assert "price" in refusal or "has none" in refusal or "needs a quantum machine" in refusal


def test_a_replay_of_nan_prices_under_hybrid_decides_by_the_prices_that_are_left(run):
    if run.config.policy != "hybrid":
        pytest.skip("one run with an audited quantum price is enough")
    records = [_repriced(record, [math.nan]) for record in run.steps]
    found = replay(records, "hybrid", replace(own_settings(run), keep=("classical",)))
    # The quantum solver as it was priced, or with eigenpairs taken out.
    assert set(found.decisions) <= {"dalzell", "deflated_qsvt"}
    assert found.decisions
    assert found.refusal is None


def test_a_faster_machine_never_wins_fewer_steps(run):
    shares = []
    for name in ("ibm_sherbrooke", "photonic-ghz", "photonic-thz", "attosecond"):
        if run.steps[0].blocks[0].facts.spectrum.bound("determinant") is None:
            pytest.skip("nobody surveyed what the policy paper needs")
        settings = replace(own_settings(run), hardware=load_hardware(name))
        shares.append(replay(run.steps, "paper", settings).steps_won)
    assert shares == sorted(shares)


def test_a_portfolio_of_one_is_what_is_chosen(run):
    settings = replace(own_settings(run), solvers=("ldl",), audit=Audit())
    assert set(replay(run.steps, "classical", settings).decisions) == {"ldl"}


def test_an_unknown_solver_or_policy_is_one_line(run):
    with pytest.raises(ValueError, match="no classical solver is called 'magic'"):
        ReplaySettings(calibration=nominal_calibration(), solvers=("magic",))
    with pytest.raises(ValueError, match="no policy is called 'best'"):
        replay(run.steps, "best", own_settings(run))
    with pytest.raises(ValueError, match="n_qpus is 0"):
        ReplaySettings(calibration=nominal_calibration(), n_qpus=0)


def test_prices_by_name_are_those_of_the_portfolio(run):
    calibration = nominal_calibration()
    market = Market(calibration, None, 1e-12, 1e-5, "float64")
    for block in run.steps[0].blocks:
        asked = candidates(market, facts=block.facts)
        takers = [solver for solver in classical_solvers() if solver.takes(block.facts)]
        assert asked == tuple(takers)
        for solver in asked:
            assert (solver.price(block.facts, market),) == classical_quotes(
                calibration, block.facts, "float64", tolerance=1e-5, solvers=[solver.name]
            )


def test_replaying_loads_no_torch():
    code = "import sys, qnewton.experiments.replay, qnewton.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_papers_price_and_the_audited_one_are_told_apart(run):
    if run.config.hardware is None:
        pytest.skip("nobody asked for a quantum price")
    own = replace(own_settings(run), hardware=load_hardware("qubit_gate_ns_e3"))
    prices = {}
    for policy in ("classical", "hybrid"):
        found = replay(run.steps, policy, own)
        prices[policy] = found.quantum_price
    assert prices == {"classical": None, "hybrid": "audited"}
    if run.config.policy == "paper":
        found = replay(run.steps, "quantum-only", own)
        assert found.quantum_price == "paper's"
        # Counted by the algorithm that was priced, not by what was emulated.
        assert set(found.decisions) == {"jennings"}


def test_a_run_recorded_before_quotes_had_an_algorithm_is_read_and_replayed(run, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(run.folder, old)
    lines = (old / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    with (old / "steps.jsonl").open("w", encoding="utf-8") as log:
        for line in lines:
            log.write(json.dumps(_without(json.loads(line), "algorithm", "t_error")) + "\n")
    read = read_run(old)
    assert len(read.steps) == len(run.steps)
    settings = own_settings(read)
    for policy in ("classical", run.config.policy):
        again, recorded = (replay(r.steps, policy, settings) for r in (read, run))
        assert again == recorded
    assert replay(read.steps, run.config.policy, settings).changed == 0


def _without(data, *keys):
    if isinstance(data, dict):
        return {
            key: _without(value, *keys)
            for key, value in data.items()
            # A record's statistics name their algorithm, too, and always did.
            if key not in keys or (key == "algorithm" and "success_probability" in data)
        }
    return [_without(item, *keys) for item in data] if isinstance(data, list) else data
