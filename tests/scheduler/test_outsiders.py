"""Solvers, policies, prices and machines from outside, broken in every way we thought of."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import mse_loss

from qnewton import Classical, QNewton, Quantum
from qnewton.cli import main
from qnewton.cost import (
    MACHINES,
    QUANTUM_PRICES,
    SOLVERS,
    Family,
    QuantumPrice,
    Solver,
    classical_quotes,
    load_classical,
    load_hardware,
    nominal_calibration,
)
from qnewton.experiments.replay import own_settings, replay
from qnewton.records import Facts, Figure, Outcome, QuantumHardware, Quote, StepRecord
from qnewton.runs import read_run
from qnewton.scheduler.policy import POLICIES, Policy, decide
from qnewton.solvers import Solution, SolveStats

CHEAP = 1e-12
"""Seconds that win against every other solver."""


def _priced(seconds: Any = CHEAP, **changes: Any) -> Quote:
    fields = {"solver": "odd", "machine": "classical", "model": "m", "hardware": "h"}
    return Quote(seconds=seconds, **{**fields, **changes})


def _raise(error: BaseException) -> Any:
    raise error


def _says(x: Any, outcome: Any = Outcome.SOLVED, stats: Any = None) -> Solution:
    return Solution(x, outcome, SolveStats(solver="odd") if stats is None else stats)


def _exact(operator: Any, rhs: Any, options: Any) -> Solution:
    return _says(torch.linalg.solve(operator.dense(), rhs))


def odd(run: Any = _exact, price: Callable[..., Any] = lambda facts, market: _priced()) -> Solver:
    return Solver("odd", "Odd", Family.DIRECT, price, run=run, sees_definiteness=True)


@pytest.fixture(autouse=True)
def tables_as_before() -> Iterator[None]:
    tables = SOLVERS, POLICIES, QUANTUM_PRICES, MACHINES
    before = [table.names for table in tables]
    yield
    for table, names in zip(tables, before, strict=True):
        for name in set(table.names) - set(names):
            table.unregister(name)


def steps(
    dtype: torch.dtype = torch.float64,
    damping: Any = 0.5,
    blocks: Any = "full",
    policy: str = "classical",
    quantum: Any = None,
    **options: Any,
) -> list[StepRecord]:
    """Take two steps, none of which may be skipped."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
    model = model.to(dtype)
    inputs, targets = torch.randn(8, 3, dtype=dtype), torch.randn(8, 1, dtype=dtype)
    options |= {"blocks": blocks, "policy": policy, "quantum": quantum}
    optimizer = QNewton(model, damping=damping, **options)
    for _ in range(2):
        optimizer.step(lambda: mse_loss(model(inputs), targets))
    assert [record.skipped for record in optimizer.records] == [None, None]
    return list(optimizer.records)


RUNS: dict[str, tuple[Any, Outcome, str]] = {
    "ValueError": (
        lambda a, b, o: _raise(ValueError("N is odd\nand more")),
        Outcome.RAISED,
        "ValueError: N is odd",
    ),
    "KeyError": (lambda a, b, o: _raise(KeyError("k")), Outcome.RAISED, "KeyError: 'k'"),
    "NotImplementedError": (
        lambda a, b, o: _raise(NotImplementedError()),
        Outcome.RAISED,
        "NotImplementedError: no message",
    ),
    "nothing": (lambda a, b, o: None, Outcome.RAISED, "the solver returned None"),
    "bare tensor": (lambda a, b, o: b, Outcome.RAISED, "it must be a Solution"),
    "a list": (lambda a, b, o: _says(b.tolist()), Outcome.RAISED, "it must be a tensor"),
    "NaN": (lambda a, b, o: _says(b * float("nan")), Outcome.NOT_FINITE, ""),
    "shape": (lambda a, b, o: _says(b[:-1]), Outcome.RAISED, "the solver's x has shape ["),
    "column": (lambda a, b, o: _says(b[:, None]), Outcome.RAISED, "the solver's x has shape ["),
    "dtype": (lambda a, b, o: _says(b.half()), Outcome.RAISED, "torch.float16"),
    "words": (lambda a, b, o: _says(b, "solved"), Outcome.RAISED, "it must be an Outcome"),
    "no detail": (
        lambda a, b, o: Solution(None, Outcome.FAILED, SolveStats(solver="odd"), wrong(None)),
        Outcome.RAISED,
        "the solver's detail is None; it must be a string of one line",
    ),
    "products in words": (
        lambda a, b, o: _says(b, stats=SolveStats(solver="odd", products=wrong("many"))),
        Outcome.RAISED,
        "the solver's stats are not of their types: SolveStats.products",
    ),
    "a residual of torch": (
        lambda a, b, o: _says(b, stats=SolveStats(solver="odd", residual=wrong(b))),
        Outcome.RAISED,
        "the solver's stats are not of their types",
    ),
    "writes to b": (lambda a, b, o: _says(b.fill_(float("nan"))), Outcome.NOT_FINITE, ""),
    "no stats": (lambda a, b, o: _says(b, stats=3), Outcome.RAISED, "with stats"),
    "no x": (lambda a, b, o: _says(None), Outcome.NOT_FINITE, ""),
    "lies": (lambda a, b, o: _says(7 * b), Outcome.RESIDUAL, ""),
    "no module": ("no_such_module:run", Outcome.RAISED, "ModuleNotFoundError"),
    "no name": ("math:no_such", Outcome.RAISED, "nothing to run at 'math:no_such'"),
    "no runner": (None, Outcome.RAISED, "solver 'odd' is not known"),
}

OF_LAYERS = pytest.param("layer", torch.float32, marks=pytest.mark.slow)


@pytest.mark.parametrize("damping", [0.5, "auto"])
@pytest.mark.parametrize(("blocks", "dtype"), [("full", torch.float64), OF_LAYERS])
@pytest.mark.parametrize("case", RUNS)
def test_a_solver_that_fails_is_followed_by_the_next_and_named(case, blocks, dtype, damping):
    run, outcome, detail = RUNS[case]
    SOLVERS.register(odd(run))
    for record in steps(dtype, damping, blocks):
        for block in record.blocks:
            first, *others = block.attempts
            if record.step == 0:
                assert (first.solver, first.outcome) == ("odd", outcome)
                assert detail in first.detail
                assert "\n" not in first.detail
            assert others or first.outcome is Outcome.SOLVED
            assert block.attempts[-1].outcome is Outcome.SOLVED


PRICES: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (lambda f, m: _raise(RuntimeError("out of paper")), "raised RuntimeError: out of"),
    "ValueError": (lambda f, m: _raise(ValueError("N above 4")), "raised ValueError: N above 4"),
    "None": (lambda f, m: None, "returned None, which is no Quote"),
    "number": (lambda f, m: 1e-9, "returned 1e-09, which is no Quote"),
    "NaN": (lambda f, m: _priced(float("nan")), "nan s is no price"),
    "below 0": (lambda f, m: _priced(-1.0), "-1.0 s is no price"),
    "words": (lambda f, m: _priced("cheap"), "raised TypeError"),
    "another's": (lambda f, m: _priced(solver="lu"), "returned a quote of 'lu' on a classical"),
    "quantum": (lambda f, m: _priced(machine="quantum"), "a quote of 'odd' on a quantum machine"),
    "no model": (lambda f, m: _priced(model=None), "not of their types: Quote.model"),
    "no reason": (lambda f, m: _priced(None), "gave neither seconds nor a reason"),
}


@pytest.mark.parametrize("damping", [0.5, "auto"])
@pytest.mark.parametrize("case", PRICES)
def test_a_price_that_fails_is_a_refused_quote(case, damping):
    price, refused = PRICES[case]
    SOLVERS.register(odd(price=price))
    for block in (block for record in steps(damping=damping) for block in record.blocks):
        offer = block.decision.quote("odd")
        assert offer is not None
        assert offer.seconds is None
        assert refused in str(offer.refused)
        assert block.solver not in (None, "odd")
    [offer] = [q for q in classical_quotes(nominal_calibration(), Facts(n=9)) if q.solver == "odd"]
    assert refused in str(offer.refused)


@pytest.mark.parametrize("damping", [0.5, "auto"])
def test_a_direction_with_a_graph_is_stepped_along_without_it(damping):
    def run(operator: Any, rhs: Any, options: Any) -> Solution:
        x = _exact(operator, rhs, options).direction
        assert x is not None
        return _says(x.clone().requires_grad_() * 1.0)

    SOLVERS.register(odd(run))
    assert steps(damping=damping, blocks="layer")[0].blocks[0].solver == "odd"


def test_a_calibration_that_lacks_rates_leaves_a_step_without_modelled_seconds():
    classical = Classical(calibration=load_classical("paper-h100"))
    for damping in (0.5, "auto"):
        with pytest.warns(UserWarning, match="no modelled seconds: calibration 'paper-h100' has"):
            records = steps(torch.float32, damping, classical=classical)
        assert [record.modelled for record in records] == [None, None]
        assert records[1].loss < records[0].loss


def test_a_price_of_numpy_or_torch_is_a_number():
    SOLVERS.register(odd(price=lambda facts, market: _priced(torch.tensor(CHEAP))))
    offer = steps()[0].blocks[0].decision.quote("odd")
    assert offer is not None
    assert type(offer.seconds) is float


CHOICES: dict[str, tuple[Callable[..., Any], str]] = {
    "unknown": (lambda quotes: ("qr", "why not"), "chose 'qr', of which there is no quote"),
    "ValueError": (lambda quotes: _raise(ValueError("no mood")), "no mood"),
    "KeyError": (lambda quotes: {}["lu"], "raised KeyError: 'lu'"),
    "name alone": (lambda quotes: "lu", "it must be a solver's name and the reason"),
    "None": (lambda quotes: None, "chose None; it must be"),
    "a quote": (lambda quotes: (quotes[0], "it is first"), "it must be a solver's name"),
}


@pytest.mark.parametrize("damping", [0.5, "auto"])
@pytest.mark.parametrize("case", CHOICES)
def test_a_policy_that_cannot_choose_is_followed_by_the_cheapest_classical(case, damping):
    choose, said = CHOICES[case]
    POLICIES.register(Policy(name="moody", title="Moody", summary="s", choose=choose))
    for record in steps(damping=damping, blocks="layer", policy="moody"):
        for block in record.blocks:
            assert said in block.decision.reason
            assert "\n" not in block.decision.reason
            offer = block.decision.quote(block.decision.chosen)
            assert offer is not None
            assert offer.machine == "classical"
            assert block.attempts[-1].outcome is Outcome.SOLVED
    with pytest.raises(ValueError, match=r".") as refusal:
        decide("moody", classical_quotes(nominal_calibration(), Facts(n=9)))
    assert said in str(refusal.value)


@pytest.mark.parametrize("blocks", ["full", "layer"])
def test_a_policy_shares_machines_whether_there_is_one_block_or_more(blocks):
    lu = Policy(
        name="lu",
        title="LU",
        summary="s",
        choose=lambda quotes: ("lu", "as always"),
        shares_machines=True,
    )
    POLICIES.register(lu)
    for record in steps(blocks=blocks, policy="lu"):
        assert record.modelled is not None
        assert all(block.solver is not None for block in record.blocks)


def _dreamer(choose: Callable[..., Any]) -> Policy:
    return Policy(
        name="dreamer",
        title="Dreamer",
        summary="s",
        choose=choose,
        survey=("condition",),
        quantum_price="bare",
    )


QUANTUM: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (lambda f, m, h: _raise(KeyError("kappa")), "raised KeyError: 'kappa'"),
    "classical": (lambda f, m, h: _priced(solver="lu"), "a quote of 'lu' on a classical machine"),
    "NaN": (
        lambda f, m, h: _priced(float("nan"), solver="qsvt", machine="quantum"),
        "nan s is no price",
    ),
    "None": (lambda f, m, h: None, "which is no Quote"),
}


@pytest.mark.parametrize("case", QUANTUM)
def test_a_quantum_price_that_fails_is_a_refused_quote(case, capsys):
    price, refused = QUANTUM[case]
    QUANTUM_PRICES.register(QuantumPrice(name="bare", title="bare", price=price))
    POLICIES.register(_dreamer(lambda quotes: ("qsvt", "whatever it costs")))
    for record in steps(policy="dreamer", quantum=Quantum("attosecond")):
        offer = record.blocks[0].decision.quote("qsvt")
        assert offer is not None
        assert refused in str(offer.refused)
        assert record.blocks[0].solver is not None
    main(["price", "--n", "50", "--kappa", "100"])
    assert capsys.readouterr().out


def test_a_policy_whose_quantum_price_is_not_there_is_refused_in_one_line():
    POLICIES.register(_dreamer(lambda quotes: ("lu", "")))
    with pytest.raises(ValueError, match="quantum price 'bare', which is not registered; choose p"):
        steps(policy="dreamer", quantum=Quantum("attosecond"))


def test_a_quantum_solver_that_returns_nan_is_followed_by_the_next():
    annealer = Solver(
        "odd",
        "Annealer",
        Family.QUANTUM,
        lambda facts, market: _priced(machine="quantum"),
        machine="quantum",
        run=RUNS["NaN"][0],
    )
    SOLVERS.register(annealer)
    POLICIES.register(replace(_dreamer(lambda quotes: ("odd", "")), quantum_price="paper"))
    for record in steps(policy="dreamer", quantum=Quantum("attosecond")):
        first, *others = record.blocks[0].attempts
        assert (first.solver, first.outcome) == ("odd", Outcome.NOT_FINITE)
        assert others[-1].outcome is Outcome.SOLVED


def wrong(value: Any) -> Any:
    """Return a value that has another type than it should."""
    return value


def _figure(value: Any) -> Figure:
    return Figure(value=value, source="us", date="2026-11-01")


def test_a_machine_that_lacks_figures_has_the_quotes_it_can_have():
    ours = QuantumHardware(name="ours", title="Ours", hypothetical=False, gate_time_s=_figure(1e-9))
    MACHINES.register(ours)
    for policy in ("paper", "hybrid"):
        for record in steps(policy=policy, quantum=Quantum("ours")):
            assert record.blocks[0].decision.quote("qsvt") is not None


@pytest.mark.parametrize(
    ("register", "said"),
    [
        (lambda: SOLVERS.register(replace(SOLVERS.get("lu"))), "'lu' is there already; choose ano"),
        (lambda: SOLVERS.register(replace(odd(), name="two words")), "'two words'; its name must"),
        (lambda: SOLVERS.register(replace(odd(), name="")), "is called ''; its name must be"),
        (
            lambda: SOLVERS.register(wrong(Solver)),
            "the class Solver is no solver; regist",
        ),
        (
            lambda: SOLVERS.register(wrong("qr")),
            "'qr' is no solver; register an instance",
        ),
        (lambda: odd("torch.linalg.solve"), "run is 'torch.linalg.solve'; it must be 'module:na"),
        (lambda: odd(3), "run is 3; it must be"),
        (lambda: odd(price=wrong("cheap")), "price is 'cheap'; it must be a function"),
        (lambda: replace(odd(), family="fast"), "family is 'fast'; it must be a member of"),
        (lambda: replace(odd(), machine="quantum"), "machine is 'quantum'; it must be 'classical'"),
        (lambda: replace(odd(), reads=("dense",)), "('dense',); it must be a tuple of some of fo"),
        (lambda: replace(odd(), reads="formed"), "reads is 'formed'; it must be a tuple"),
        (lambda: replace(POLICIES.get("paper"), choose="lu"), "choose is 'lu'; it must be a func"),
        (lambda: replace(POLICIES.get("paper"), survey=("kappa",)), "some of "),
        (lambda: POLICIES.register(wrong(odd())), "is no policy; register an instance of"),
        (lambda: QuantumPrice(name="p", title="p", price=wrong(None)), "price is None; it must be"),
        (
            lambda: MACHINES.register(load_hardware("attosecond")),
            "'attosecond' comes with the package; choose another name",
        ),
        (
            lambda: MACHINES.register(
                replace(load_hardware("attosecond"), name="m", gate_time_s=_figure(float("nan")))
            ),
            "date='2026-11-01'); it must be a Figure of a value from",
        ),
        (
            lambda: MACHINES.register(
                replace(load_hardware("attosecond"), name="m", gate_time_s=1e-9)
            ),
            "gate_time_s is 1e-09; it must be a Figure",
        ),
    ],
)
def test_a_bad_registration_is_refused_in_one_line_that_says_what_to_do(register, said):
    with pytest.raises(ValueError, match=r".") as refusal:
        register()
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("offered", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_with_an_outside_solver_is_read_and_replayed_where_it_is_not(
    tmp_path, capsys, offered
):
    SOLVERS.register(odd(_exact if offered else RUNS["lies"][0]))
    choose = lambda quotes: ("odd", "we like it")  # noqa: E731
    POLICIES.register(Policy(name="ours", title="Ours", summary="s", choose=choose))
    folder = str(tmp_path / "run")
    train = f"train digits --policy ours --damping 1 --blocks layer --steps 2 --out {folder}"
    main(train.split())
    there = replay(read_run(tmp_path / "run").steps, "ours", own_settings(read_run(folder)))
    SOLVERS.unregister("odd")
    run = read_run(tmp_path / "run")
    again = replay(run.steps, "ours", own_settings(run))
    assert (again.decisions, again.seconds) == (there.decisions, there.seconds)
    POLICIES.unregister("ours")
    for command in (f"replay {folder}", f"replay {folder} --solvers lu cg", f"report {folder}"):
        main(command.split())
    assert "Traceback" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="no policy is called 'ours'; choose classical"):
        replay(run.steps, "ours", own_settings(run))
