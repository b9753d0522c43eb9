"""
What shots and today's noise leave
==================================

The circuits are read from shots, and run on a model of a machine of today with its noise.

The pages before have perfect gates, and look at amplitudes, which cannot be seen. A machine gives
outcomes of measurements, and its gates err.
"""

# %%
# Only outcomes are seen
# ----------------------
# A shot measures all qubits. Where it succeeds, it shows component j with probability x_j². The
# square has no sign: half of the shots run a second circuit that interferes the state with the
# magnitudes read before. These shots are drawn from perfect gates. Their error falls with the
# square root of their number, until only that of the circuit itself is left.

import json

import altair as alt
import numpy as np

from benchmarks.circuit_noise import CHOICES
from benchmarks.circuit_systems import newton_systems
from benchmarks.harness.results import FOLDER
from qnewton.solvers.quantum.circuits import sampled

system = newton_systems()[4]
exact = system.exact.numpy()


def cosine(vector):
    return float(exact @ vector / np.linalg.norm(vector))


attempts = {c.title: c.attempt(system) for c in CHOICES[4] if c.read}
print(f"{'circuit':24s}    shots  successes  cosine with the exact step")
for title, attempt in attempts.items():
    for shots in (200, 2_000, 20_000, 200_000):
        read = sampled(attempt, shots, seed=0)
        print(
            f"{title:24s} {shots:8,d} {read.successes:10,d} {cosine(read.vector):8.4f}"
        )

# %%
# The machine, and the record
# ---------------------------
# FakeSherbrooke is a model of ibm_sherbrooke, a machine of 127 qubits, with the errors that its
# owner measured. Each circuit was transpiled to its gates and simulated with their errors. A qubit
# that waits loses nothing in this model, which is kinder than a machine. The simulation takes
# minutes, and this page draws its record, which ``python -m benchmarks circuit_noise`` makes.

facts = json.loads((FOLDER / "circuit_noise.json").read_text(encoding="utf-8"))[
    "facts"
]
print(
    f"{facts['device']}: half of its two-qubit gates err more often than in",
    end=" ",
)
print(f"{facts['two_qubit_error']:.2%} of their uses")

# %%
# What the noise leaves
# ---------------------
# Fidelity is the overlap ⟨x\|ρ\|x⟩ of the state on success with the exact step: 1 is the step
# itself. Two numbers cost nothing, and a circuit has to beat them. A blind guess of one of N basis
# states has 1/N. The negative gradient, without any solve, has what stands in the first line.
#
# The circuits are kept short. HHL's evolutions are compiled from A's eigenvectors, not called.
# QSVT of degree 3 was promised a condition number of 2, half of the true one; that it is accurate
# all the same is luck, and was found in hindsight.

rows = []
print(
    "N   circuit                  two-qubit gates  perfect   noisy  success (noisy)"
)
for n in (4, 16):
    found = facts[str(n)]
    print(f"{n:<3d} {'negative gradient':41s} {found['gradient_fidelity']:8.3f}")
    print(f"{n:<3d} {'blind guess':41s} {1 / n:8.3f}")
    for circuit in found["circuits"]:
        today = circuit["noisy"]["1"]
        print(
            f"{n:<3d} {circuit['title']:24s} {circuit['two_qubit_gates']:16,d} "
            f"{circuit['perfect']['fidelity']:8.3f} {today['fidelity']:7.3f} "
            f"{today['success_probability']:9.3f}"
        )
        rows += [
            {
                "gates": circuit["two_qubit_gates"],
                "fidelity": fidelity,
                "kind": kind,
                "n": n,
            }
            for kind, fidelity in (
                ("perfect gates", circuit["perfect"]["fidelity"]),
                ("FakeSherbrooke", today["fidelity"]),
            )
        ]

# %%
# Each circuit is a pair of points. With perfect gates nearly all of them are good. With those
# of the model the shortest is the best, and none reaches what the negative gradient has for
# nothing. At 16 unknowns they leave a blind guess, a fidelity of 0.06: nothing of the solution.


FIDELITY = alt.Scale(domain=[0, 1.02], nice=False)


def free_of_charge(n):
    levels = [
        {
            "fidelity": facts[str(n)]["gradient_fidelity"],
            "text": "negative gradient",
        },
        {"fidelity": 1 / n, "text": "blind guess"},
    ]
    base = alt.Chart(alt.Data(values=levels)).encode(y="fidelity:Q")
    names = base.mark_text(align="right", dy=9).encode(
        x=alt.value(236), text="text:N"
    )
    return base.mark_rule(strokeDash=[4, 3]) + names


def panel(n):
    mine = alt.Chart(alt.Data(values=[row for row in rows if row["n"] == n]))
    points = mine.mark_point(filled=True, size=70, opacity=0.9).encode(
        x=alt.X(
            "gates:Q",
            title="two-qubit gates",
            scale=alt.Scale(type="log", nice=False, padding=12),
            axis=alt.Axis(
                values=[50, 100, 200, 400, 2000, 4000, 8000], format="~s"
            ),
        ),
        y=alt.Y("fidelity:Q", title="fidelity with the exact step", scale=FIDELITY),
        color=alt.Color("kind:N", legend=None),
        shape=alt.Shape("kind:N", legend=None),
    )
    shortest = min(row["gates"] for row in rows if row["n"] == n)
    for kind, shift in (
        ("perfect gates", 14),
        ("FakeSherbrooke", {4: 14, 16: -12}[n]),
    ):
        first = [r for r in rows if (r["gates"], r["kind"]) == (shortest, kind)]
        label = alt.Chart(alt.Data(values=first)).encode(text="kind:N")
        points += label.mark_text(align="left", dx=-4, dy=shift).encode(
            x="gates:Q", y="fidelity:Q", color="kind:N"
        )
    return (points + free_of_charge(n)).properties(
        width=240, height=240, title=f"{n} unknowns"
    )


alt.hconcat(panel(4), panel(16)).properties(
    title="Perfect gates, and those of FakeSherbrooke"
)

# %%
# What is read from it
# --------------------
# The two best circuits of 4 unknowns were read on the model, errors of its read-out included, five
# times each. Noise adds to all components alike, which hides the small ones. The circuit that
# tells the signs controls every gate of the solver and is several times as long, so that signs
# become a matter of chance: one that is wrong spoils the step. QSVT's readings lie on both sides of
# the negative gradient, HHL's all below it.

rows = []
for title, attempt in attempts.items():
    [found] = [c for c in facts["4"]["circuits"] if c["title"] == title]
    print(
        f"{title}: {found['two_qubit_gates']} two-qubit gates, "
        f"{found['two_qubit_gates_for_signs']:,} for the signs"
    )
    readings = {
        "perfect gates": [
            cosine(sampled(attempt, facts["shots"], seed=k).vector)
            for k in range(len(found["read"]))
        ],
        "FakeSherbrooke": [each["cosine"] for each in found["read"]],
    }
    for kind, cosines in readings.items():
        print(f"{title:22s} {kind:14s}", " ".join(f"{c:6.3f}" for c in cosines))
        rows += [
            {"reading": f"{title}, {kind}", "kind": kind, "cosine": c}
            for c in cosines
        ]
gradient = cosine(system.rhs.numpy())
print(f"{'negative gradient':37s} {gradient:6.3f}")

points = (
    alt.Chart(alt.Data(values=rows))
    .mark_point(filled=True, size=70, opacity=0.7)
    .encode(
        x=alt.X(
            "cosine:Q",
            title="cosine with the exact step",
            scale=alt.Scale(domain=[-0.5, 1.05], nice=False),
            axis=alt.Axis(values=[-0.5, 0, 0.5, 1]),
        ),
        y=alt.Y("reading:N", title=None, axis=alt.Axis(labelLimit=300)),
        color=alt.Color("kind:N", legend=None),
        shape=alt.Shape("kind:N", legend=None),
    )
)
base = alt.Chart(
    alt.Data(values=[{"cosine": gradient, "text": "negative gradient"}])
)
rule = base.mark_rule(strokeDash=[4, 3]).encode(x="cosine:Q")
name = base.mark_text(align="right", dx=-6).encode(
    x="cosine:Q", y=alt.value(33), text="text:N"
)
(points + rule + name).properties(
    width=360,
    height=130,
    title=f"Five readings of {facts['shots']:,} shots each, 4 unknowns",
)

# %%
# How much better would a machine have to be?
# -------------------------------------------
# These machines are hypothetical: the same gates and couplings, with errors that are 10, 100 and
# 1,000 times smaller, and qubits that live as much longer. For these two circuits of 4 unknowns, a
# factor of ten is enough to beat the negative gradient in fidelity. For 16 unknowns it takes a
# hundred for HHL and more for QSVT, whose circuit is longer. Every gate is compiled from all
# entries of the matrix here; thousands of unknowns would need a memory that a machine can query.

# Two circuits of each size, and the factor at which the chart names them.
SHOWN = {
    4: (("QSVT, degree 3", "HHL, clock of 4 qubits"), 10),
    16: (("HHL, clock of 4 qubits", "QSVT, degree 15"), 100),
}
ABOVE = {
    4: {"align": "center", "dy": -12},
    16: {"align": "right", "dx": -8, "dy": -6},
}
BELOW = {"align": "left", "dx": 8, "dy": 12}


def better(n):
    chart = free_of_charge(n)
    titles, named_at = SHOWN[n]
    for title, place in zip(titles, (ABOVE[n], BELOW), strict=True):
        [found] = [c for c in facts[str(n)]["circuits"] if c["title"] == title]
        values = [
            {"factor": int(factor), "fidelity": left["fidelity"], "circuit": title}
            for factor, left in found["noisy"].items()
        ]
        print(
            f"{n:2d} unknowns, {title:22s} errors",
            "  ".join(f"1/{v['factor']}: {v['fidelity']:.3f}" for v in values),
        )
        line = alt.Chart(alt.Data(values=values)).encode(
            x=alt.X(
                "factor:Q",
                title="errors smaller by (1: FakeSherbrooke)",
                scale=alt.Scale(type="log", padding=12, nice=False),
                axis=alt.Axis(values=[1, 10, 100, 1000], format="~s"),
            ),
            y=alt.Y(
                "fidelity:Q", title="fidelity with the exact step", scale=FIDELITY
            ),
            color=alt.Color("circuit:N", legend=None),
        )
        name = line.mark_text(**place).encode(text="circuit:N")
        chart += line.mark_line(point=True)
        chart += name.transform_filter(alt.datum.factor == named_at)
    return chart.properties(width=240, height=240, title=f"{n} unknowns")


alt.hconcat(better(4), better(16)).properties(
    title="Fidelity on hypothetical machines with smaller errors"
)
