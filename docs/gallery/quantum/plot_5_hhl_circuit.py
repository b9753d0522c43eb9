"""
HHL, gate by gate
=================

The circuit of HHL is built for two Newton systems, and simulated gate by gate.

The paper draws HHL as a circuit (its Fig. 4), and never runs one. Here it is built in Qiskit for
the Newton systems of a real training step, with 4 and with 16 unknowns. Its gates are perfect.
"""

# %%
# Two small systems of a real step
# --------------------------------
# Handwritten threes and eights are to be told apart. A random projection leaves four numbers of
# each picture, so that the network is small: four tanh units and one output, without biases. Its
# output layer has 4 unknowns, its first layer 16. QNewton takes two steps. A hook keeps the systems
# of the second one as they were solved: A is the Hessian plus damping, b the negative gradient.

import math

import altair as alt
import numpy as np
import torch
from torch import nn

from qnewton import QNewton
from qnewton.solvers.quantum import Clock, emulate
from qnewton.solvers.quantum.circuits import solver_circuit, with_boxes
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)
kept = (workload.train_targets == 3) | (workload.train_targets == 8)
torch.manual_seed(23)
inputs = workload.train_inputs[kept] @ torch.randn(64, 4)
inputs = (inputs - inputs.mean(0)) / inputs.std(0)
targets = (workload.train_targets[kept] == 8).float().unsqueeze(1)
model = nn.Sequential(
    nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 1, bias=False)
)
loss = nn.BCEWithLogitsLoss()

systems = {}


def keep(step, system, record, direction):
    systems[system.n] = (system.operator.dense().double(), system.rhs.double())


optimizer = QNewton(model, damping=0.1, blocks="tensor")
optimizer.register_solution_hook(keep)
for _ in range(2):
    before = optimizer.step(lambda: loss(model(inputs), targets)).item()
    after = loss(model(inputs), targets).item()
    print(f"{len(targets)} pictures: loss {before:.3f}, then {after:.3f}")
for n, (matrix, _) in sorted(systems.items()):
    print(
        f"{n:2d} unknowns: condition number {float(torch.linalg.cond(matrix)):.1f}"
    )

# %%
# The circuit
# -----------
# Two qubits hold the 4 amplitudes of the system, and ``U_b`` writes b into them. A clock of four
# qubits controls the evolutions ``exp(iAt)`` to ``exp(8iAt)``; after the inverse Fourier transform
# the clock holds an estimate λ̃ of an eigenvalue of A. The clock then turns a flag: the gate
# ``Ry(2·asin(C/λ))`` turns by the angle 2·arcsin(C/λ̃), so that the flag reads 1 with amplitude
# C/λ̃. This is the division. What follows undoes the clock.

matrix, rhs = systems[4]
clock = Clock(qubits=4)
solver = solver_circuit(matrix, rhs, "hhl", clock=clock)
print(f"{solver.circuit.num_qubits} qubits, {len(solver.circuit.data)} gates")
with_boxes(solver.circuit).draw("mpl", fold=14, style="bw")

# %%
# What it leaves
# --------------
# The attempt succeeds if the flag is measured as 1 and the clock as 0. Then the amplitudes of the
# system are the solution, up to its length. The emulator computes the same state without any gate.


def beside_exact(n, solver):
    matrix, rhs = systems[n]
    exact = torch.linalg.solve(matrix, rhs)
    exact = (exact / exact.norm()).numpy()
    state = solver.image / np.linalg.norm(solver.image)
    return exact, state


def angle(exact, state):
    return math.acos(min(1.0, abs(float(exact @ state))))


exact, state = beside_exact(4, solver)
emulated = emulate(matrix, rhs, "hhl", clock=clock)
print(f"success probability {float(solver.image @ solver.image):.4f}")
print(f"emulated            {emulated.success_probability:.4f}")
difference = np.abs(state - emulated.state.numpy()).max()
print(f"largest difference of an amplitude from the emulator's: {difference:.0e}")
print(f"angle to the exact solution: {angle(exact, state):.3f} rad")
print("exact  ", exact.round(3))
print("circuit", state.round(3))

# %%
# Sixteen unknowns take two qubits more. The bars are the exact solution, the points are the
# amplitudes that the circuit leaves with the same clock.

solver = solver_circuit(*systems[16], "hhl", clock=clock)
exact, state = beside_exact(16, solver)
rows = [
    {"component": j, "exact": float(x), "circuit": float(y)}
    for j, (x, y) in enumerate(zip(exact, state, strict=True))
]
print(f"{solver.circuit.num_qubits} qubits")
print(f"success probability {float(solver.image @ solver.image):.3f}")
print(f"angle to the exact solution: {angle(exact, state):.3f} rad")
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
    title="16 unknowns: exact solution (bars), HHL's amplitudes (points)",
)

# %%
# A larger clock
# --------------
# A clock of m qubits holds 2ᵐ values, and an eigenvalue between two of them is not held exactly.
# Two or three qubits cannot tell the smallest eigenvalues from zero, and the direction is useless.
# From four on, the angle to the exact solution falls by about half per qubit. Single sizes are
# luckier than others, because an eigenvalue may happen to lie close to a value of the clock.

rows = []
print("clock  unknowns  qubits   angle (rad)  success probability")
for m in range(2, 9):
    for n, (matrix, rhs) in sorted(systems.items()):
        solver = solver_circuit(matrix, rhs, "hhl", clock=Clock(qubits=m))
        off = angle(*beside_exact(n, solver))
        success = float(solver.image @ solver.image)
        print(
            f"{m:5d} {n:9d} {solver.circuit.num_qubits:7d} {off:13.4f} {success:20.3f}"
        )
        rows.append(
            {
                "clock": m,
                "angle": off,
                "success": success,
                "system": f"{n} unknowns",
            }
        )


def over_clock(title, y):
    lines = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("clock:O", title="clock (qubits)", axis=alt.Axis(labelAngle=0)),
        y=y,
        color=alt.Color("system:N", legend=None),
    )
    labels = lines.mark_text(align="left", dx=8).encode(text="system:N")
    labels.data = alt.Data(values=rows[-2:])
    return (lines.mark_line(point=True) + labels).properties(
        width=360, height=220, title=title
    )


over_clock(
    "How far HHL's state is from the exact solution",
    alt.Y(
        "angle:Q",
        title="angle (rad)",
        scale=alt.Scale(type="log", domain=[1e-3, 2], nice=False),
        axis=alt.Axis(values=[1e-3, 1e-2, 0.1, 1], format="~g"),
    ),
)

# %%
# What an attempt is worth
# ------------------------
# A small clock succeeds often, with the wrong state. Once the clock resolves the eigenvalues, the
# success probability settles: it depends on how much of b lies along small eigenvalues. An attempt
# that fails is repeated from the beginning.

over_clock(
    "How often an attempt of HHL succeeds",
    alt.Y("success:Q", title="success probability"),
)

# %%
# What the evolutions hide
# ------------------------
# The gates ``exp(iAt)`` were computed from A's eigenvectors. Whoever has them needs no quantum
# computer. A machine has to make the evolutions from calls of ``U_A``, a unitary that has A/α in
# one corner. These calls are the price of HHL. The state changes by no more than the error ε that
# the evolutions are allowed, which is 0.01 here. A smaller ε takes more calls.

print("unknowns  qubits  calls of U_A  angle (rad)")
for n, (matrix, rhs) in sorted(systems.items()):
    solver = solver_circuit(
        matrix, rhs, "hhl", epsilon=1e-2, clock=clock, encoding="dense"
    )
    off = angle(*beside_exact(n, solver))
    print(f"{n:8d} {solver.circuit.num_qubits:7d} {solver.queries:13d} {off:12.4f}")
