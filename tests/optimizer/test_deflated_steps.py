"""Steps whose largest eigenpairs are solved classically and whose rest is the emulator's."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from qnewton import Classical, QNewton, Quantum
from qnewton.cost import Audit, Market, load_hardware, nominal_calibration
from qnewton.cost.audit import DEFAULT_AUDIT
from qnewton.experiments.replay import replay
from qnewton.records import Estimate, Facts, Spectrum, StepRecord, decode, encode
from qnewton.scheduler.offers import quotes
from qnewton.scheduler.policy import POLICIES, Policy, decide
from qnewton.scheduler.pricing import ReplaySettings

PERFECT = Audit(error_correction="perfect", readout="none")
MACHINE = "attosecond"


@pytest.fixture(autouse=True)
def deflating() -> Iterator[None]:
    POLICIES.register(
        Policy(
            name="deflating",
            title="Deflating",
            summary="the deflated quantum solver, always",
            choose=lambda offers: ("deflated_qsvt", "always"),
            survey=("condition", "row_sparsity"),
            quantum_price="audited",
        )
    )
    yield
    POLICIES.unregister("deflating")


def _problem() -> tuple[nn.Module, Tensor, Tensor]:
    """Return a regression whose Hessian has a few large eigenvalues: inputs of three scales."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 6, generator=generator) * torch.tensor([30.0, 10.0, 1, 1, 1, 1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2))
    return model, inputs, torch.randn(64, 2, generator=generator)


def _newton(model: nn.Module, policy: str) -> QNewton:
    return QNewton(
        model,
        policy=policy,
        quantum=Quantum(MACHINE, epsilon=1e-6, audit=PERFECT),
        classical=Classical(calibration=nominal_calibration()),
        blocks="full",
        curvature="ggn",
        damping=0.1,
    )


def _train(steps: int, policy: str = "deflating") -> tuple[QNewton, nn.Module]:
    model, inputs, targets = _problem()
    optimizer = _newton(model, policy)
    for _ in range(steps):
        optimizer.step(lambda: nn.functional.mse_loss(model(inputs), targets))
    return optimizer, model


def _parameters(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_steps_are_newtons_and_their_records_say_what_was_taken_out():
    optimizer, model = _train(3)
    classical, reference = _train(3, "classical-only")
    torch.testing.assert_close(_parameters(model), _parameters(reference), rtol=1e-3, atol=1e-4)
    for record in optimizer.records:
        [block] = record.blocks
        attempt, quote = block.attempts[0], block.decision.quote("deflated_qsvt")
        assert block.solver == "deflated_qsvt"
        assert quote is not None
        assert quote.seconds is not None
        assert quote.quantum is not None
        assert quote.terms[-1].name == "deflation"
        assert attempt.deflation is not None
        assert attempt.deflation.eigenpairs == quote.quantum.deflated
        assert attempt.deflation.products > attempt.deflation.eigenpairs > 0
        assert attempt.deflation.measured_seconds < record.measured.total
        assert attempt.quantum is not None
        assert attempt.quantum.angle is not None
        assert attempt.quantum.angle < 1e-3
        # Its price knows the rest's κ before the solve finds it.
        assert attempt.quantum.kappa == pytest.approx(quote.condition_number, rel=0.1)
        condition = block.facts.spectrum.condition
        assert condition is not None
        assert condition.value is not None
        assert attempt.quantum.kappa < condition.value / 2
    assert classical.records[-1].loss == pytest.approx(optimizer.records[-1].loss, rel=1e-3)


def test_a_run_goes_on_from_its_state_as_if_it_had_not_stopped():
    whole, expected = _train(4)
    half, model = _train(2)
    _, inputs, targets = _problem()
    again = _newton(model, "deflating")
    again.load_state_dict(half.state_dict())
    for _ in range(2):
        again.step(lambda: nn.functional.mse_loss(model(inputs), targets))
    assert torch.equal(_parameters(model), _parameters(expected))
    decided = [record.blocks[0].decision for record in [*whole.records][2:]]
    assert [record.blocks[0].decision for record in again.records] == decided


def test_a_replay_decides_as_the_run_did_and_other_policies_by_the_same_facts():
    optimizer, _ = _train(3)
    read = [decode(StepRecord, encode(record)) for record in optimizer.records]
    assert read == [*optimizer.records]
    settings = ReplaySettings(
        calibration=nominal_calibration(), hardware=load_hardware(MACHINE), audit=PERFECT
    )
    again = replay(read, "deflating", settings)
    assert again.changed == 0
    assert again.seconds == pytest.approx(
        sum(record.modelled.total for record in read if record.modelled is not None)
    )
    # Records of before the largest eigenvalues were kept have no such price.
    older = dataclasses.replace(
        read[0],
        blocks=(
            dataclasses.replace(
                read[0].blocks[0],
                facts=dataclasses.replace(
                    read[0].blocks[0].facts,
                    spectrum=dataclasses.replace(read[0].blocks[0].facts.spectrum, largest=()),
                ),
            ),
        ),
    )
    assert replay([older], "hybrid", settings).unpriced_steps == 0
    assert replay([older], "deflating", settings).seconds is None


def _indefinite(n: int, largest: tuple[float, ...]) -> Facts:
    """Return facts of a large system of which classical solvers make nothing cheap."""
    kappa = Estimate(value=1e5, low=1e5, high=None, method="lanczos", products=112)
    spectrum = Spectrum(
        condition=kappa, row_sparsity=n, definiteness="indefinite", norm=1e5, largest=largest
    )
    return Facts(n=n, spectrum=spectrum)


def test_hybrid_takes_it_where_it_is_the_cheapest_and_only_its_price_is_asked_for():
    hardware = load_hardware(MACHINE)
    market = Market(nominal_calibration(), hardware, quantum_price="audited", audit=PERFECT)
    # A femtosecond a gate: the whole takes longer than finding the outliers.
    slower = dataclasses.replace(hardware.gate_time_s, value=1e-15)
    market = dataclasses.replace(market, hardware=dataclasses.replace(hardware, gate_time_s=slower))
    # Beside QSVT of the whole; other algorithms may cost less than either.
    others = ("dalzell", "hhl", "costa")
    offers = quotes(_indefinite(12_544, (1e5, 9e4, 3.0, 2.9)), market)
    offers = tuple(quote for quote in offers if quote.solver not in others)
    decision = decide("hybrid", offers)
    assert decision.chosen == "deflated_qsvt"
    chosen = decision.quote("deflated_qsvt")
    assert chosen is not None
    assert chosen.quantum is not None
    assert chosen.quantum.deflated == 2
    unknown = quotes(_indefinite(12_544, ()), market)
    unknown = decide("hybrid", tuple(q for q in unknown if q.solver not in others))
    refused = unknown.quote("deflated_qsvt")
    assert refused is not None
    assert refused.refused is not None
    assert "are not both known" in refused.refused
    assert unknown.chosen != "deflated_qsvt"
    paper = dataclasses.replace(market, quantum_price="paper", audit=DEFAULT_AUDIT)
    assert all(q.solver != "deflated_qsvt" for q in quotes(_indefinite(64, (2.0, 1.0)), paper))
