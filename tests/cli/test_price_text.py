"""What ``qnewton price`` and ``qnewton map`` print: the verdict first, in 80 columns."""

import csv
import json
import math
import re
import subprocess
import sys

import pytest

SYSTEM = ("--n", "12544", "--kappa", "100", "--sparsity", "64")


@pytest.fixture(scope="module")
def said():
    """Return what price says of one system, in short and in full, and its JSON object."""
    found = []
    for more in ((), ("--verbose",), ("--json",)):
        words = [sys.executable, "-m", "qnewton", "price", *SYSTEM, *more]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
        found.append(done.stdout)
    return found[0], found[1], json.loads(found[2])


def test_the_verdict_comes_first_and_nothing_is_wider_than_80_columns(said):
    short, full, found = said
    verdict = short.split("\n\n")[0]
    assert len(verdict.splitlines()) <= 6
    classical = [q for q in found["quotes"] if q["machine"] == "classical" and q["seconds"]]
    best = min((q for q in classical if q["solver"] != "lu_inverse"), key=lambda q: q["seconds"])
    assert f"on {best['hardware']} takes" in verdict.splitlines()[0]
    assert "Quantum, audited: " in verdict
    assert "The classical solver wins" in verdict
    for text in (short, full):
        assert max(map(len, text.splitlines())) <= 80


def test_every_assumption_has_a_number_and_every_number_an_assumption(said):
    short, _, _ = said
    table, rest = short.split("Assumptions, by number:")
    used = set()
    own = re.search(r"The system itself rests on ([\d -]+)\.", table)
    of_system = own.group(1).split() if own else []
    header, *lines = table.split("Modelled seconds")[1].splitlines()[1:]
    for line in lines:
        for part in (*of_system, *line[header.index("notes") :].split()):
            if part.replace("-", "").isdigit():
                first, _, last = part.partition("-")
                used |= set(range(int(first), int(last or first) + 1))
    listed = rest.split("No price:")[0].splitlines()
    numbered = [line[:3].strip() for line in listed]
    assert {int(number) for number in numbered if number.isdigit()} == used


def test_numbers_have_one_notation_and_names_are_whole(said):
    short, full, _ = said
    verdict = " ".join(short.split("\n\n")[0].split())
    assert "One change is enough: gate time, with measurements in proportion: " in verdict
    assert "(now 50 ns)" in verdict
    changes = full.split("What would change")[1].split("\n\n")[0]
    assert not re.search(r"\de[+-]?\d", changes.split("\n", 1)[1])
    assert "…" not in full
    table = short.split("Modelled seconds")[1].split("Assumptions, by number:")[0]
    assert {"qubit_gate_ns_e3*", "qubit_gate_ns_e4*"} <= set(table.split())


def test_a_price_of_the_inverse_alone_comes_last_and_says_that_it_is_no_rival(said):
    short, _, _ = said
    table, rest = short.split("Assumptions, by number:")
    rows = [line.split()[0] for line in table.split("notes")[1].splitlines()[1:] if line.strip()]
    first = rows.index("LU")
    assert first > rows.index("CG")
    assert not {"CG", "Dalzell,"} & set(rows[first:])
    assert "the inverse alone, as in the paper: no product with b" in rest
    assert "no rival, since its price leaves a part of the solve out" in rest


def test_the_error_budget_is_stated(said):
    said_once = "error correction fails in one state with a chance of 0.01 at most"
    assert said_once in " ".join(said[0].split())


def test_refusals_are_grouped_and_never_say_a_reason_twice(said):
    short, _, found = said
    refused = [q["refused"] for q in (*found["quotes"], *found["audited"]) if q["refused"]]
    assert refused
    listed = short.split("No price:")[1].split("\n\n")[0]
    items = [
        item.split(": ", 1)[1] for item in " ".join(listed.split()).split("- ") if item.strip()
    ]
    assert len(items) == len(set(items)) < len(refused)


def test_the_json_object_has_every_figure_and_its_sums(said):
    _, _, found = said
    made = found["breakdown"]
    best = min((q for q in found["audited"] if q["seconds"]), key=lambda q: q["seconds"])
    assert best["low"] <= best["seconds"] <= best["high"]
    assert math.fsum(made["seconds"].values()) == pytest.approx(best["seconds"])
    assert {d["algorithm"] for d in found["designs"]} == {"qsvt", "dalzell", "hhl", "costa"}
    assert found["certainty"] == "certain"
    assert all(swing["constant"]["source"] for swing in found["tornado"])
    assert found["frontier"][0]["physical_qubits"] < found["frontier"][-1]["physical_qubits"]


def test_terms_are_written_as_csv(qnewton):
    code, output, error = qnewton("price", *SYSTEM, "--csv", "terms.csv")
    assert code == 0, error
    assert "wrote terms.csv" in output
    with open("terms.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["term"] for row in rows][:2] == ["tables", "block-encoding"]
    assert float(rows[1]["toffoli"]) > 0


def test_pictures_show_where_it_wins_and_which_constants_matter(qnewton, tmp_path):
    code, output, error = qnewton("price", *SYSTEM, "--pictures", "maps")
    assert code == 0, error
    names = {path.stem for path in (tmp_path / "maps").glob("*.png")}
    assert names == {"sparsity-kappa", "n-machine-time", "constants"}
    assert output.count("wrote maps") >= 3


def test_a_map_writes_its_picture_its_table_and_its_line(qnewton, tmp_path):
    free = ("--query-set", "optimistic", "--readout", "none", "--error-correction", "perfect")
    words = ("map", *SYSTEM, "--points", "6", "--x", "kappa", "--y", "gate-time", *free)
    code, output, error = qnewton(*words, "--out", "maps")
    assert code == 0, error
    assert "constant at its kindest" in " ".join(output.split())
    names = {path.name for path in (tmp_path / "maps").iterdir()}
    assert names == {"map.png", "map.svg", "map.csv", "equal-prices.csv"}
    code, output, error = qnewton(*words, "--json")
    assert code == 0, error
    found = json.loads(output)
    assert len(found["rows"]) == 36
    assert {row["constants"] for row in found["equal_prices"]} >= {"likely"}


def test_a_map_leaves_no_file_of_an_earlier_one_and_counts_points_without_a_price(
    qnewton, tmp_path
):
    words = ("map", *SYSTEM, "--points", "4", "--out", "maps", "--x", "kappa", "--y")
    free = ("--query-set", "optimistic", "--readout", "none", "--error-correction", "perfect")
    lines = tmp_path / "maps" / "equal-prices.csv"
    for more, kept in ((("gate-time", *free), True), (("sparsity",), False)):
        code, output, error = qnewton(*words, *more)
        assert code == 0, error
        assert lines.exists() is kept
        assert "no price" not in output
    words = ("map", "--n", "100", "--kappa", "10", "--points", "2", "--calibration", "h100")
    code, output, error = qnewton(*words, "--x-range", "100:1e12", "--out", "other")
    assert code == 0, error
    said = " ".join(output.split())
    assert "of 2 points (modelled)" in said
    assert "2 more points have no price" in said


def test_a_map_of_a_machine_above_threshold_is_refused(qnewton):
    words = ("--n", "100", "--kappa", "10", "--sparsity", "5", "--hardware", "ibm_sherbrooke")
    code, output, error = qnewton("map", *words)
    assert (code, output) == (2, "")
    assert "ibm_sherbrooke is above threshold" in error
    assert "--physical-error" in error
