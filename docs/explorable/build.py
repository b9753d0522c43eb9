"""Put the page together: looks and data of the package, texts and scripts of this folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import qnewton
from docs.explorable.prices import CLASSICAL, QUANTUM, Rung, rung, training
from docs.explorable.story import EVOLUTION_ERROR, stories
from docs.explorable.systems import small_systems
from qnewton.cost import DEFAULT_AUDIT, load_hardware
from qnewton.report import style_sheet
from qnewton.report.quantities import number_text, seconds_text
from qnewton.report.template_files import script_data
from qnewton.report.what_if_panel import style as panel_style
from qnewton.report.what_if_system import SIZES, system_prices
from qnewton.report.what_if_system_panel import system_panel, system_script
from qnewton.solvers.quantum import Readout

FOLDER = Path(__file__).parent
PAGE = "explorable.html"
SCRIPTS = (
    "drawing",
    "amplitudes",
    "stepper",
    "overview",
    "damping",
    "hhl",
    "qsvt",
    "readout",
)
LARGE = (12_544, 30.0, 1_946)
"""N, κ and d of the paper's largest layer, in a step after the first ten."""


def write_page(folder: Path, sizes: Sequence[int] = SIZES) -> Path:
    """Compute everything and write ``explorable.html`` into a folder; return its path.

    Args:
        folder: Where it goes.
        sizes: Unknowns that the price panel offers; they include the large system's.

    Cost: some seconds, and a second per size.
    """
    path = folder / PAGE
    path.write_text(page(sizes), encoding="utf-8")
    return path


def page(sizes: Sequence[int] = SIZES) -> str:
    """Return the page."""
    systems = small_systems()
    data = stories(systems)
    first = systems[16]
    small = rung(16, float(first.values[-1] / first.values[0]), 16)
    large = rung(*LARGE)
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = "\n".join(_read(f"scripts/{name}.js") for name in (*SCRIPTS, "start"))
    return environment.get_template("page.html.j2").render(
        style=Markup(style_sheet() + panel_style() + _read("explorable.css")),
        script=Markup(script),
        panel=Markup(system_panel("assumptions", system_prices(sizes))),
        panel_script=Markup(system_script()),
        data=_json(data),
        solves=_json([_solve(small), _solve(large)]),
        icon=_read("../_static/icon.svg"),
        version=qnewton.__version__,
        damping=number_text(first.damping),
        small=small,
        large=large,
        rungs=_rows(small, large),
        price_commands=[_command(large), _command(small)],
        machine=load_hardware(QUANTUM),
        rival_machine=CLASSICAL,
        error=DEFAULT_AUDIT.epsilon,
        evolution_error=number_text(EVOLUTION_ERROR),
        formula_states=Readout(tolerance=DEFAULT_AUDIT.epsilon).shots_for,
        training=training(),
        number=number_text,
        seconds=seconds_text,
        whole=lambda count: f"{count:,.0f}",
    )


def _rows(*rungs: Rung) -> list[tuple[Any, ...]]:
    """Return the lines of the table, each with its words and a text per system."""
    lines = (
        ("Condition number κ", lambda r: number_text(r.kappa)),
        (
            "Calls of the matrix for one state",
            lambda r: f"{r.made.count.expected:,.0f}",
        ),
        ("One state, gates never fail", lambda r: seconds_text(r.bare_s)),
        ("One state, errors corrected", lambda r: seconds_text(r.made.state_s)),
        ("States that reading takes", lambda r: f"{r.made.states:,.0f}"),
        ("The quantum solve", lambda r: seconds_text(r.quantum.seconds)),
        (
            "Its interval",
            lambda r: (
                f"{seconds_text(r.quantum.low)} to {seconds_text(r.quantum.high)}"
            ),
        ),
        ("The classical solve", lambda r: seconds_text(r.rival.seconds)),
    )
    return [(words, *(say(each) for each in rungs)) for words, say in lines]


def _solve(priced: Rung) -> dict[str, Any]:
    """Return what one solve takes on both sides, as the first chart draws it."""
    quantum, rival = priced.quantum, priced.rival
    return {
        "n": priced.n,
        "classical": {
            "seconds": rival.seconds,
            "said": seconds_text(rival.seconds),
        },
        "quantum": {
            "seconds": quantum.seconds,
            "said": seconds_text(quantum.seconds),
            "low": quantum.low,
            "high": quantum.high,
        },
    }


def _json(data: Any) -> Markup:
    """Return data for a script's element, whose text may hold anything but its own end."""
    return Markup(script_data(data))


def _command(priced: Rung) -> str:
    parts = (
        f"--n {priced.n} --kappa {priced.kappa:.6g} --sparsity {priced.sparsity}"
    )
    # The machines of the page alone: its figures are the command's first lines.
    machines = (
        f"--hardware {QUANTUM} --calibration {CLASSICAL} --rivals {CLASSICAL}"
    )
    return f"qnewton price {parts} {machines}"


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
