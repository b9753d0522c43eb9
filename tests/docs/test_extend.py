"""The gallery's solver and policy from outside: used, priced, replayed, and drawn as its own."""

import json
import runpy
from pathlib import Path

import pytest

from qnewton.cli import main
from qnewton.report.style import method_look, solver_look
from qnewton.runs import read_run

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
EXAMPLE = GALLERY / "frameworks" / "plot_5_your_own.py"


@pytest.mark.slow
def test_one_file_adds_a_solver_and_a_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 60
    out = runpy.run_path(str(EXAMPLE), run_name="__main__")["out"]
    assert "qr 9" in capsys.readouterr().out
    run = read_run(out)
    solved = [block for step in run.steps for block in step.blocks]
    assert len(solved) == 3 * 3
    for block in solved:
        assert block.solver == block.decision.chosen == "qr"
        assert block.decision.policy == "stable"
        quote = block.decision.quote("qr")
        assert quote is not None
        assert quote.seconds is not None
        assert [attempt.outcome for attempt in block.attempts] == ["solved"]
    assert all(step.modelled is not None for step in run.steps)
    assert main(["price", "--n", "500", "--kappa", "100", "--json"]) == 0
    priced = {quote["solver"] for quote in json.loads(capsys.readouterr().out)["quotes"]}
    assert "qr" in priced
    assert main(["replay", out, "--json"]) == 0
    rows = {row["policy"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["stable"]["decisions"] == {"qr": 9}
    assert rows["stable"]["changed_decisions"] == 0
    assert rows["stable"]["modelled_seconds"] == pytest.approx(
        sum(step.modelled.total for step in run.steps if step.modelled is not None), rel=1e-12
    )
    page = (Path(out) / "report.html").read_text(encoding="utf-8")
    assert "Newton by QR" in page
    assert "#882255" in page
    assert "QR by us" in page
    assert "#AA4499" in page
    assert (method_look("stable").label, method_look("stable").color) == ("Newton by QR", "#882255")
    assert (solver_look("qr").label, solver_look("qr").color) == ("QR by us", "#AA4499")
