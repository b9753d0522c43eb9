"""
Where would a quantum solver win?
=================================

One recorded step is priced over gate times from far below any machine to far above.

Nothing is trained or solved again. Every number here is modelled, and the machines of the dashed
lines do not exist.
"""

# %%
# One recorded step
# -----------------
# The policy ``paper`` measures the system and asks LU inversion and the quantum solver for a price.
# The classical prices here are nominal ones of a small CPU, so that these pages come out the same
# on every machine; ``qnewton calibrate`` fits your own.

from dataclasses import replace
from itertools import pairwise

import altair as alt
import numpy as np

from qnewton import Classical, QNewton
from qnewton.cost import (
    available_hardware,
    break_even_gate_time,
    load_hardware,
    nominal_calibration,
    paper_quote,
)
from qnewton.scheduler.policy import decide
from qnewton.workloads import load_workload

workload = load_workload("digits", seed=0)
inputs, targets = workload.train_inputs, workload.train_targets
model = workload.build_model(0)
optimizer = QNewton(
    model,
    lr=workload.newton_lr,
    damping=1.0,
    blocks="full",
    policy="paper",
    quantum="attosecond",
    classical=Classical(calibration=nominal_calibration()),
)
optimizer.step(lambda: workload.loss(model(inputs), targets))
block = optimizer.records[0].blocks[0]
facts, decision = block.facts, block.decision
classical = {
    q.solver: q.seconds for q in decision.quotes if q.machine == "classical"
}

print(f"N = {facts.n:,}, d = {facts.spectrum.row_sparsity:,}")
print(f"κ = {facts.spectrum.condition.describe()}, ", end="")
print(f"bounded by {facts.spectrum.bound('determinant').describe()}")
print(f"decision: {decision.reason}")

# %%
# Sweep the gate time
# -------------------
# The paper's price is gate time × expected queries, so it is a straight line through the gate
# times. The decision changes once, at the break-even: price of LU inversion / expected queries.

attosecond = load_hardware("attosecond")


def quote_at(gate_time_s, facts=facts, bound="determinant"):
    """Price the step on a machine with another gate time."""
    gate = replace(attosecond.gate_time_s, value=float(gate_time_s))
    return paper_quote(facts, replace(attosecond, gate_time_s=gate), bound=bound)


gate_times = np.logspace(-27, -3, 49)
choices = [
    decide("paper", (decision.quote("lu_inverse"), quote_at(gate_time))).chosen
    for gate_time in gate_times
]
changes = sum(left != right for left, right in pairwise(choices))
expected = quote_at(1e-18).query_count
break_even = break_even_gate_time(classical["lu_inverse"], expected)
print(f"{changes} change, from {choices[0]} to {choices[-1]}")
print(f"break-even gate time {break_even:.2g} s")

# %%
# Draw it
# -------
# Where the quantum line lies below a horizontal line, the quantum solver has the lower price.
# Points on it are machines; open ones do not exist.

rivals = {"lu_inverse": "LU inversion", "cholesky": "Cholesky", "cg": "CG"}
lines = [
    {"gate time": float(t), "seconds": quote_at(t).seconds, "solver": "quantum"}
    for t in gate_times
]
lines += [
    {"gate time": float(t), "seconds": classical[solver], "solver": label}
    for solver, label in rivals.items()
    for t in gate_times[[0, -1]]
]
log, powers = alt.Scale(type="log"), alt.Axis(format=".0e")
prices = (
    alt.Chart(alt.Data(values=lines))
    .mark_line()
    .encode(
        x=alt.X("gate time:Q", scale=log, axis=powers, title="gate time (s)"),
        y=alt.Y("seconds:Q", scale=log, axis=powers, title="modelled seconds"),
        color=alt.Color("solver:N", title=None),
    )
)
machines = {}
for machine in map(load_hardware, available_hardware()):
    # Machines of one gate time are one point.
    machines.setdefault(machine.gate_time_s.value, []).append(machine)
points = [
    {
        "gate time": gate_time,
        "seconds": quote_at(gate_time).seconds,
        "name": ", ".join(machine.name for machine in alike)
        + " (hypothetical)" * alike[0].hypothetical,
        "exists": not alike[0].hypothetical,
    }
    for gate_time, alike in machines.items()
]
base = alt.Chart(alt.Data(values=points)).encode(x="gate time:Q", y="seconds:Q")
marks = base.mark_point(size=60, filled=True, opacity=1, stroke="black").encode(
    fill=alt.condition("datum.exists", alt.value("black"), alt.value("white"))
)
names = base.mark_text(align="right", dx=-9, dy=-3, fontSize=11).encode(
    text="name:N"
)
(prices + marks + names).properties(width=420, height=300)

# %%
# Which assumption decides
# ------------------------
# The break-even moves by orders of magnitude with two of the price's assumptions: which number
# stands for κ, and which classical solver is the rival. Block-encoding, state preparation,
# read-out and error correction stay free in every row, as in the paper: none of these prices says
# that a machine with that gate time would be faster.

bounds = (replace(facts.spectrum.condition, method="measured"),)
measured = replace(facts, spectrum=replace(facts.spectrum, bounds=bounds))
print("κ priced             against       break-even gate time")
for label, count in (
    ("determinant bound", expected),
    ("trace bound", quote_at(1e-18, bound="trace").query_count),
    ("measured (Lanczos)", quote_at(1e-18, measured, "measured").query_count),
):
    for solver in ("lu_inverse", "cholesky", "cg"):
        gate_time = break_even_gate_time(classical[solver], count)
        print(f"{label:20s} {solver:12s} {gate_time:12.2e} s")
