"""
A SWAP test loses the signs
===========================

The paper reads the answer by SWAP tests, and they lose the sign of every component.

A quantum linear solver leaves its answer as amplitudes of a state. A SWAP test between two states
says 0 with probability ``(1 + |⟨a|b⟩|²)/2``: it sees the square of an overlap, so a step that is
read that way comes out with every component positive. Here that happens to a real Newton step.
"""

# %%
# One step of the digits network
# ------------------------------
# The output layer, 170 unknowns, damped, and the state that QSVT would leave.

import altair as alt
import torch

from qnewton.curvature import systems
from qnewton.solvers.quantum import Readout, emulate
from qnewton.treatment import damp
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)
model = workload.build_model(0)


def closure():
    return workload.loss(model(workload.train_inputs), workload.train_targets)


system = systems(model, closure, blocks="layer")[-1]
rhs = system.rhs.double()
matrix = damp(system.operator.dense().double(), 0.1).dense()
exact = emulate(matrix, rhs, epsilon=1e-8)
print(
    f"{system.n} unknowns, degree {exact.degree}, success probability "
    f"{exact.success_probability:.3f}, output state resolved: {exact.resolved}"
)

# %%
# Three ways to read it
# ---------------------
# The same number of shots each. The Hadamard test sees ``⟨a|b⟩`` itself, and the two-stage read-out
# interferes the state with its own magnitudes; both keep the signs. The cosine is that between the
# step that results, its length and sign set by one classical product, and the exact one.

SHOTS = 170 * 1_000_000
truth = exact.direction / exact.direction.norm()
rows = []
print("read-out    signs known  wrong signs  error of magnitudes  cosine")
for method in ("amplitude", "hadamard", "swap"):
    output = emulate(
        matrix, rhs, epsilon=1e-8, readout=Readout(method=method, shots=SHOTS)
    )
    read = output.measurement
    step = output.direction / output.direction.norm()
    large = truth.abs() > 0.01
    wrong = int((read.vector.sign() != truth.sign())[large].sum())
    magnitudes = float((read.vector.abs() - truth.abs()).norm())
    print(
        f"{method:10s} {read.signs_known!s:>12s} {wrong:6d}/{int(large.sum()):d} "
        f"{magnitudes:19.4f} {float(step @ truth):9.4f}"
    )
    rows += [
        {"exact": float(a), "read": float(b), "read-out": method}
        for a, b in zip(truth, read.vector, strict=True)
    ]

# %%
# Read against exact: the SWAP test folds the lower half up.

alt.Chart(alt.Data(values=rows)).mark_circle(size=18, opacity=0.6).encode(
    x=alt.X("exact:Q", title="component of the state"),
    y=alt.Y("read:Q", title="as it was read"),
    color=alt.Color("read-out:N", legend=None),
    column=alt.Column("read-out:N", title=None),
).properties(width=150, height=150)

# %%
# What a step along it does
# -------------------------
# The loss before the step, after the exact one, and after each of those that were read.

before = [p.detach().clone() for p in system.parameters]
print(f"before      {closure().item():.4f}")
for method in (None, "amplitude", "hadamard", "swap"):
    readout = None if method is None else Readout(method=method, shots=SHOTS)
    direction = emulate(matrix, rhs, epsilon=1e-8, readout=readout).direction
    offset = 0
    with torch.no_grad():
        for parameter, start in zip(system.parameters, before, strict=True):
            piece = direction[offset : offset + start.numel()].view_as(start)
            parameter.copy_(start + piece.to(start.dtype))
            offset += start.numel()
        print(f"{method or 'exact':10s}  {closure().item():.4f}")
        for parameter, start in zip(system.parameters, before, strict=True):
            parameter.copy_(start)
