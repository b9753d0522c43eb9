"""Test accuracy against what a quantum solver's answer cost: shots, or polynomial error."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qnewton.report.panels import chart
from qnewton.report.save import Picture
from qnewton.report.style import BLUE, GRAY, ORANGE, PLOT_WIDTH, VERMILLION, scale_of, themed
from qnewton.report.vega import alt
from qnewton.report.words import words

_COLORS = {"amplitude": BLUE, "hadamard": ORANGE, "swap": VERMILLION}
_TITLES = {"shots": "shots of every read-out", "epsilon": "error ε of the polynomial"}


def accuracy_against(
    swept: str, rows: Sequence[Mapping[str, Any]], workload: str, steps: int
) -> Picture:
    """Draw test accuracy against shots or ε, with the ideal read-out as a line.

    Args:
        swept: ``shots`` or ``epsilon``.
        rows: One mapping per run, with ``swept``, ``readout``, ``shots``, ``epsilon`` and
            ``test_accuracy``.
        workload: What was trained.
        steps: Steps of every run.

    Raises:
        ValueError: If no row was swept over that.
    """
    drawn = [dict(row) for row in rows if row["swept"] == swept]
    if not drawn:
        raise ValueError(f"no run was swept over {swept}; there is nothing to draw")
    methods = [name for name in _COLORS if any(row["readout"] == name for row in drawn)]
    ideal = [dict(row) for row in rows if row["swept"] == "ideal"]
    y = alt.Y(
        "test_accuracy:Q",
        title="test accuracy",
        axis=alt.Axis(format="%"),
        scale=alt.Scale(domain=[0, 1]),
    )
    line = (
        chart(drawn)
        .mark_line(point=True)
        .encode(
            x=alt.X(
                f"{swept}:Q",
                title=_TITLES[swept],
                scale=alt.Scale(type="log"),
                axis=alt.Axis(format=".0e", values=_decades([row[swept] for row in drawn])),
            ),
            y=y,
            color=alt.Color(
                "readout:N",
                title="read-out",
                scale=scale_of(methods, [_COLORS[name] for name in methods])
                if swept == "shots"
                else alt.Scale(range=[BLUE]),
            ),
        )
        .properties(width=PLOT_WIDTH, height=200)
    )
    rule = chart(ideal).mark_rule(strokeDash=[4, 3], color=GRAY).encode(y="test_accuracy:Q")
    return Picture(
        chart=themed((line + rule).properties(title="dashed: the ideal read-out")),
        rows=drawn + ideal,
        caption=words("readout", workload=workload, steps=steps, shots=swept == "shots"),
    )


def _decades(values: Sequence[float]) -> list[float]:
    """Return the powers of ten that hold the values between them."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [float(f"1e{k}") for k in range(low, high + 1)]
