"""
Training through circuits
=========================

A small network is trained with steps that come from the gates of a circuit.

A quantum solver's step can come from the emulator, or from the solver's circuit: ``Quantum(...,
execute="circuit")``. Here a network that is small enough for both takes the same steps by both.
Then shots, and the noise of a machine, are let in.
"""

# %%
# The same steps
# --------------
# A 4-4-2 network, block by tensor: Newton's systems have 16, 4, 8 and 2 unknowns, and every one
# is solved by QSVT. The circuit of a system with 16 unknowns has 6 qubits: 4 that hold the step,
# one of the block-encoding, and one of the phases.

import json
from statistics import median

import altair as alt
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.harness.results import FOLDER
from qnewton import QNewton, Quantum
from qnewton.solvers.quantum import Readout

inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)).double()
targets = (inputs[:, 0] * inputs[:, 1] > 0).long()


def trained(execute, readout=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    optimizer = QNewton(
        model,
        damping=0.3,
        blocks="tensor",
        policy="quantum-only",
        quantum=Quantum(
            "attosecond", epsilon=1e-10, readout=readout, execute=execute
        ),
    )
    directions = []
    optimizer.register_solution_hook(
        lambda step, system, record, direction: directions.append(direction.clone())
    )
    losses = [
        float(optimizer.step(lambda: cross_entropy(model(inputs), targets)))
        for _ in range(5)
    ]
    return losses, directions, optimizer.records


losses, emulated, _ = trained("emulator")
losses_by_circuit, by_circuit, records = trained("circuit")

print("block      unknowns  queries  success  difference of the direction")
for block, one, other in zip(records[0].blocks, emulated, by_circuit, strict=False):
    found = block.attempts[0].quantum
    print(
        f"{block.name:10s} {block.n:8d} {found.queries:8d} "
        f"{found.success_probability:8.3f}  {float((one - other).norm() / one.norm()):.1e}"
    )
print("loss by the emulator", " ".join(f"{loss:.6f}" for loss in losses))
print("loss by circuits    ", " ".join(f"{loss:.6f}" for loss in losses_by_circuit))

# %%
# Shots
# -----
# A read-out measures the circuit again and again, and keeps what succeeded. Half of its shots tell
# the magnitudes; the other half interfere the state with them and tell the signs. Shots are drawn
# from the circuits' own outcomes.

read, _, records = trained("circuit", Readout(shots=2_000))
angles = [b.attempts[0].quantum.angle for r in records for b in r.blocks]
print(
    f"2,000 shots: loss {read[-1]:.4f} after 4 steps (exact {losses[-1]:.4f}), "
    f"at most {max(angles):.2f} rad from the exact direction"
)

# %%
# Three digits on five random directions (the workload ``projected-digits``) show how many shots a
# step takes. The next picture is of recorded runs: ``python -m benchmarks circuit_training`` made
# them. The angle falls as one over the root of the shots. The loss hardly tells: with a hundred
# shots for up to fifteen unknowns it ends 0.004 above that of exact steps. What is left without
# shots is the error of the polynomial, 1e-4 at most.

recorded = json.loads(
    (FOLDER / "circuit_training.json").read_text(encoding="utf-8")
)
runs = recorded["facts"]["shots"]
rows = [
    {"shots": name, "step": number // 4, "angle": angle}  # four systems per step
    for name, run in runs.items()
    for number, angle in enumerate(run["angles"])
]
for name, run in runs.items():
    middle, last = median(run["angles"]), run["losses"][-1]
    print(f"{name:>7s} shots: median angle {middle:.1e} rad, loss {last:.4f}")

alt.Chart(alt.Data(values=rows)).mark_line().encode(
    x=alt.X("step:Q"),
    y=alt.Y(
        "max(angle):Q", scale=alt.Scale(type="log"), title="largest angle (rad)"
    ),
    color=alt.Color("shots:N", sort=[*runs]),
).properties(width=420, height=220)

# %%
# Noise
# -----
# ``execute="fake_sherbrooke"`` runs the circuits on the model of an IBM machine of 127 qubits, with
# its noise. Each step takes seconds, so this is recorded, too: a linear classifier of two digits on
# two directions, with 2 unknowns (one score) or 4 (two). A smaller λ makes the system harder: more
# queries, so more gates, each of which may fail. The angles are those of 4,000 shots per step.

print(
    "unknowns   λ  queries  angle: shots  noise  last loss: exact  shots  noise  by LU"
)
rows = []
for case in recorded["facts"]["noise"]:
    exact, shots, noise = (case[name] for name in ("exact", "shots", "noise"))
    print(
        f"{case['unknowns']:8d} {case['damping']:3g} {max(exact['queries']):8d}"
        f"{median(shots['angles']):14.3f} {median(noise['angles']):6.3f}"
        f"{exact['losses'][-1]:18.3f} {shots['losses'][-1]:6.3f}"
        f"{noise['losses'][-1]:7.3f} {len(noise['refused']):6d}"
    )
    rows += [
        {"case": f"{case['unknowns']} unknowns, λ = {case['damping']:g}"}
        | {"run": name, "step": step, "loss": loss}
        for name, run in (
            ("exact", exact),
            ("shots alone", shots),
            ("noise", noise),
        )
        for step, loss in enumerate(run["losses"])
    ]

# %%
# Two unknowns keep their direction at every λ. With four, a query takes four times the gates, and
# the direction is off by most of a right angle, which is 1.57 rad. Where few queries are needed its
# steps still go down; at 31 nothing is left of them. A system that needs more queries than the
# machine is given goes to the next solver, LU, which took one step of the last case.

alt.Chart(alt.Data(values=rows)).mark_line().encode(
    x=alt.X("step:Q", axis=alt.Axis(tickMinStep=1, format="d")),
    y=alt.Y("loss:Q", scale=alt.Scale(zero=False)),
    color=alt.Color("run:N", sort=["exact", "shots alone", "noise"]),
    facet=alt.Facet("case:N", columns=3, title=None),
).properties(width=170, height=130)

# %%
# On the command line the same is ``qnewton train projected-digits --policy quantum-only --execute
# circuit``. Every record of a step says what carried the solver out.
