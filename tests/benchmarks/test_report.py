"""A report is read back as it was written, and every way to fail is a row."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import __main__ as runner
from benchmarks import mlp_hessian
from benchmarks.harness import INSTALL, Report, Row, Timing, describe_machine, reached, speed
from benchmarks.harness.results import Verdict, markdown, read_rows


def test_a_report_keeps_raw_samples(tmp_path: Path) -> None:
    row = reached("speed", "≥ 6×", "5×", met=False)
    report = Report("some", [row], {"cores": 2}, {"a": Timing("a", (1.0, 2.0), 3.0)}, {"a": 7})
    content = json.loads(report.write(tmp_path).read_text(encoding="utf-8"))
    assert read_rows("some", tmp_path) == [row]
    assert row.verdict == "missed"
    assert content["timings"]["a"]["seconds"] == [1.0, 2.0]
    assert content["timings"]["a"]["median"] == 4.5
    assert content["peak_bytes"] == {"a": 7}
    assert content["machine"] == {"cores": 2}


def test_a_page_gets_every_row_with_its_marks_escaped(tmp_path: Path) -> None:
    rows = [
        reached("max |P|, λ_1", "≤ 1", "0.5 [1]", met=True),
        reached("speed", "≥ 6×", "5*", met=False),
    ]
    Report("some", rows, {"load_averages": [1.0, 2.0, 3.0]}).write(tmp_path)
    first, _, _, _, *lines = markdown("some", tmp_path).splitlines()
    assert first.startswith("`some`, ")
    assert first.endswith(", load averages [1.0, 2.0, 3.0]:")
    assert lines == [
        r"| max \|P\|, λ\_1 | ≤ 1 | 0.5 \[1\] | met |",
        r"| speed | ≥ 6× | 5\* | **missed** |",
    ]


def test_a_page_says_what_was_not_run(tmp_path: Path) -> None:
    assert "`python -m benchmarks some`" in markdown("some", tmp_path)


def test_the_page_asks_for_what_was_measured_and_names_every_benchmark() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "```{measured}\n```" in page
    named = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(named) == sorted(runner.NAMES)


def test_a_scaled_time_is_labelled() -> None:
    row = speed("Hessian", None, Timing("ours", (1.0,)), Timing("peer", (1.0,), scale=50.0))
    assert row.measured == "50.0× (1 s, 50 s, scaled from a part)"
    assert row.verdict == ""


def test_a_missing_peer_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mlp_hessian, "missing_peers", lambda *names: names)
    why = mlp_hessian._why_no_jax()
    assert why is not None
    rows = mlp_hessian._jax_rows("Hessian", {}, {}, why)
    assert [row.verdict for row in rows] == ["not measured"] * 2
    assert all("jax is missing" in row.measured and INSTALL in row.measured for row in rows)


def test_jax_is_not_started_without_memory_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlp_hessian, "missing_peers", lambda *names: ())
    monkeypatch.setattr(mlp_hessian, "available_bytes", lambda: 10**9)
    assert "1.0 GB are free" in (mlp_hessian._why_no_jax() or "")


@pytest.mark.parametrize(
    ("code", "words"),
    [("raise SystemExit(3)", "ended with exit status 3"), ("import os; os.abort()", "signal 6")],
)
def test_a_benchmark_that_does_not_finish_is_a_failed_row(
    code: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(runner, "_ONE", code)
    assert runner.main(["scaling"]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert words in printed
    assert "failed" in printed


@pytest.mark.parametrize(("verdict", "status"), [("met", 0), ("", 0), ("not measured", 1)])
def test_the_exit_status_is_the_verdict(
    verdict: Verdict, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_ONE", "pass")
    monkeypatch.setattr(runner, "read_rows", lambda name: [Row(name, "", "", verdict)])
    assert runner.main(["scaling"]) == status


def test_an_unknown_name_is_a_bad_request(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        runner.main(["no_such"])
    assert stopped.value.code == 2
    assert "there is no benchmark 'no_such'; choose from" in capsys.readouterr().err


@pytest.mark.slow
def test_the_machine_comes_with_its_rates() -> None:
    machine = describe_machine()
    assert machine["gemm_gflops"] > 0
    assert machine["copy_gb_per_s"] > 0
    assert machine["versions"]["torch"]
    assert json.dumps(machine)
