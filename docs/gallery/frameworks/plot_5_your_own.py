"""
A solver and a policy of your own
=================================

A solver and a policy are added from outside, and every command knows both.
"""

# sphinx_gallery_thumbnail_path = "images/step.svg"
import tempfile

import torch

from qnewton.cli import main
from qnewton.cost import SOLVERS, Family, Solver, cubic_work, price
from qnewton.records import Outcome, Quote
from qnewton.scheduler.policy import POLICIES, Policy
from qnewton.solvers import Solution, SolveStats


def quote_qr(facts, market):
    return Quote(
        solver="qr",
        machine="classical",
        seconds=2 * price(market.calibration, "lu", cubic_work(facts.n)),
        model="twice the operations of an LU factorisation",
        hardware=market.calibration.name,
    )


def solve_by_qr(operator, rhs, options):
    q, r = torch.linalg.qr(operator.dense())
    x = torch.linalg.solve_triangular(r, (q.mT @ rhs)[:, None], upper=True)[:, 0]
    residual = float((operator @ x - rhs).norm() / rhs.norm())
    outcome = Outcome.SOLVED if residual <= options.tolerance else Outcome.RESIDUAL
    return Solution(x, outcome, SolveStats(solver="qr", residual=residual))


qr = Solver(
    name="qr",
    title="QR by us",
    family=Family.DIRECT,
    price=quote_qr,
    run=solve_by_qr,
    color="#AA4499",
)
stable = Policy(
    name="stable",
    title="Newton by QR",
    summary="QR at every step",
    choose=lambda quotes: ("qr", "QR is backward stable, whatever the matrix"),
    color="#882255",
)
SOLVERS.register(qr)
POLICIES.register(stable)

out = f"{tempfile.mkdtemp()}/qr"
train = f"train digits --policy stable --blocks layer --steps 3 --out {out}"
for line in (train, "price --n 500 --kappa 100", f"replay {out}", f"report {out}"):
    assert main(line.split()) == 0
