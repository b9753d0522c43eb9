"""``qnewton price``: what a system, given by numbers or by its matrix, costs on every solver."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnewton import cost
from qnewton.cli.auditing import AuditOptions
from qnewton.cli.calibrate import SolverOptions
from qnewton.cli.output import RESULTS, print_json, warn
from qnewton.cli.price_tables import Priced
from qnewton.cli.system_options import SystemOptions
from qnewton.cost.quantum_prices import registered_quotes
from qnewton.records import Facts, Quote
from qnewton.training.request import MachineOptions


@dataclass(frozen=True, kw_only=True)
class Price:
    """Price one N × N system on every solver and machine, and say what would flip the choice.

    Classical prices rest on a calibration. The quantum solver is priced twice: as the paper does
    (gate time × expected queries) and audited, with block-encoding, tables, state preparation,
    repetition, error correction and read-out. Everything is modelled. With --matrix the matrix is
    surveyed and solved by the emulated quantum solver; up to 256 rows it is also inverted column
    by column, as the paper's Eq. 1 would; and a hybrid split is priced that solves its few largest
    eigenpairs classically. What measuring κ and d costs a classical machine is said beside.

    Examples: qnewton price --n 12544 --kappa 1e4 --sparsity 1000;
    qnewton price --n 1482 --kappa 30 --hardware my-machine.toml --calibration paper-h100;
    qnewton price --matrix A.npy --pictures maps;
    qnewton price --matrix A.mtx --kappa 1e6

    Attributes:
        pictures: Folder for maps of where the quantum solver would win.
        json: Print one JSON object with every quote.
    """

    system: SystemOptions
    classical: SolverOptions
    quantum: MachineOptions
    price: AuditOptions
    pictures: Path | None = None
    json: bool = False

    def run(self) -> None:
        """Print the quotes, cheapest first, the audited price's terms, and the break-evens."""
        priced = self._priced()
        if self.json:
            print_json(priced.plain())
            return
        for part in priced.shown():
            RESULTS.print(part)

    def _priced(self) -> Priced:
        audit = self.price.over(cost.DEFAULT_AUDIT)
        calibration = self.classical.chosen() or cost.latest_calibration()
        calibration = calibration or cost.nominal_calibration()
        dtype = self.classical.dtype or "float32"
        tolerance = self.classical.tolerance or 1e-6
        epsilon, named = self.quantum.epsilon, self.quantum.hardware
        names = [named] if named else cost.available_hardware()
        machines = [cost.load_hardware(name) for name in names]
        matrix, facts = self.system.surveyed(audit.direction_error)
        emulated = split = None
        if matrix is not None:
            from qnewton.cli.matrix_file import emulate_file, with_emulated

            emulated = emulate_file(matrix, facts, audit.epsilon, self.system.seed)
            facts = with_emulated(facts, emulated)
            _warn_of_unknown(facts)
        condition = facts.spectrum.condition
        given = condition is not None and condition.method == "given"
        bound = "given" if given else "determinant"
        quotes = [
            *cost.classical_quotes(calibration, facts, dtype, tolerance=tolerance),
            *(cost.paper_quote(facts, m, epsilon=epsilon, bound=bound) for m in machines),
        ]
        audited = [cost.audited_quote(calibration, facts, m, audit, dtype) for m in machines]
        best, scenario = cost.cheapest(audited), None
        if best is not None:
            scenario = cost.Scenario(
                facts=facts,
                calibration=calibration,
                hardware=next(m for m in machines if m.name == best.hardware),
                audit=audit,
                dtype=dtype,
                tolerance=tolerance,
            )
            scenario = None if scenario.advantage() is None else scenario
        if matrix is not None and scenario is not None:
            split = _split(scenario, matrix, self.system.seed)
        markets = (cost.Market(calibration, m, epsilon, dtype=dtype, audit=audit) for m in machines)
        others = [quote for market in markets for quote in registered_quotes(facts, market)]
        return Priced(
            facts=facts,
            epsilon=epsilon,
            calibration=calibration,
            dtype=dtype,
            quotes=quotes,
            audited=audited,
            others=others,
            scenario=scenario,
            split=split,
            emulated=emulated,
            pictures=() if scenario is None else tuple(self._draw(scenario)),
        )

    def _draw(self, scenario: cost.Scenario) -> list[Path]:
        if self.pictures is None:
            return []
        from qnewton.report import condition_sparsity_map, gate_time_size_map, save_chart

        maps = {"condition-sparsity": condition_sparsity_map, "gate-time-size": gate_time_size_map}
        drawn = (save_chart(draw(scenario), self.pictures, name) for name, draw in maps.items())
        return [path for paths in drawn for path in paths]


def _split(scenario: cost.Scenario, matrix: Any, seed: int) -> Quote | None:
    """Return the price with the best few of the largest eigenpairs taken out."""
    from qnewton.cli.matrix_file import largest_eigenvalues

    largest, products = largest_eigenvalues(matrix, seed)
    if not largest:
        return None
    system = (scenario.calibration, scenario.facts, scenario.hardware)
    found = (largest, products)
    return cost.deflation_quote(*system, *found, scenario.audit, scenario.dtype)


def _warn_of_unknown(facts: Facts) -> None:
    condition = facts.spectrum.condition
    if condition is not None and condition.value is None:
        spent = f"κ is not known to 1% after {condition.products} products, {condition.describe()}"
        way_out = "give --kappa, or a larger --max-products"
        warn(f"{spent}, so prices that need it are missing: {way_out}")
