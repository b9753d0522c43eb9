"""The page of verdicts is short and links to the evidence; the committed pages are the writer's."""

import re
from pathlib import Path

from paper import table_1
from paper.artifact import Artifact, ArtifactTable, Finding, PaperContext
from paper.command import EXPERIMENTS
from paper.findings import evidence, write_findings

DOCS = Path(__file__).parents[2] / "docs"
ROWS = re.compile(r"^\| \[(.+?)\]\((findings/(.+?)\.md)\) \| (.+?) \| (.+?) \|$", re.MULTILINE)

LEANS = Finding(
    claim="Fig. 9: it is fast",
    short="It is fast",
    why="It takes 2 s.",
    measured="seconds: 2",
    verdict="holds under a named assumption",
    assumption="the clock stands | still",
)
TABLE = ArtifactTable(name="t", title="Times", columns=("s",), rows=((2.0,), (None,)), note="Two.")
MADE = Artifact(name="fig-9", title="Fig. 9: time", tables=(TABLE,), findings=(LEANS,))


def test_verdicts_are_one_row_each_and_evidence_has_the_rest(tmp_path: Path) -> None:
    first, beside = write_findings([MADE], tmp_path / "found.md", "a machine", full=True)
    assert (first.name, beside) == ("found.md", tmp_path / "found" / "fig-9.md")
    page, shown = (path.read_text(encoding="utf-8") for path in (first, beside))
    assert "Of 1 claims,\n1 hold under an assumption that has to be named (conditional).\n" in page
    assert "| [It is fast](found/fig-9.md) | conditional | It takes 2 s. |" in page
    assert "on a machine.\n" in page
    assert "`qnewton paper all --full`" in page
    assert "stands" not in page
    assert "## It is fast\n\n> Fig. 9: it is fast\n\nSeconds: 2\n" in shown
    assert "Verdict: **holds under a named assumption**: the clock stands | still." in shown
    assert "**Times**\n\n| s |\n|---|\n| 2 |\n| – |\n\nTwo.\n" in shown
    assert "`qnewton paper fig-9`" in shown
    assert "[the findings](../found.md)" in shown


def test_the_committed_page_has_a_short_row_for_every_claim() -> None:
    page = (DOCS / "findings.md").read_text(encoding="utf-8")
    rows = ROWS.findall(page)
    assert len(rows) == page.count("\n| [")
    assert list(dict.fromkeys(name for _, _, name, _, _ in rows)) == [*EXPERIMENTS]
    for short, path, _, verdict, why in rows:
        shown = (DOCS / path).read_text(encoding="utf-8")
        assert f"## {short}\n" in shown
        assert verdict in ("holds", "conditional", "does not hold", "not tested")
        assert len(short) <= 60
        assert len(why) <= 120
        assert why[-1] == "."
    assert f"Of {len(rows)} claims,\n" in page


def test_the_committed_evidence_is_what_the_writer_makes(paper_context: PaperContext) -> None:
    # The artifact that needs no data, no calibration and no training.
    made = evidence(table_1.EXPERIMENT.make(paper_context), "findings.md")
    assert made == (DOCS / "findings" / "table-1.md").read_text(encoding="utf-8")
