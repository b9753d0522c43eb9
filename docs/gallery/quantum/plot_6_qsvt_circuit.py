"""
QSVT, gate by gate
==================

The circuit of QSVT is built for the same two systems, and simulated gate by gate.

QSVT has no clock. It calls the matrix again and again, with one rotation between two calls, and the
angles of the rotations make a polynomial of the matrix. The systems are those of the page before,
and the gates are perfect.
"""

# %%
# The same two systems
# --------------------
# 4 and 16 unknowns: the layers of a network of four tanh units that tells threes from eights, in
# its second Newton step.

import math

import altair as alt
import numpy as np

from benchmarks.circuit_systems import newton_systems
from qnewton.queries.polynomials import inverse_polynomial
from qnewton.solvers.quantum import emulate
from qnewton.solvers.quantum.circuits import (
    ENCODERS,
    inverse_phases,
    solver_circuit,
    with_boxes,
)

systems = dict(sorted(newton_systems().items()))
for n, system in systems.items():
    print(f"{n:2d} unknowns: condition number {system.kappa:.1f}")

# %%
# The circuit
# -----------
# A quantum gate is unitary, and A is not. ``U_A`` is a unitary that has A/α as its upper left
# block: A/α acts where the ancilla begins and ends in 0. Nine calls, and ten angles around them,
# apply a polynomial P of degree 9. P(x) is close to 1/x, up to a factor, on the eigenvalues of A/α.
# The branch qubit takes the real part of what the angles make.

system = systems[4]
solver = solver_circuit(system.matrix, system.rhs, epsilon=0.5)
print(
    f"{solver.circuit.num_qubits} qubits, {solver.queries} calls of U_A, "
    f"{solver.state_preparations} of U_b"
)
with_boxes(solver.circuit).draw("mpl", fold=24, style="bw")

# %%
# The angles
# ----------
# The angles are found classically, from the polynomial alone: they know the condition number and
# the accuracy, and nothing else of the matrix. All but the first and the last differ little from a
# right angle, and they are the same from both ends.

polynomial = inverse_polynomial(kappa=system.kappa, epsilon=1e-3)
angles = inverse_phases(polynomial).angles
rows = [
    {"call": k, "angle": float(angle) + math.pi / 2}
    for k, angle in enumerate(angles[1:-1], start=1)
]
alt.Chart(alt.Data(values=rows)).mark_bar().encode(
    x=alt.X(
        "call:O",
        title="after call",
        axis=alt.Axis(labelAngle=0, values=list(range(4, 33, 4))),
    ),
    y=alt.Y("angle:Q", title="angle beyond -π/2 (rad)"),
).properties(
    width=440,
    height=160,
    title=f"Angles of the polynomial of degree {polynomial.degree}",
)

# %%
# What it leaves
# --------------
# The attempt succeeds if ancilla and branch are measured as 0. The amplitudes of the system are
# then the solution, up to its length. The emulator computes the same state without any gate.


def unit(vector):
    return vector / np.linalg.norm(vector)


def angle(system, solver):
    cosine = abs(float(system.exact.numpy() @ unit(solver.image)))
    return math.acos(min(1.0, cosine))


emulated = emulate(system.matrix, system.rhs, epsilon=0.5)
state = unit(solver.image)
difference = np.abs(state - emulated.state.numpy()).max()
print(f"success probability {float(solver.image @ solver.image):.4f}")
print(f"emulated            {emulated.success_probability:.4f}")
print(f"largest difference of an amplitude from the emulator's: {difference:.0e}")
print(f"angle to the exact solution: {angle(system, solver):.3f} rad")
print("exact  ", system.exact.numpy().round(3))
print("circuit", state.round(3))

# %%
# For 16 unknowns, 15 calls are enough to make bars and points agree.

system = systems[16]
solver = solver_circuit(system.matrix, system.rhs, epsilon=0.1)
pairs = zip(system.exact.tolist(), unit(solver.image).tolist(), strict=True)
rows = [
    {"component": j, "exact": x, "circuit": y} for j, (x, y) in enumerate(pairs)
]
print(f"{solver.circuit.num_qubits} qubits, {solver.queries} calls of U_A")
print(f"success probability {float(solver.image @ solver.image):.3f}")
print(f"angle to the exact solution: {angle(system, solver):.3f} rad")
base = alt.Chart(alt.Data(values=rows)).encode(
    x=alt.X("component:O", title="component", axis=alt.Axis(labelAngle=0))
)
bars = base.mark_bar(opacity=0.45).encode(
    y=alt.Y("exact:Q", title="amplitude (unit length)")
)
points = base.mark_point(filled=True, size=60, color="black", opacity=1).encode(
    y="circuit:Q"
)
(bars + points).properties(
    width=420,
    height=220,
    title="16 unknowns: exact solution (bars), QSVT's amplitudes (points)",
)

# %%
# A higher degree
# ---------------
# Two more calls lower the largest error of the polynomial between 1/κ and 1 by the same factor
# each time. The angle depends on its error at a few eigenvalues, so that the line is straight, on
# a logarithmic axis, only over many calls. HHL has to double the length of its evolutions to halve
# its error.

rows = []
print("unknowns  degree   angle (rad)  success probability")
for n, system in systems.items():
    for epsilon in (0.9, 0.3, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6):
        solver = solver_circuit(system.matrix, system.rhs, epsilon=epsilon)
        off, success = angle(system, solver), float(solver.image @ solver.image)
        print(f"{n:8d} {solver.queries:7d} {off:13.1e} {success:20.3f}")
        rows.append(
            {
                "degree": solver.queries,
                "angle": off,
                "success": success,
                "system": f"{n} unknowns",
            }
        )


def over_degree(title, y):
    lines = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("degree:Q", title="degree (calls of U_A)"),
        y=y,
        color=alt.Color("system:N", legend=None),
    )
    chart = lines.mark_line(point=True)
    for end, shift in ((rows[len(rows) // 2 - 1], -6), (rows[-1], 6)):
        label = lines.mark_text(align="left", dx=8, dy=shift).encode(
            text="system:N"
        )
        label.data = alt.Data(values=[end])
        chart += label
    return chart.properties(width=360, height=220, title=title)


over_degree(
    "How far QSVT's state is from the exact solution",
    alt.Y(
        "angle:Q",
        title="angle (rad)",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(values=[1e-6, 1e-4, 1e-2, 1], format=".0e"),
    ),
)

# %%
# What an attempt is worth
# ------------------------
# A circuit can only apply a polynomial that is at most 1, so P is divided by its maximum. A more
# accurate P rises higher, between zero and the smallest eigenvalue, where no eigenvalue lies.
# Accuracy therefore makes success a little rarer.

over_degree(
    "How often an attempt of QSVT succeeds",
    alt.Y("success:Q", title="success probability"),
)

# %%
# Three ways to encode the matrix
# -------------------------------
# The dense dilation has the smallest α there is, the norm of A, but its gate has to be compiled
# from all entries. Sparse access reads the entries one by one from a memory. The low-rank encoding
# loads the vectors of a sum of squares, and A's smallest eigenvalue besides. These two have a
# larger α, which means more calls for the same accuracy.

system = systems[4]
print("encoding  qubits      α  calls  success probability")
for encoding in ENCODERS:
    solver = solver_circuit(
        system.matrix, system.rhs, epsilon=0.1, encoding=encoding
    )
    alpha = ENCODERS[encoding]().alpha(system.matrix.numpy())
    alpha = float(np.linalg.norm(system.matrix, 2)) if alpha is None else alpha
    print(
        f"{encoding:9s} {solver.circuit.num_qubits:5d} {alpha:7.3f} {solver.queries:6d} "
        f"{float(solver.image @ solver.image):20.3f}"
    )
