"""The prose of tables, checks, findings and captions: every sentence is a whole template."""

import tomllib
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import paper
from paper.artifact import Texts
from qnewton.report.words import rendered

FILES = sorted((Path(paper.__file__).parent / "texts").glob("*.toml"))


def sentences(found: object) -> list[str]:
    if isinstance(found, str):
        return [found]
    assert isinstance(found, dict | list)
    parts = found.values() if isinstance(found, dict) else found
    return [sentence for part in parts for sentence in sentences(part)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_template_compiles_and_asks_for_its_values(path: Path) -> None:
    for sentence in sentences(tomllib.loads(path.read_text(encoding="utf-8"))):
        if "{{" in sentence or "{%" in sentence:
            with pytest.raises((UndefinedError, TypeError)):
                rendered(sentence, {})
        else:
            assert rendered(sentence, {}) == " ".join(sentence.split())


def test_a_finding_holds_or_leans_on_its_assumption_or_does_not_hold() -> None:
    texts = Texts("fig-6")
    words = {"texts": ["a"], "fell": ["SGD"], "others": ["Newton"]}
    verdicts = [
        texts.finding("condition", holds, where=where, **words).verdict
        for holds, where in ((True, None), (False, "training is short"), (False, None))
    ]
    assert verdicts == ["holds", "holds under a named assumption", "does not hold"]
    assert texts.finding("condition", True, where="unused", **words).assumption is None
