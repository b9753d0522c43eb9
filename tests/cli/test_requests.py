"""A wrong request is one line on standard error and exit code 2; nothing is written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "cifar"], "unknown workload 'cifar'; available: digits"),
        (["train", "digits", "--damping", "-1"], "--damping is -1.0; it must be finite"),
        (
            ["train", "digits", "--damping", "auto", "--relative-damping"],
            "--relative-damping needs",
        ),
        (
            ["train", "digits", "--damping", "auto", "--max-newton", "9"],
            "needs a damping that is a",
        ),
        (["compare", "digits", "--damping", "auto"], "--damping is 'auto'; a comparison prices"),
        (["train", "digits", "--prune-count", "0"], "--prune-count is 0; it must be at least 1"),
        (["train", "digits", "--prune-mass", "1.5"], "--prune-mass is 1.5"),
        (["train", "digits", "--prune-count", "9", "--prune-mass", "0.5"], "exclude each other"),
        (["train", "digits", "--steps", "0"], "--steps is 0"),
        (["train", "digits", "--steps", "many"], "many"),
        (["train", "digits", "--policy", "best"], "--policy is 'best'; choose classical"),
        (["train", "digits", "--warmup", "soon"], "--warmup is 'soon'"),
        (["train", "digits", "--hardware", "warp"], "warp"),
        (["train", "--resume", "no-such-folder"], "no-such-folder does not exist"),
        (["report", "no-such-folder"], "no-such-folder"),
        (
            ["train", "digits", "--curvature", "gauss"],
            "invalid choice 'gauss' for argument '--curvature'",
        ),
        (["train", "digits", "--stepz", "3"], "--stepz"),
        (["compare", "digits", "--target", "95"], "--target is 95.0"),
        (["price", "--n", "0", "--kappa", "10"], "--n is 0"),
        (["price", "--n", "10", "--kappa", "0.5"], "--kappa is 0.5"),
        (["price", "--n", "10", "--kappa", "2", "--sparsity", "11"], "--sparsity is 11"),
        (["price", "--n", "10"], "--kappa"),
        (["prize"], "prize"),
    ],
)
def test_a_wrong_request_is_one_line_with_exit_code_2(qnewton, arguments, says) -> None:
    code, output, error = qnewton(*arguments)
    assert code == 2, error
    assert output == ""
    assert error.startswith("qnewton: ")
    assert error.count("\n") == 1
    assert says in error
    assert not Path("runs").exists()


def test_a_terminal_without_unicode_gets_the_same_line(qnewton, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, _, error = qnewton("train", "digits", "--stepz", "3")
    assert code == 2
    assert "--stepz" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_help_teaches_every_command(qnewton) -> None:
    code, output, _ = qnewton("--help")
    assert code == 0
    for command in ("train", "compare", "price", "calibrate", "report"):
        assert command in output
        code, help_text, _ = qnewton(command, "--help")
        assert code == 0
        assert "usage: qnewton" in help_text


def test_pricing_does_not_load_torch(calibrated_cache, tmp_path) -> None:
    script = (
        "import sys; from qnewton.cli import main; "
        "code = main(['price', '--n', '1000', '--kappa', '30', '--json']); "
        "sys.exit(code or ('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"QNEWTON_CACHE": str(calibrated_cache), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr


def test_price_prints_one_json_object(qnewton) -> None:
    code, output, error = qnewton(
        "price", "--n", "12544", "--kappa", "10000", "--sparsity", "1000", "--json"
    )
    assert code == 0, error
    priced = json.loads(output)
    assert priced["facts"]["n"] == 12544
    by_machine = {(q["solver"], q["hardware"]): q["seconds"] for q in priced["quotes"]}
    slow, fast = by_machine["qsvt", "photonic-ghz"], by_machine["qsvt", "photonic-thz"]
    assert slow == pytest.approx(1000 * fast)
    own = priced["calibration"]
    lu_inverse = by_machine["lu_inverse", own]
    expected_queries = fast / 1e-12
    assert priced["break_even_gate_time_s"][f"lu_inverse on {own}"] == pytest.approx(
        lu_inverse / expected_queries
    )
