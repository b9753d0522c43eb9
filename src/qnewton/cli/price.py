"""``qnewton price``: what a system, given by numbers or by its matrix, costs on every solver."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from qnewton import cost
from qnewton.cli.auditing import AuditOptions
from qnewton.cli.calibrate import SolverOptions
from qnewton.cli.checks import check_place
from qnewton.cli.output import RESULTS, Verbose, print_json, require, warn
from qnewton.cli.priced import Priced
from qnewton.cli.progress import Progress
from qnewton.cli.system_options import SystemOptions
from qnewton.cost.parts import singular_to_rounding
from qnewton.cost.quantum_prices import registered_quotes
from qnewton.records import Facts, Quote
from qnewton.runs import write_text
from qnewton.training.request import MachineOptions


@dataclass(frozen=True, kw_only=True)
class Price:
    """Price one N × N system on every solver and machine: who wins, and what would change that.

    The first lines are the verdict; the table below has every price, each with the numbers of what
    it assumes. Everything is modelled. The quantum solver is priced twice: as the paper does (gate
    time × expected queries) and audited, with block-encoding, tables, state preparation,
    repetition, error correction and read-out, by the cheapest algorithm, block-encoding and split
    of the error. Classical rivals solve the same system in the form in which it is held: on this
    machine's calibration, or the one that is asked for, and on the stored --rivals. With --matrix
    the matrix is measured and solved by the emulated quantum solver, and a hybrid split is priced
    that solves its few largest eigenpairs classically.

    Examples: qnewton price --n 12544 --kappa 1e4 --sparsity 1000;
    qnewton price --n 12544 --kappa 1e4 --sparsity 1000 --verbose;
    qnewton price --n 1482 --kappa 30 --hardware my-machine.toml --calibration paper-h100;
    qnewton price --matrix A.npy --pictures maps;
    qnewton price --matrix A.mtx --kappa 1e6 --csv terms.csv

    Attributes:
        rivals: Stored classical machines that are priced beside the calibration.
        verbose: Show the price term by term, what would change the choice, and which constants
            matter.
        pictures: Folder for maps of where the quantum solver would win, and for a picture of the
            constants that matter.
        csv: File for the terms of the cheapest audited price: gates, cycles and seconds.
        json: Print one JSON object with every figure.
    """

    usual: ClassVar[tuple[str, ...]] = (
        "n",
        "kappa",
        "sparsity",
        "matrix",
        "hardware",
        "calibration",
        "verbose",
        "json",
    )

    system: SystemOptions
    classical: SolverOptions
    quantum: MachineOptions
    price: AuditOptions
    rivals: tuple[str, ...] = ("h100", "h100-cluster")
    verbose: Verbose = False
    pictures: Path | None = None
    csv: Path | None = None
    json: bool = False

    def __post_init__(self) -> None:
        check_place("--csv", self.csv)
        check_place("--pictures", self.pictures)

    def run(self) -> None:
        """Print the verdict, the prices, and where asked everything behind them."""
        # Without a matrix there is nothing to measure, and a price takes milliseconds.
        quiet = self.json or self.system.matrix is None
        with Progress("reading and measuring the matrix", quiet=quiet) as progress:
            priced = self._priced(progress.start)
        if self.json:
            print_json(priced.plain())
            return
        from qnewton.cli.price_text import shown

        RESULTS.print(shown(priced, verbose=self.verbose))

    def _priced(self, say: Callable[[str], None]) -> Priced:
        if self.pictures is not None:
            from qnewton.report.vega import check_installed

            check_installed()
        audit = self.price.over(cost.DEFAULT_AUDIT)
        calibration = self.classical.named()
        dtype, tolerance = self.classical.precision, self.classical.residual
        others = [name for name in self.rivals if name != calibration.name]
        computers = [calibration, *(cost.load_classical(name) for name in others)]
        named = self.quantum.hardware
        names = [named] if named else cost.available_hardware()
        machines = [cost.load_hardware(name) for name in names]
        matrix, facts = self.system.surveyed(audit.epsilon)
        emulated = split = None
        if matrix is not None:
            from qnewton.cli.matrix_file import emulate_file, with_emulated

            say("emulating the quantum solver")
            emulated = emulate_file(matrix, facts, audit.epsilon, self.system.seed)
            facts = with_emulated(facts, emulated)
            _warn_of_unknown(facts)
        say("pricing")
        rivals = [
            q
            for c in computers
            for q in cost.classical_quotes(c, facts, dtype, tolerance=tolerance)
        ]
        rival = cost.cheapest_whole(rivals)
        # The machine of the best rival also does the quantum solver's classical parts.
        beside = next((c for c in computers if rival and c.name == rival.hardware), calibration)
        scenarios = [
            cost.Scenario(
                facts=facts,
                calibration=beside,
                hardware=machine,
                audit=audit,
                dtype=dtype,
                tolerance=tolerance,
                rivals=tuple(c for c in computers if c is not beside),
            )
            for machine in machines
        ]
        audited = [cost.audited(scenario) for scenario in scenarios]
        best, scenario = cost.cheapest(found.quote for found in audited), None
        if best is not None and rival is not None:
            scenario = next(s for s in scenarios if s.hardware.name == best.hardware)
            if matrix is not None:
                say("finding the largest eigenpairs")
                split = _split(scenario, matrix, self.system.seed)
        condition, epsilon = facts.spectrum.condition, self.quantum.epsilon
        given = condition is not None and condition.method == "given"
        bound = "given" if given else "determinant"
        markets = (cost.Market(calibration, m, epsilon, dtype=dtype, audit=audit) for m in machines)
        priced = Priced(
            facts=facts,
            calibration=calibration,
            dtype=dtype,
            rivals=rivals,
            paper=[cost.paper_quote(facts, m, epsilon=epsilon, bound=bound) for m in machines],
            audited=audited,
            others=[quote for market in markets for quote in registered_quotes(facts, market)],
            scenario=scenario,
            split=split,
            emulated=emulated,
            written=(),
        )
        return replace(priced, written=self._written(priced))

    def _written(self, priced: Priced) -> tuple[Path, ...]:
        """Write what was asked for, and return the files."""
        found, scenario = priced.quantum, priced.scenario
        written: list[Path] = []
        if self.csv is not None:
            require(found is not None, "--csv has no audited price to write; see the refusals")
            assert found is not None
            assert found.breakdown is not None
            write_text(self.csv, found.breakdown.as_csv())
            written.append(self.csv)
        if self.pictures is not None and scenario is not None:
            from qnewton.report import draw_price_map, draw_tornado, save_chart

            for x, y in (("sparsity", "kappa"), ("n", "machine-time")):
                ends = (cost.AXES[name].shown(scenario) for name in (x, y))
                found_map = cost.price_map(scenario, *ends, points=24)
                written += save_chart(draw_price_map(found_map), self.pictures, f"{x}-{y}")
            written += save_chart(draw_tornado(priced.swings), self.pictures, "constants")
        return tuple(written)


def _split(scenario: cost.Scenario, matrix: Any, seed: int) -> Quote | None:
    """Return the price with the best few of the largest eigenpairs taken out."""
    from qnewton.cli.matrix_file import largest_eigenvalues

    largest, products = largest_eigenvalues(matrix, seed)
    return cost.deflation_quote(scenario, largest, products) if largest else None


def _warn_of_unknown(facts: Facts) -> None:
    condition = facts.spectrum.condition
    if condition is None or condition.value is not None:
        return
    if singular_to_rounding(facts):
        missing = "prices that need κ are missing, and a factorisation may give no solution"
        warn(f"A is singular to rounding, κ is {condition.describe()}: {missing}")
    else:
        spent = f"κ is not known to 1% after {condition.products} products, {condition.describe()}"
        way_out = "give --kappa, or a larger --max-products"
        warn(f"{spent}, so prices that need it are missing: {way_out}")
