"""``qnewton price``: what a system, given by numbers or by its matrix, costs on every solver."""

from dataclasses import dataclass, replace
from pathlib import Path

from qnewton.cli.auditing import AuditOptions
from qnewton.cli.output import RESULTS, print_json, warn
from qnewton.cli.price_tables import (
    deflation_line,
    flip_lines,
    quote_table,
    term_table,
    verdict_line,
)
from qnewton.cost import (
    Flip,
    Scenario,
    audited_quote,
    available_hardware,
    break_even,
    break_even_gate_time,
    classical_quotes,
    deflation_quote,
    kappa_facts,
    lanczos_products,
    latest_calibration,
    load_classical,
    load_hardware,
    nominal_calibration,
    paper_quote,
    survey_seconds,
)
from qnewton.records import Calibration, Facts, QuantumHardware, Quote, encode

# Ways to κ that no classical machine is charged for: the most that products may cost is said then.
_NOT_BY_PRODUCTS = ("given", "exact")


@dataclass(frozen=True, kw_only=True)
class Price(AuditOptions):
    """Price one N × N system on every solver and machine, and say what would flip the choice.

    Classical prices rest on a calibration. The quantum solver is priced twice: as the paper does
    (gate time × expected queries) and audited, with block-encoding, tables, state preparation,
    repetition, error correction and read-out. Everything is modelled; with --matrix the matrix
    is surveyed and solved by the emulated quantum solver, up to 256 rows also inverted column by
    column, as the paper's Eq. 1 would, and a hybrid split is priced that solves its few largest
    eigenpairs classically. What measuring κ and d costs a classical machine is said beside.

    Examples: qnewton price --n 12544 --kappa 1e4 --sparsity 1000;
    qnewton price --n 1482 --kappa 30 --hardware my-machine.toml --calibration paper-h100;
    qnewton price --matrix A.npy --pictures maps;
    qnewton price --matrix A.mtx --kappa 1e6

    Attributes:
        n: Number of unknowns.
        kappa: Condition number; with --matrix it is taken as given and not measured.
        sparsity: Most entries in a row, d; the default is a dense matrix, d = N. Fewer are priced
            for every solver alike: classical ones then multiply by N·d entries, too.
        indefinite: A has eigenvalues of both signs, so that Cholesky and CG are no rivals.
        matrix: A symmetric matrix in a .npy or .mtx file, in place of n, kappa and sparsity.
        max_products: With --matrix: most products that measuring the condition number may take; the
            default is what 1% takes.
        epsilon: Error tolerance of the quantum solver in the paper's price.
        tolerance: Relative residual of the iterative classical solvers.
        hardware: Quantum machine, a profile's name or a TOML file; the default is every profile.
        calibration: Classical machine: local (what qnewton calibrate stored last), nominal, or a
            profile's name or TOML file, such as paper-h100.
        dtype: Precision of the classical solvers, float32 or float64.
        pictures: Folder for maps of where the quantum solver would win.
        seed: Draws the survey's start and the right-hand side of the emulation.
        json: Print one JSON object with every quote.
    """

    n: int | None = None
    kappa: float | None = None
    sparsity: int | None = None
    indefinite: bool = False
    matrix: Path | None = None
    max_products: int | None = None
    epsilon: float = 1e-12
    tolerance: float = 1e-6
    hardware: str | None = None
    calibration: str = "local"
    dtype: str = "float32"
    pictures: Path | None = None
    seed: int = 0
    json: bool = False

    def run(self) -> None:
        """Print the quotes, cheapest first, the audited price's terms, and the break-evens."""
        audit = self.audit()
        calibration = chosen_calibration(self.calibration)
        machines = [
            load_hardware(name)
            for name in ([self.hardware] if self.hardware else available_hardware())
        ]
        matrix, facts = self._system()
        emulated = split = None
        if matrix is not None:
            from qnewton.cli.matrix_file import emulate_file, with_emulated

            emulated = emulate_file(matrix, facts, self.state_error, self.seed)
            facts = with_emulated(facts, emulated)
            _warn_of_unknown(facts)
        condition = facts.spectrum.condition
        given = condition is not None and condition.method == "given"
        bound = "given" if given else "determinant"
        quotes = [
            *classical_quotes(calibration, facts, self.dtype, tolerance=self.tolerance),
            *(paper_quote(facts, m, epsilon=self.epsilon, bound=bound) for m in machines),
        ]
        audited = [audited_quote(calibration, facts, m, audit, self.dtype) for m in machines]
        gate_times = _break_even_gate_times(quotes)
        columns = _through_columns(quotes, facts.n)
        scenario = self._scenario(facts, calibration, machines, audited)
        flips = [] if scenario is None else list(break_even(scenario))
        survey_s = _survey_seconds(facts, calibration, self.dtype)
        if matrix is not None and scenario is not None:
            split = self._split(scenario, matrix)
        drawn = [] if scenario is None else self._draw(scenario)
        if self.json:
            print_json(
                {
                    "facts": encode(facts),
                    "calibration": calibration.name,
                    "quotes": encode(_ordered(quotes)),
                    "audited": encode(_ordered(audited)),
                    "survey_s": survey_s,
                    "deflated": None if split is None else encode(split),
                    "through_columns_s": columns,
                    "break_even_gate_time_s": gate_times,
                    "break_even": {
                        "hardware": None if scenario is None else scenario.hardware.name,
                        "flips": encode(flips),
                    },
                    "emulated": None if emulated is None else encode(emulated.shown()),
                    "pictures": [str(path) for path in drawn],
                }
            )
            return
        RESULTS.print(
            quote_table(_title(facts, self.epsilon), _ordered([*quotes, *audited]), calibration)
        )
        for machine, seconds in columns.items():
            RESULTS.print(
                f"on {machine}, the inverse column by column (the paper's Eq. 1), {facts.n:,} "
                f"solves at the paper's price of one: {seconds:.3g} s (modelled)",
                highlight=False,
            )
        for solver, seconds in gate_times.items():
            RESULTS.print(
                f"at the paper's price, the quantum solver costs less than {solver} below a gate "
                f"time of {seconds:.3g} s",
                highlight=False,
            )
        if survey_s is not None:
            RESULTS.print(_survey_line(facts, survey_s), highlight=False)
        verdict = verdict_line(quotes, audited)
        if verdict is not None:
            RESULTS.print(verdict, highlight=False)
        if scenario is not None:
            self._print_audited(scenario, audited, flips)
        if scenario is not None and split is not None:
            RESULTS.print(deflation_line(split, _quote_of(audited, scenario)), highlight=False)
        if emulated is not None:
            _print_emulated(emulated.figures, emulated.refused)
        for path in drawn:
            RESULTS.print(f"picture {path}", highlight=False)

    def _system(self) -> tuple[object | None, Facts]:
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"--dtype is {self.dtype!r}; it must be float32 or float64")
        if self.matrix is not None:
            if (self.n, self.sparsity) != (None, None) or self.indefinite:
                raise ValueError(
                    "--matrix brings its own --n, --sparsity and signs; leave those out"
                )
            if self.kappa is not None:
                _check_kappa(self.kappa)
            if self.max_products is not None and self.max_products < 1:
                raise ValueError(f"--max-products is {self.max_products}; it must be at least 1")
            if self.kappa is not None and self.max_products is not None:
                raise ValueError("--kappa leaves nothing for --max-products to measure; drop one")
            from qnewton.cli.matrix_file import survey_file

            return survey_file(self.matrix, self.seed, self.kappa, self.max_products)
        if self.max_products is not None:
            raise ValueError("--max-products is for measuring a --matrix; leave it out")
        for name in ("n", "kappa"):
            if getattr(self, name) is None:
                raise ValueError(f"--{name} is missing; give --n and --kappa, or --matrix FILE")
        assert self.n is not None
        assert self.kappa is not None
        if self.n < 1:
            raise ValueError(f"--n is {self.n}; a system has at least 1 unknown")
        _check_kappa(self.kappa)
        sparsity = self.n if self.sparsity is None else self.sparsity
        if not 1 <= sparsity <= self.n:
            raise ValueError(f"--sparsity is {sparsity}; it must lie between 1 and n = {self.n}")
        definiteness = "indefinite" if self.indefinite else None
        return None, kappa_facts(self.n, self.kappa, sparsity, definiteness)

    def _scenario(
        self,
        facts: Facts,
        calibration: Calibration,
        machines: list[QuantumHardware],
        audited: list[Quote],
    ) -> Scenario | None:
        """Return the cheapest audited machine's, or ``None`` where none has a price."""
        priced = [
            (quote.seconds, machine)
            for quote, machine in zip(audited, machines, strict=True)
            if quote.seconds is not None
        ]
        if not priced:
            return None
        _, machine = min(priced, key=lambda pair: pair[0])
        scenario = Scenario(
            facts=facts,
            calibration=calibration,
            hardware=machine,
            audit=self.audit(),
            dtype=self.dtype,
            tolerance=self.tolerance,
        )
        return scenario if scenario.advantage() is not None else None

    def _split(self, scenario: Scenario, matrix: object) -> Quote | None:
        """Return the price with the best few of the largest eigenpairs taken out."""
        from qnewton.cli.matrix_file import largest_eigenvalues

        largest, products = largest_eigenvalues(matrix, self.seed)
        if not largest:
            return None
        return deflation_quote(
            scenario.calibration,
            scenario.facts,
            scenario.hardware,
            largest,
            products,
            scenario.audit,
            self.dtype,
        )

    def _draw(self, scenario: Scenario) -> list[Path]:
        if self.pictures is None:
            return []
        from qnewton.report import condition_sparsity_map, gate_time_size_map, save_chart

        return [
            path
            for name, draw in (
                ("condition-sparsity", condition_sparsity_map),
                ("gate-time-size", gate_time_size_map),
            )
            for path in save_chart(draw(scenario), self.pictures, name)
        ]

    def _print_audited(self, scenario: Scenario, audited: list[Quote], flips: list[Flip]) -> None:
        RESULTS.print(term_table(_quote_of(audited, scenario), scenario.hardware))
        RESULTS.print(f"what would flip the choice on {scenario.hardware.name}, one at a time:")
        for line in flip_lines(flips):
            RESULTS.print(line, highlight=False)


def chosen_calibration(name: str) -> Calibration:
    """Return ``local``, ``nominal``, or a profile by name or path."""
    if name == "local":
        return latest_calibration() or nominal_calibration()
    return nominal_calibration() if name == "nominal" else load_classical(name)


def _check_kappa(kappa: float) -> None:
    if not 1 <= kappa < float("inf"):
        raise ValueError(f"--kappa is {kappa}; it must be finite and at least 1")


def _warn_of_unknown(facts: Facts) -> None:
    condition = facts.spectrum.condition
    if condition is not None and condition.value is None:
        warn(
            f"κ is not known to 1% after {condition.products} products, {condition.describe()}, so "
            "prices that need it are missing: give --kappa, or a larger --max-products"
        )


def _survey_seconds(facts: Facts, calibration: Calibration, dtype: str) -> float | None:
    """Modelled seconds to measure κ and d, with as many products as the survey may take."""
    condition = facts.spectrum.condition
    if condition is None:
        return None
    if condition.method in _NOT_BY_PRODUCTS:
        products = lanczos_products(calibration, facts.n, dtype)
        if products is None:
            return None
        spectrum = replace(facts.spectrum, condition=replace(condition, products=products))
        facts = replace(facts, spectrum=spectrum)
    parts = [survey_seconds(f, facts, calibration, dtype) for f in ("condition", "row_sparsity")]
    return None if None in parts else sum(part for part in parts if part is not None)


def _survey_line(facts: Facts, seconds: float) -> str:
    condition = facts.spectrum.condition
    unspent = condition is not None and condition.method in _NOT_BY_PRODUCTS
    return (
        f"measuring κ and d {'takes at most' if unspent else 'took'} {seconds:.3g} s of the "
        "classical machine (modelled), which a policy that decides by them pays on top"
    )


def _quote_of(audited: list[Quote], scenario: Scenario) -> Quote:
    return next(quote for quote in audited if quote.hardware == scenario.hardware.name)


def _ordered(quotes: list[Quote]) -> list[Quote]:
    return sorted(quotes, key=lambda q: (q.seconds is None, q.seconds or 0.0, q.hardware))


def _break_even_gate_times(quotes: list[Quote]) -> dict[str, float]:
    """Gate time below which the paper's price is lower, against each priced classical solver."""
    count = next((q.query_count for q in quotes if q.query_count is not None), None)
    if count is None:
        return {}
    return {
        quote.name: break_even_gate_time(quote.seconds, count)
        for quote in _ordered(quotes)
        if quote.machine == "classical" and quote.seconds
    }


def _through_columns(quotes: list[Quote], n: int) -> dict[str, float]:
    """Seconds of N solves, one a column of the inverse, on each quantum machine."""
    return {
        f"{quote.hardware}{' (hypothetical)' if quote.hypothetical else ''}": n * quote.seconds
        for quote in quotes
        if quote.machine == "quantum" and quote.seconds is not None
    }


def _title(facts: Facts, epsilon: float) -> str:
    condition = facts.spectrum.condition
    kappa = "unknown" if condition is None else condition.describe()
    if condition is not None and condition.method == "given":
        kappa = f"{condition.value:g}"
    return (
        f"Modelled seconds to solve one system: N = {facts.n:,}, κ = {kappa}, "
        f"d = {facts.spectrum.row_sparsity or facts.n:,}, ε = {epsilon:g} in the paper's price"
    )


def _print_emulated(figures: dict[str, object], refused: str | None) -> None:
    if refused is not None:
        RESULTS.print(f"not emulated: {refused}", highlight=False)
        return
    words = ", ".join(
        f"{name.replace('_', ' ')} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
    )
    RESULTS.print(
        f"emulated on a random right-hand side, with a block-encoding at α = ‖A‖₂ (the audited "
        f"price takes the α of its tables): {words}",
        highlight=False,
    )
