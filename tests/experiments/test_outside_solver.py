"""A solver from outside the package is priced and replayed where torch cannot be loaded."""

import json
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parents[1] / "golden" / "release_0_1" / "paper"

CODE = f"""
import json, sys
sys.modules["torch"] = None  # whoever imports it raises
from dataclasses import replace
from qnewton.cost import SOLVERS, Family, Solver, classical_quotes, nominal_calibration
from qnewton.experiments.replay import own_settings, replay
from qnewton.records import Facts, Quote
from qnewton.runs import read_run

def quote(facts, market):
    return Quote(solver="oracle", machine="classical", seconds=1e-9 * facts.n, model="a guess",
                 hardware=market.calibration.name)

SOLVERS.register(Solver(name="oracle", title="Oracle", family=Family.DIRECT, price=quote,
                        run="nowhere.at_all:solve"))
priced = {{q.solver: q.seconds for q in classical_quotes(nominal_calibration(), Facts(n=100))}}
run = read_run({str(RUN)!r})
settings = replace(own_settings(run), solvers=("oracle", "lu"))
found = replay(run.steps, "classical", settings)
print(json.dumps([priced["oracle"], dict(found.decisions), found.unpriced_steps, found.solves]))
"""


def test_an_outside_solver_is_priced_and_replayed_with_torch_blocked() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    price, decisions, unpriced, solves = json.loads(done.stdout)
    assert price == 1e-9 * 100
    assert decisions == {"oracle": solves}
    assert solves > 0
    assert unpriced == 0
