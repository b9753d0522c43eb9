"""How many steps does Costa's adiabatic walk need: its error times steps over κ, the theorem's c?

1.84 was published as seen up to N = 16 and κ = 50, and 2305 as proven. No timing.
"""

import numpy as np

from benchmarks.harness import Report, Row, Say, reached
from qnewton.queries import PROVEN_CONSTANT, SEEN_CONSTANT
from qnewton.solvers.quantum import Walk
from qnewton.solvers.quantum.costa import costa
from qnewton.solvers.quantum.promise import Promise

SIZES, KAPPAS, DRAWS = (4, 16, 256, 4096), (10.0, 50.0, 300.0), 12


def constant(n: int, kappa: float, definite: bool, seed: int) -> float:
    """Return ‖walked - exact‖·T/κ on a system of log-uniform eigenvalues and a Gaussian b."""
    generator = np.random.default_rng(seed)
    spread = np.append(generator.uniform(0.0, 1.0, n - 2), [0.0, 1.0])
    values = kappa**-spread * (1.0 if definite else generator.choice([-1.0, 1.0], n))
    b = generator.normal(size=n)
    b, x = b / np.linalg.norm(b), b / values
    promise = Promise(alpha=1.0, kappa=kappa, held=True, definite=definite)
    solver = costa(promise, 0.1, Walk())
    exact = (x / np.linalg.norm(x))[None]
    if not definite:
        exact = np.concatenate([exact, exact]) / np.sqrt(2.0)
    error = float(np.linalg.norm(solver.walked(values, b) - exact))
    return error * solver.steps / kappa


def measure(say: Say) -> Report:
    """Measure the constant on definite and indefinite systems of four sizes."""
    rows: list[Row] = []
    for definite in (True, False):
        kind = "definite" if definite else "indefinite"
        worst = 0.0
        for n in SIZES:
            for kappa in KAPPAS:
                say(f"{kind}, N = {n:,}, κ = {kappa:g}")
                found = [constant(n, kappa, definite, seed) for seed in range(DRAWS)]
                worst = max(worst, *found)
                seen = f"median {np.median(found):.2f}, worst {max(found):.2f}"
                title = f"c of {kind} systems, N = {n:,}, κ = {kappa:g}"
                rows.append(Row(title, "", seen, ""))
        title = f"worst c of {kind} systems, where {SEEN_CONSTANT:g} was seen"
        met = worst <= PROVEN_CONSTANT
        rows.append(reached(title, f"≤ {PROVEN_CONSTANT:g}", f"{worst:.2f}", met))
    return Report("walk_constant", rows)
