"""
One Newton step by HHL
======================

HHL solves one real Newton step, and its clock register decides how well.

HHL, the first quantum linear solver, estimates every eigenvalue of A in a clock register, rotates
an ancilla by C/λ, and undoes the clock. Its error comes from the clock: 2ᵐ values cannot hold an
eigenvalue exactly. Here it is emulated; :ref:`another page
<sphx_glr_auto_gallery_quantum_plot_5_hhl_circuit.py>` builds its circuit.
"""

# %%
# The system
# ----------
# The output layer of the digits network, 170 unknowns: the exact Hessian of the loss, damped, and
# the negative gradient as right-hand side.

import math

import altair as alt
import numpy as np
import torch

from qnewton.curvature import systems
from qnewton.scheduler.step_angle import angle_between
from qnewton.solvers.quantum import Clock, emulate
from qnewton.treatment import damp
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)
model = workload.build_model(0)


def closure():
    return workload.loss(model(workload.train_inputs), workload.train_targets)


system = systems(model, closure, blocks="layer")[-1]
rhs = system.rhs.double()
matrix = damp(system.operator.dense().double(), 0.1).dense()
exact = torch.linalg.solve(matrix, rhs)
values = torch.linalg.eigvalsh(matrix)
print(f"{system.n} unknowns, κ = {float(values.max() / values.min()):.1f}")

# %%
# What the clock says of one eigenvalue
# -------------------------------------
# Phase estimation with m = 5 qubits: the chance of each of its values for the smallest eigenvalue,
# which the rotation inverts and which therefore matters most. A clock that starts uniform has
# tails that fall like 1/k²; one that starts as a sine has tails that fall like 1/k⁴.

alpha = float(values.abs().max())
time = 0.9 * math.pi / alpha
size = 32
tau = np.arange(size)
windows = {
    "uniform": np.full(size, 1 / math.sqrt(size)),
    "sine": math.sqrt(2 / size) * np.sin(np.pi * (tau + 0.5) / size),
}
rows = []
for name, amplitudes in windows.items():
    state = amplitudes * np.exp(1j * time * float(values.min()) * tau)
    chances = np.abs(np.fft.fft(state)) ** 2 / size
    for k, chance in enumerate(chances):
        signed = k if k < size // 2 else k - size
        rows.append(
            {
                "λ̃": 2 * math.pi * signed / (size * time),
                "chance": float(chance),
                "window": name,
            }
        )
marks = (
    alt.Chart(alt.Data(values=[row for row in rows if row["chance"] > 1e-7]))
    .mark_point(filled=True)
    .encode(
        x=alt.X("λ̃:Q", title="eigenvalue the clock reads"),
        y=alt.Y(
            "chance:Q",
            scale=alt.Scale(type="log"),
            axis=alt.Axis(format="~g", tickCount=5),
        ),
        color=alt.Color("window:N", title="window"),
    )
)
true = alt.Chart(alt.Data(values=[{"λ": float(values.min())}])).mark_rule(
    strokeDash=[4, 3]
)
(marks + true.encode(x="λ:Q")).properties(
    width=360, height=200, title="dashed: the smallest eigenvalue"
)

# %%
# A larger clock, a better step
# -----------------------------
# Each further qubit nearly doubles the queries and halves the clock's spacing. The angle to the
# exact step about halves with it for a uniform clock and about quarters for a sine one, once the
# spacing is below the smallest eigenvalue: a coarser clock cannot tell that one from zero. The
# queries are those of evolutions that err by ε = 10⁻³ together at most; the emulated evolutions are
# exact.

print("qubits  window   angle (rad)  success probability   queries")
rows = []
for qubits in range(3, 11):
    for window in ("uniform", "sine"):
        output = emulate(
            matrix,
            rhs,
            "hhl",
            1e-3,
            clock=Clock(qubits=qubits, window=window),
            mode="eigen",
        )
        off = angle_between(output.direction, exact)
        print(
            f"{qubits:6d}  {window:8s} {off:11.1e} {output.success_probability:20.4f} "
            f"{output.queries:9,}"
        )
        rows.append(
            {"queries": output.queries, "angle": off, "solver": f"HHL, {window}"}
        )

# %%
# Beside QSVT
# -----------
# QSVT applies one polynomial of A in place of a clock. Its error falls exponentially with its
# queries, HHL's as their inverse or, with the sine window, the square of that.

for epsilon in (0.5, 0.2, 0.1, 1e-2, 1e-3, 1e-4):
    output = emulate(matrix, rhs, "qsvt", epsilon, mode="eigen")
    rows.append(
        {
            "queries": output.queries,
            "angle": angle_between(output.direction, exact),
            "solver": "QSVT",
        }
    )
log = alt.Scale(type="log")
alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
    x=alt.X(
        "queries:Q",
        scale=log,
        title="queries to A in one attempt",
        axis=alt.Axis(format="~s"),
    ),
    y=alt.Y(
        "angle:Q",
        scale=log,
        title="angle to the exact step (rad)",
        axis=alt.Axis(format="~g", tickCount=5),
    ),
    color=alt.Color("solver:N", title=None),
).properties(width=360, height=220)

# %%
# A coarse answer is enough to descend
# ------------------------------------
# The direction still descends: a Newton step asks less of a solver than an exact solution.

for qubits in (3, 5, 8):
    output = emulate(
        matrix, rhs, "hhl", 1e-3, clock=Clock(qubits=qubits), mode="eigen"
    )
    descent = float(output.direction @ rhs / (output.direction.norm() * rhs.norm()))
    print(f"{qubits} qubits: cosine with -gradient {descent:.3f}")
