"""``qnewton price``: what a system of given size, condition and sparsity costs on every solver."""

from dataclasses import dataclass

from rich.table import Table

from qnewton.cli.output import RESULTS, print_json
from qnewton.cost import (
    available_hardware,
    break_even_gate_time,
    cg_quote,
    cholesky_quote,
    latest_calibration,
    load_classical,
    load_hardware,
    lu_inverse_quote,
    lu_quote,
    nominal_calibration,
    paper_quote,
)
from qnewton.records import Calibration, Estimate, Facts, QuantumHardware, Quote, encode


@dataclass(frozen=True, kw_only=True)
class Price:
    """Price one N × N system on every solver and machine. Nothing is solved or measured.

    Classical prices rest on a calibration, quantum ones on the paper's model (gate time ×
    expected queries of Jennings et al. 2023); every quote names its model and assumptions.

    Examples: qnewton price --n 12544 --kappa 1e4 --sparsity 1000;
    qnewton price --n 1482 --kappa 30 --hardware my-machine.toml --calibration paper-h100

    Attributes:
        n: Number of unknowns.
        kappa: Condition number.
        sparsity: Most entries in a row, d; the default is a dense matrix, d = N.
        epsilon: Error tolerance of the quantum solver.
        tolerance: Relative residual of the iterative classical solver.
        hardware: Quantum machine, a profile's name or a TOML file; the default is every profile.
        calibration: Classical machine: local (what qnewton calibrate stored last), nominal, or a
            profile's name or TOML file, such as paper-h100.
        dtype: Precision of the classical solvers, float32 or float64.
        json: Print one JSON object with every quote.
    """

    n: int
    kappa: float
    sparsity: int | None = None
    epsilon: float = 1e-12
    tolerance: float = 1e-6
    hardware: str | None = None
    calibration: str = "local"
    dtype: str = "float32"
    json: bool = False

    def run(self) -> None:
        """Print the quotes, cheapest first, and the break-even gate time."""
        facts, calibration = self._facts(), self._calibration()
        machines = [
            load_hardware(name)
            for name in ([self.hardware] if self.hardware else available_hardware())
        ]
        quotes = [
            lu_inverse_quote(calibration, facts, self.dtype),
            lu_quote(calibration, facts, self.dtype),
            cholesky_quote(calibration, facts, self.dtype),
            cg_quote(calibration, facts, self.dtype, tolerance=self.tolerance),
            *(paper_quote(facts, m, epsilon=self.epsilon, bound="given") for m in machines),
        ]
        quotes.sort(key=lambda q: (q.seconds is None, q.seconds or 0.0, q.hardware))
        break_even = _break_even(quotes)
        if self.json:
            print_json(
                {
                    "facts": encode(facts),
                    "calibration": calibration.name,
                    "quotes": encode(quotes),
                    "break_even_gate_time_s": break_even,
                }
            )
            return
        RESULTS.print(_table(self, quotes, calibration, machines))
        for solver, seconds in break_even.items():
            RESULTS.print(
                f"the quantum solver costs less than {solver} below a gate time of {seconds:.3g} s",
                highlight=False,
            )

    def _facts(self) -> Facts:
        if self.n < 1:
            raise ValueError(f"--n is {self.n}; a system has at least 1 unknown")
        if not 1 <= self.kappa < float("inf"):
            raise ValueError(f"--kappa is {self.kappa}; it must be finite and at least 1")
        sparsity = self.n if self.sparsity is None else self.sparsity
        if not 1 <= sparsity <= self.n:
            raise ValueError(f"--sparsity is {sparsity}; it must lie between 1 and n = {self.n}")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"--dtype is {self.dtype!r}; it must be float32 or float64")
        given = Estimate(
            value=self.kappa, low=self.kappa, high=self.kappa, method="given", products=0
        )
        return Facts(n=self.n, condition=given, bounds=(given,), row_sparsity=sparsity)

    def _calibration(self) -> Calibration:
        if self.calibration == "local":
            return latest_calibration() or nominal_calibration()
        if self.calibration == "nominal":
            return nominal_calibration()
        return load_classical(self.calibration)


def _break_even(quotes: list[Quote]) -> dict[str, float]:
    """Gate time below which the quantum solver is cheaper, against each priced classical one."""
    count = next((q.query_count for q in quotes if q.query_count is not None), None)
    if count is None:
        return {}
    return {
        quote.solver: break_even_gate_time(quote.seconds, count)
        for quote in quotes
        if quote.machine == "classical" and quote.seconds
    }


def _table(
    request: Price, quotes: list[Quote], calibration: Calibration, machines: list[QuantumHardware]
) -> Table:
    titles = {machine.name: machine.title for machine in machines}
    notes = dict.fromkeys(note for quote in quotes for note in quote.assumptions)
    table = Table(
        title=(
            f"Modelled seconds to solve one system: N = {request.n:,}, κ = {request.kappa:g}, "
            f"d = {request.sparsity or request.n:,}, ε = {request.epsilon:g}"
        ),
        caption=(
            f"classical machine: {calibration.machine} ({calibration.source})\nassumptions:\n"
            + "\n".join(f"• {note}" for note in notes)
        ),
        caption_justify="left",
    )
    for heading, side in (
        ("solver", "left"),
        ("machine", "left"),
        ("modelled seconds", "right"),
        ("model", "left"),
    ):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    for quote in quotes:
        name = titles.get(quote.hardware, quote.hardware)
        machine = f"{name} (hypothetical)" if quote.hypothetical and "hypoth" not in name else name
        seconds = "refused" if quote.seconds is None else f"{quote.seconds:.3g}"
        table.add_row(quote.solver, machine, seconds, quote.refused or quote.model)
    return table
