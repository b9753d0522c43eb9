"""Which constant of a price moves the comparison with the classical solver most."""

from collections.abc import Sequence

from qnewton.cost import Swing
from qnewton.report.panels import chart, rows_of
from qnewton.report.save import Picture
from qnewton.report.style import BLUE, PLOT_WIDTH, VERMILLION, themed
from qnewton.report.vega import alt
from qnewton.report.words import words

_ROW = 26
_WIDEST = 1e6  # a price that is not finite at an end of a constant's range


def draw_tornado(swings: Sequence[Swing]) -> Picture:
    """Draw what each constant does to quantum over classical seconds, the widest swing on top.

    Args:
        swings: From :func:`qnewton.cost.tornado`.
    """
    rows = rows_of(
        ("constant", "end", "low, likely, high", "times", "source"),
        (
            (swing.constant.title, end, swing.constant.range, times, swing.constant.source)
            for swing in swings
            for end, times in (("kindest", swing.kindest), ("harshest", swing.harshest))
        ),
    )
    drawn = [{**row, "drawn": row["times"] or _WIDEST, "one": 1.0} for row in rows]
    scale = alt.Scale(domain=["kindest", "harshest"], range=[VERMILLION, BLUE])
    order = [swing.constant.title for swing in swings]
    title = "quantum / classical seconds (modelled), likely = 1"
    bars = chart(drawn).mark_bar(size=14)
    picture = bars.encode(
        x=alt.X("one:Q", title=title, scale=alt.Scale(type="log")),
        x2="drawn:Q",
        y=alt.Y("constant:N", title=None, sort=order, axis=alt.Axis(labelLimit=400)),
        color=alt.Color("end:N", title="constant at its", scale=scale),
        tooltip=[
            "constant:N",
            "low, likely, high:N",
            "source:N",
            alt.Tooltip("times:Q", format=".3g"),
        ],
    )
    picture = picture.properties(width=PLOT_WIDTH, height=_ROW * len(order))
    return Picture(themed(picture), rows, words("tornado", swings=swings))
