"""
One Newton step by QSVT
=======================

QSVT solves one real Newton step by a polynomial of the matrix that is close to 1/x.

A quantum linear solver that is built on the quantum singular value transformation (QSVT) applies a
polynomial of the matrix to the right-hand side. Its output can therefore be computed without its
gates: the same polynomial, product by product. :ref:`Another page
<sphx_glr_auto_gallery_quantum_plot_6_qsvt_circuit.py>` builds the circuit.
"""

# %%
# A real system
# -------------
# The output layer of the digits network, 170 unknowns, after five Newton steps: the exact Hessian
# of the loss, damped, and the negative gradient as right-hand side. Float64 keeps rounding out of
# the picture.

import altair as alt
import numpy as np
import torch

from qnewton import QNewton
from qnewton.curvature import systems
from qnewton.solvers.quantum import emulate, inverse_polynomial
from qnewton.survey import condition_number
from qnewton.treatment import damp
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)
model = workload.build_model(0)


def closure():
    return workload.loss(model(workload.train_inputs), workload.train_targets)


optimizer = QNewton(model, lr=workload.newton_lr, damping=1.0)
for _ in range(5):
    optimizer.step(closure)

system = systems(model, closure, blocks="layer")[-1]
hessian, rhs = system.operator.dense().double(), system.rhs.double()
matrix = damp(hessian, 0.1).dense()
exact = torch.linalg.solve(matrix, rhs)
print(f"{system.n} unknowns, κ = {condition_number(matrix, 'exact').value:.1f}")

# %%
# The polynomial
# --------------
# The circuit can only apply a polynomial P bounded by 1 on [-1, 1]; 1/x is not. P follows 1/x on
# 1/κ ≤ x ≤ 1, where the eigenvalues of A/α are promised to lie, and turns back to zero in the gap.

example = inverse_polynomial(kappa=8.0, epsilon=0.05)
points = np.linspace(0.0, 1.0, 400)[1:]
rows = [
    {"x": float(x), "value": float(value), "function": name}
    for name, values in (
        (f"P, degree {example.degree}", example.evaluate(points)),
        ("1/x", 1.0 / points),
    )
    for x, value in zip(points, values, strict=True)
    if value < 12
]
curves = (
    alt.Chart(alt.Data(values=rows))
    .mark_line()
    .encode(
        x=alt.X("x:Q", title="eigenvalue of A/α"),
        y=alt.Y("value:Q", title=None),
        color=alt.Color("function:N", title=None),
    )
)
edge = alt.Chart(alt.Data(values=[{"x": 1 / 8}])).mark_rule(strokeDash=[4, 3])
(curves + edge.encode(x="x:Q")).properties(
    width=320, height=200, title="dashed: 1/κ, the end of the promise"
)

# %%
# Accuracy costs a logarithm
# --------------------------
# Each factor of ten in ε adds about the same number of queries to one attempt. The success
# probability falls slowly, because ``max|P|`` grows with √ln(κ/ε) and P has to be divided by it.
# The error is that of the whole step against an LU solve, and stays below ε.

print("epsilon  degree  success probability  expected queries  relative error")
for epsilon in (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10):
    output = emulate(matrix, rhs, epsilon=epsilon)
    error = float((output.direction - exact).norm() / exact.norm())
    print(
        f"{epsilon:7.0e} {output.degree:7d} {output.success_probability:20.4f} "
        f"{output.expected_queries:17.0f} {error:15.1e}"
    )

# %%
# Conditioning costs a factor
# ---------------------------
# Less damping means a larger κ. The degree grows in proportion to κ, times a logarithm. The
# expected queries grow with the inverse of the success probability too, which depends on the
# right-hand side: it is high when most of it lies along small eigenvalues.

print("damping      κ  degree  success probability  expected  amplified     error")
rows = []
for strength in (10.0, 1.0, 0.1, 0.01, 0.001):
    damped = damp(hessian, strength).dense()
    output = emulate(damped, rhs, epsilon=1e-6)
    truth = torch.linalg.solve(damped, rhs)
    error = float((output.direction - truth).norm() / truth.norm())
    print(
        f"{strength:7g} {output.kappa:6.1f} {output.degree:7d} "
        f"{output.success_probability:20.4f} {output.expected_queries:9.0f} "
        f"{output.amplified_queries:10.0f} {error:9.1e}"
    )
    rows += [
        {"κ": output.kappa, "queries": queries, "kind": kind}
        for kind, queries in (
            ("one attempt", output.queries),
            ("expected, amplified", output.amplified_queries),
            ("expected, repeated", output.expected_queries),
        )
    ]
log = alt.Scale(type="log")
alt.Chart(alt.Data(values=rows)).mark_line(point=True).encode(
    x=alt.X("κ:Q", scale=log, title="condition number κ"),
    y=alt.Y(
        "queries:Q",
        scale=log,
        axis=alt.Axis(format=".0e"),
        title="queries to the block-encoding",
    ),
    color=alt.Color("kind:N", title=None),
).properties(width=320, height=220)

# %%
# A broken promise
# ----------------
# Promise a smaller κ than the matrix has, and the circuit still runs. It is cheaper, and it
# answers another question: eigenvalues below α/κ are no longer inverted. The emulation gives that
# output and says that the promise did not hold; a solver would report the residual.

for kappa in (None, 5.0, 2.0):
    output = emulate(matrix, rhs, epsilon=1e-6, kappa=kappa)
    error = float((output.direction - exact).norm() / exact.norm())
    print(
        f"κ = {output.kappa:4.1f}: degree {output.degree:3d}, "
        f"promise held {output.promise_held!s:5s}, relative error {error:.1e}"
    )
