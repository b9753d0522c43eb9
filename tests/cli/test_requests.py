"""A wrong request is one line on standard error and exit code 2; nothing is written."""

import json
import os
import subprocess
import sys

import pytest

from qnewton.cli import main

WRONG = {
    # commands and options
    "prize": "unknown command 'prize'; did you mean price? It can be train, compare",
    "--stepz": "unknown command '--stepz'; choose train",
    "train digits --stepz 3": "unknown option --stepz; did you mean --steps? See qnewton train",
    "train digits --plolicy paper": "unknown option --plolicy; did you mean --policy?",
    "train digits --xyzzy": "unknown option --xyzzy; See qnewton train --help-all",
    "compare digits --policy paper": "qnewton compare has no option --policy, which belongs to "
    "train, replay",
    "train digits more words": "unexpected word 'more'; see qnewton train --help",
    "replay one two": "unexpected word 'two'",
    "train digits --steps": "--steps needs a value; see qnewton train --help",
    "price --n 4 --kappa 2 --kronecker 2": "--kronecker needs 2 values",
    # values of an option
    "train digits --steps many": "--steps is 'many'; it must be a whole number",
    "train digits --steps 1.5": "--steps is '1.5'; it must be a whole number",
    "price --n 10 --kappa abc": "--kappa is 'abc'; it must be a number",
    "train digits --curvature gauss": "--curvature is 'gauss'; choose auto, hessian, ggn, fisher",
    "train digits --blocks layers": "--blocks is 'layers'; did you mean layer? It can be full, ",
    "train digits --damping soft": "--damping is 'soft'; it must be a number or auto",
    "train digits --rescale yes": "--rescale is 'yes'; choose True, False",
    "readout digits --shots few": "--shots is 'few'; it must be a whole number",
    "list machine": "WHAT is 'machine'; did you mean machines?",
    "train digits --steps 0": "--steps is 0; it must be at least 1",
    "train digits --damping -1": "--damping is -1.0; it must be finite",
    "train digits --damping auto --relative-damping": "--relative-damping needs",
    "train digits --damping auto --max-newton 9": "--max-newton needs a damping that is a number",
    "compare digits --damping auto": "--damping is 'auto'; a comparison prices",
    "train digits --prune-count 0": "--prune-count is 0; it must be at least 1",
    "train digits --prune-mass 1.5": "--prune-mass is 1.5",
    "train digits --prune-count 9 --prune-mass 0.5": "exclude each other",
    "train digits --warmup soon": "--warmup is 'soon'",
    "train digits --seed -3": "--seed is -3; it must lie between 0 and",
    "train digits --print-every 0": "--print-every is 0; it must be at least 1",
    "compare digits --target 95": "--target is 95.0",
    "price --n 0 --kappa 10": "--n is 0",
    "price --n 10 --kappa 0.5": "--kappa is 0.5",
    "price --n 10 --kappa 2 --sparsity 11": "--sparsity is 11",
    "price --n 10": "--kappa",
    "readout digits --epsilons 2": "--epsilons is 2.0; it must lie between 0 and 1",
    "readout digits --methods swop": "read-out 'swop' takes no shots; did you mean swap?",
    # names
    "train cifar": "no workload is called 'cifar'; choose digits",
    "train digtis": "no workload is called 'digtis'; did you mean digits? It can be digits, proj",
    "compare digtis": "did you mean digits?",
    "readout digtis": "did you mean digits?",
    "train digits --policy best": "--policy is 'best'; choose classical",
    "train digits --policy papre": "--policy is 'papre'; did you mean paper?",
    "replay recorded/digits --policy papre": "no policy is called 'papre'; did you mean paper?",
    "train digits --hardware warp": "no quantum profile is called 'warp'; choose attosecond",
    "train digits --policy paper --hardware attosec": "did you mean attosecond?",
    "compare digits --hardware attosec": "did you mean attosecond?",
    "readout digits --find --hardware attosec": "did you mean attosecond?",
    "price --n 9 --kappa 2 --hardware no.toml": "no.toml: there is no such file",
    "compare digits --calibration papre-h100": "did you mean paper-h100?",
    "price --n 9 --kappa 2 --rivals h10": "did you mean h100?",
    "replay recorded/digit": "no recorded run is called 'digit'; did you mean digits?",
    "replay recorded/digits --solvers lu_inverze": "did you mean lu_inverse?",
    "replay recorded/digits --cost-model papr": "did you mean paper?",
    "map --n 9 --kappa 2 --y gatetime": "--y is 'gatetime'; did you mean gate-time?",
    # folders
    "train mnist --data-dir none": "there is no folder none; point --data-dir or QNEWTON_DATA at",
    "train mnist --data-dir full": "no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in",
    "train bert --data-dir full": "no test.txt or wiki.test.tokens in full; point --data-dir",
    "train digits --out full": "full already holds files",
    "compare digits --out full": "full already holds files",
    "train digits --out full/file/run": "--out is full/file/run, and ",
    "price --n 9 --kappa 2 --csv full/file/a.csv": "--csv is full/file/a.csv, and ",
    "map --n 9 --kappa 2 --out full/file/maps": "--out is full/file/maps, and ",
    "train --resume no-such-folder": "no-such-folder does not exist",
    "report no-such-folder": "no-such-folder does not exist",
    "report": "no folder is named and there is no run below runs/; name one, or make one",
    "replay": "no folder is named and there is no run below runs/",
    "calibrate --drift full": "full has no config.json: not a run folder",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_request_is_one_line_before_torch_is_needed(
    words, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("QNEWTON_DATA", raising=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    # What trains must not be asked for.
    for module in ("qnewton.training.session", "qnewton.optimizer"):
        monkeypatch.setitem(sys.modules, module, None)
    code = main(words.split())
    output, error = capsys.readouterr()
    assert code == 2, error
    assert output == ""
    assert error.startswith("qnewton: ")
    assert error.count("\n") == 1
    assert WRONG[words] in error
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full"]


@pytest.mark.parametrize("words", ["train digtis", "train mnist --data-dir none", "list", "--help"])
def test_it_is_told_without_torch(words, tmp_path) -> None:
    script = (
        "import sys; from qnewton.cli import main; main(sys.argv[1:]); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words.split()],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "QNEWTON_CACHE": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_process_ends_with_exit_code_2(qnewton) -> None:
    code, output, error = qnewton("train", "digtis")
    assert (code, output) == (2, "")
    assert error.startswith("qnewton: no workload is called 'digtis'; did you mean digits?")


def test_a_terminal_without_unicode_gets_the_same_line(qnewton, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, _, error = qnewton("train", "digits", "--stepz", "3")
    assert code == 2
    assert "--stepz" in error
    assert error.count("\n") == 1


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
