"""Files for contributors parse, name what exists, and agree with the pinned versions."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from qnewton import __version__

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
TEXTS = [
    "CONTRIBUTING.md",
    "SECURITY.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
    *(str(path.relative_to(ROOT)) for path in FORMS),
]
# What a command writes.
_MADE = {"report.html", "dist/"}
_PATH = re.compile(r"`([\w./-]+(?:\.(?:py|md|txt|toml|html)|/))`")
_ROOTS = (ROOT, ROOT / "src/qnewton")


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def makefile_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


@pytest.mark.parametrize("name", TEXTS)
def test_files_that_a_text_names_exist(name: str) -> None:
    named = set(_PATH.findall((ROOT / name).read_text(encoding="utf-8"))) - _MADE
    assert [path for path in named if not any((root / path).exists() for root in _ROOTS)] == []


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_has_what_github_asks_of_it(path: Path) -> None:
    form = read(str(path.relative_to(ROOT)))
    if path.stem == "config":
        assert form == {"blank_issues_enabled": False}
        return
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    identities = [field["id"] for field in fields]
    assert len(identities) == len(set(identities))


def test_there_is_a_form_for_bugs_questions_and_features() -> None:
    assert {path.stem for path in FORMS} == {"bug", "question", "feature", "config"}


def test_the_workflow_calls_targets_that_exist_on_the_pythons_that_are_supported() -> None:
    workflow = read(".github/workflows/ci.yml")
    jobs = workflow["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    matrix = jobs["test"]["strategy"]["matrix"]["include"]
    assert {entry["python"] for entry in matrix} == {"3.11", "3.12", "3.13"}
    called = {line.split()[1] for line in lines if line.startswith("make ") and "{" not in line}
    called |= {entry["target"] for entry in matrix}
    assert called <= makefile_targets()
    assert {"check", "coverage", "test", "docs"} <= called
    assert set(jobs["fast"]["strategy"]["matrix"]["os"]) == {"macos-latest", "windows-latest"}
    assert any('-m "not slow"' in line for line in lines)
    for job in jobs.values():
        (python,) = [
            s for s in job["steps"] if s.get("uses", "").startswith("actions/setup-python")
        ]
        assert python["with"]["cache"] == "pip"
        assert (ROOT / python["with"]["cache-dependency-path"]).exists()


def _is_slow(node: ast.AST) -> bool:
    return "pytest.mark.slow" in ast.unparse(node)


def test_the_fast_lane_touches_every_package() -> None:
    packages = {path.parent.name for path in (ROOT / "src/qnewton").glob("*/__init__.py")}
    for package in sorted(packages & {path.name for path in (ROOT / "tests").iterdir()}):
        quick = 0
        for path in (ROOT / "tests" / package).rglob("test_*.py"):
            body = ast.parse(path.read_text(encoding="utf-8")).body
            if not any(isinstance(node, ast.Assign) and _is_slow(node) for node in body):
                tests = [node for node in body if isinstance(node, ast.FunctionDef)]
                quick += sum(
                    node.name.startswith("test_") and not any(map(_is_slow, node.decorator_list))
                    for node in tests
                )
        assert quick >= 3, package


def test_pre_commit_runs_the_ruff_that_the_constraints_pin() -> None:
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    )
    repositories = {repo["repo"]: repo for repo in read(".pre-commit-config.yaml")["repos"]}
    (ruff,) = [repo for name, repo in repositories.items() if name.endswith("ruff-pre-commit")]
    assert ruff["rev"] == f"v{pinned['ruff']}"
    hooks = {hook["id"] for repo in repositories.values() for hook in repo["hooks"]}
    assert {"ruff-check", "ruff-format", "end-of-file-fixer", "check-yaml"} <= hooks


def test_the_citation_is_of_this_version_and_names_the_paper() -> None:
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert {"message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert paper["identifiers"][0]["value"] == "arXiv:2405.00252"
    assert [author["family-names"] for author in paper["authors"]] == ["Li", "Liu", "Wang", "Chen"]


def test_the_index_of_decisions_lists_every_page() -> None:
    folder = ROOT / "docs/decisions"
    text = (folder / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^([a-z-]+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(p.stem for p in folder.glob("*.md") if p.stem != "index")
    for name in listed:
        page = (folder / f"{name}.md").read_text(encoding="utf-8")
        found = re.findall(r"^## (.+)$", page, re.MULTILINE)
        assert found == ["Context", "Decision", "Consequences", "What settled it"], name
        assert re.search(r"^\*\*Status:\*\* \w+", page, re.MULTILINE), name


def test_the_image_is_built_from_files_that_its_context_holds_and_runs_without_rights() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert copied == {line.removeprefix("!") for line in kept if line.startswith("!")}
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000"]
    made = re.findall(r"^\t\$\(BIN\)/(qnewton .+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (command,) = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD ")]
    assert " ".join(ast.literal_eval(command)) == made[0]
