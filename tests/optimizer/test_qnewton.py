"""QNewton as an optimizer: what a step does, and what it never does."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from qnewton import Classical, Damping, QNewton
from qnewton.cost import nominal_calibration
from qnewton.curvature import Partition
from qnewton.optimizer import Warmup
from tests.cases import flat
from tests.oracles import newton_step

CLASSICAL = Classical(calibration=nominal_calibration())


def make_problem(seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).to(dtype)
    inputs = torch.randn(20, 4, generator=generator, dtype=dtype)
    targets = torch.randint(0, 3, (20,), generator=generator)

    def loss() -> torch.Tensor:
        return nn.functional.cross_entropy(model(inputs), targets)

    return model, loss


@pytest.mark.parametrize("calls_backward", [True, False])
def test_a_step_is_the_damped_newton_step(calls_backward: bool) -> None:
    model, loss = make_problem()
    expected = flat(model) + newton_step(loss, [*model.parameters()], damping=0.5)
    optimizer = QNewton(model, damping=0.5, blocks="full", classical=CLASSICAL)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        if calls_backward:
            value.backward()
        return value

    before = loss().item()
    returned = optimizer.step(closure)
    assert float(returned) == before
    # Both solve the same float64 system of condition below 100.
    assert torch.allclose(flat(model), expected, rtol=0, atol=1e-10)
    record = optimizer.records[-1]
    assert record.phase == "newton"
    assert record.skipped is None
    assert record.blocks[0].outcome == "solved"
    assert record.cosine is not None
    assert 0 < record.cosine <= 1
    assert record.measured.total > 0


def test_a_detached_loss_after_backward_is_enough() -> None:
    model, loss = make_problem()
    expected = flat(model) + newton_step(loss, [*model.parameters()], damping=1.0)
    optimizer = QNewton(model, damping=1.0, blocks="full", classical=CLASSICAL)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value.detach()

    optimizer.step(closure)
    assert torch.allclose(flat(model), expected, rtol=0, atol=1e-10)


def test_parameters_alone_take_the_generic_path_to_the_same_step() -> None:
    model, loss = make_problem()
    twin, twin_loss = make_problem()
    QNewton(model, blocks="full", classical=CLASSICAL).step(loss)
    optimizer = QNewton(list(twin.parameters()), blocks="full", classical=CLASSICAL)
    optimizer.step(twin_loss)
    assert optimizer.records[-1].blocks[0].curvature.route == "generic"
    assert torch.allclose(flat(twin), flat(model), rtol=0, atol=1e-10)


def test_clipped_gradients_are_the_right_hand_side() -> None:
    model, loss = make_problem()
    step = newton_step(loss, [*model.parameters()], damping=1.0)
    start = flat(model)
    optimizer = QNewton(model, damping=1.0, blocks="full", classical=CLASSICAL)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad.mul_(0.25)
        return value

    optimizer.step(closure)
    assert torch.allclose(flat(model) - start, 0.25 * step, rtol=0, atol=1e-10)


def test_infinite_damping_is_gradient_descent() -> None:
    model, loss = make_problem()
    start = flat(model)
    gradient = torch.cat(
        [g.reshape(-1) for g in torch.autograd.grad(loss(), list(model.parameters()))]
    )
    damping = 1e9
    QNewton(model, lr=damping, damping=damping, blocks="full", classical=CLASSICAL).step(loss)
    # (H/λ + I)⁻¹ differs from I by ‖H‖/λ.
    assert torch.allclose(flat(model) - start, -gradient, rtol=0, atol=1e-7)
    assert not torch.equal(flat(model), start)


@pytest.mark.parametrize("policy", ["classical", "classical-only", "quantum-only", "paper"])
def test_every_policy_takes_the_same_step(policy: str) -> None:
    model, loss = make_problem()
    expected = flat(model) + newton_step(loss, [*model.parameters()], damping=1.0)
    hardware = None if policy.startswith("classical") else "attosecond"
    optimizer = QNewton(
        model,
        damping=1.0,
        policy=policy,
        quantum=hardware,
        blocks="full",
        classical=CLASSICAL,
    )
    optimizer.step(loss)
    assert torch.allclose(flat(model), expected, rtol=0, atol=1e-9)
    attempt = optimizer.records[-1].blocks[0].attempts[0]
    if policy == "quantum-only":
        assert attempt.solver == "qsvt"
        assert attempt.quantum is not None
        assert 0 < attempt.quantum.success_probability <= 1
        assert attempt.quantum.queries > 1
    if policy == "classical-only":
        assert attempt.solver == "lu_inverse"


@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_blocks_solve_their_own_diagonal_block(blocks: Partition) -> None:
    model, loss = make_problem()
    optimizer = QNewton(model, blocks=blocks, classical=CLASSICAL)
    optimizer.step(loss)
    sizes = [block.n for block in optimizer.records[-1].blocks]
    assert sizes == {"full": [43], "layer": [25, 18], "tensor": [20, 5, 15, 3]}[blocks]


def poisoned(
    optimizer: QNewton, model: nn.Module, loss: Callable[[], torch.Tensor], poison: str
) -> torch.Tensor:
    optimizer.zero_grad()
    value = loss()
    if poison == "loss":
        value = value * float("nan")
    if poison == "curvature":
        # d²/dx² of |x|^1.5 at 0 is infinite, its value and slope are 0.
        weight = next(model.parameters())
        value = value + (weight - weight.detach()).abs().pow(1.5).sum()
    value.backward()
    if poison == "gradient":
        first = next(model.parameters())
        assert first.grad is not None
        first.grad[0, 0] = float("inf")
    return value


@pytest.mark.parametrize(
    ("poison", "damping"), [("loss", "auto"), ("gradient", "auto"), ("curvature", 1.0)]
)
def test_a_step_with_a_nan_changes_nothing_and_says_why(poison: str, damping: Any) -> None:
    model, loss = make_problem()
    optimizer = QNewton(model, blocks="full", classical=CLASSICAL, damping=damping)
    start = flat(model)
    optimizer.step(lambda: poisoned(optimizer, model, loss, poison))
    assert torch.equal(flat(model), start)
    record = optimizer.records[-1]
    assert record.skipped is not None
    assert poison in record.skipped or "no direction" in record.skipped
    assert record.step_norm == 0
    optimizer.step(loss)
    assert optimizer.records[-1].skipped is None


def test_an_indefinite_system_falls_back_from_cholesky_and_records_both() -> None:
    # 200 unknowns: well below that the calibration's C·N³ makes LU inversion the cheapest quote.
    weight = nn.Parameter(torch.ones(200, dtype=torch.float64))
    # A damping relative to the largest entry has the entries formed before anybody is chosen.
    optimizer = QNewton([weight], damping=Damping(0.0, scale="max-abs"), classical=CLASSICAL)
    optimizer.step(lambda: weight[:100].square().sum() - weight[100:].square().sum())
    attempts = optimizer.records[-1].blocks[0].attempts
    assert attempts[0].solver == "cholesky"
    assert attempts[0].outcome == "not positive definite"
    assert attempts[-1].outcome == "solved"
    assert torch.allclose(weight, torch.zeros(200, dtype=torch.float64), atol=1e-12)


def test_an_indefinite_system_known_by_products_is_solved_without_its_entries() -> None:
    weight = nn.Parameter(torch.ones(200, dtype=torch.float64))
    optimizer = QNewton([weight], damping=0.0, classical=CLASSICAL)
    optimizer.step(lambda: weight[:100].square().sum() - weight[100:].square().sum())
    attempts = optimizer.records[-1].blocks[0].attempts
    assert [(a.solver, a.outcome) for a in attempts] == [
        ("cg", "not positive definite"),
        ("minres", "solved"),
    ]
    assert torch.allclose(weight, torch.zeros(200, dtype=torch.float64), atol=1e-12)


def test_a_singular_system_is_skipped_with_every_attempt_recorded() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    optimizer = QNewton([weight], damping=0.0, classical=CLASSICAL)
    optimizer.step(lambda: weight[0] ** 2 + 3 * weight[1])
    record = optimizer.records[-1]
    assert record.skipped is not None
    assert "no direction" in record.skipped
    assert weight.tolist() == [1.0, 1.0]


def test_warmup_counts_first_order_steps() -> None:
    model, loss = make_problem()
    optimizer = QNewton(
        model, warmup=Warmup(steps=2, first_order_lr=0.1), blocks="full", classical=CLASSICAL
    )
    start = flat(model)
    gradient = torch.cat(
        [g.reshape(-1) for g in torch.autograd.grad(loss(), list(model.parameters()))]
    )
    optimizer.step(loss)
    assert torch.allclose(flat(model) - start, -0.1 * gradient, rtol=0, atol=1e-12)
    optimizer.step(loss)
    optimizer.step(loss)
    assert [record.phase for record in optimizer.records] == [
        "first-order",
        "first-order",
        "newton",
    ]


@pytest.mark.parametrize(("budget", "newton_at"), [(1e9, 1), (1e-30, 4)])
def test_auto_warmup_ends_when_the_solve_is_within_budget_or_at_its_limit(
    budget: float, newton_at: int
) -> None:
    model, loss = make_problem()
    warmup = Warmup(mode="auto", survey_every=10, budget_seconds=budget, max_steps=4)
    optimizer = QNewton(model, warmup=warmup, blocks="full", classical=CLASSICAL)
    for _ in range(6):
        optimizer.step(loss)
    phases = [record.phase for record in optimizer.records]
    assert phases.index("newton") == newton_at
    assert optimizer.records[0].blocks[0].facts.spectrum.condition is not None


def test_a_survey_out_of_products_leaves_the_condition_number_unknown_and_the_step_alone() -> None:
    # N = 300: too large for a survey by all eigenvalues, too small for more than 48 products.
    sizes = torch.logspace(-4, 0, 300, dtype=torch.float64)
    weight = torch.nn.Parameter(torch.ones(300, dtype=torch.float64))
    optimizer = QNewton(
        [weight],
        damping=0.0,
        policy="quantum-only",
        quantum="attosecond",
        classical=CLASSICAL,
        warmup=Warmup(mode="paper", max_steps=1),
    )
    for _ in range(2):
        optimizer.step(lambda: 0.5 * (sizes * weight**2).sum())
    surveyed, solved = (record.blocks[0] for record in optimizer.records)
    assert surveyed.facts.spectrum.condition is not None
    assert (
        surveyed.facts.spectrum.condition.value,
        surveyed.facts.spectrum.condition.products,
    ) == (None, 48)
    assert "48 products allowed" in " ".join(surveyed.facts.notes)
    quotes = {quote.solver: quote for quote in solved.decision.quotes}
    assert "not known, at least" in (quotes["cg"].refused or "")
    assert solved.attempts[-1].outcome == "solved"
    # The minimum, as far as the solver's residual of 1e-6 takes it at κ = 10⁴.
    assert float((sizes * weight.detach()).norm()) < 1e-4


def test_the_state_goes_through_a_file_and_back(tmp_path) -> None:
    model, loss = make_problem()
    optimizer = QNewton(model, warmup=1, blocks="full", classical=CLASSICAL)
    optimizer.step(loss)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    again = QNewton(model, warmup=1, blocks="full", classical=CLASSICAL)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    again.step(loss)
    assert again.records[-1].step == 1
    assert again.records[-1].phase == "newton"


def test_a_scheduler_moves_the_step_length() -> None:
    model, loss = make_problem()
    optimizer = QNewton(model, lr=1.0, blocks="full", classical=CLASSICAL)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    optimizer.step(loss)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_step_without_a_closure_is_first_order_and_warns_once() -> None:
    model, loss = make_problem()
    optimizer = QNewton(model, warmup=Warmup(first_order_lr=0.5), classical=CLASSICAL)
    loss().backward()
    start = flat(model)
    gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])
    with pytest.warns(UserWarning, match="without a closure"):
        optimizer.step()
    assert torch.allclose(flat(model) - start, -0.5 * gradient)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()


def test_a_solution_hook_sees_the_treated_system_until_it_is_removed() -> None:
    model, loss = make_problem()
    optimizer = QNewton(model, damping=2.0, blocks="full", classical=CLASSICAL)
    seen = []

    def hook(step, system, record, direction) -> None:
        seen.append((system.operator @ direction - system.rhs).norm().item())

    handle = optimizer.register_solution_hook(hook)
    optimizer.step(loss)
    handle.remove()
    optimizer.step(loss)
    assert len(seen) == 1
    assert seen[0] < 1e-10


def test_pruning_is_recorded() -> None:
    model, loss = make_problem()
    optimizer = QNewton(model, damping=1.0, prune=5, blocks="full", classical=CLASSICAL)
    optimizer.step(loss)
    treatment = optimizer.records[-1].blocks[0].treatment
    assert treatment.max_per_row == 5
    assert treatment.damping == 1.0
    assert treatment.kept_entries is not None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lr": -1.0}, "lr is -1.0; it must be finite and 0 or more"),
        ({"damping": -0.5}, "damping is -0.5"),
        ({"damping": math.nan}, "damping is nan"),
        ({"prune": 0}, "prune is 0"),
        ({"prune": 1.5}, "prune is 1.5"),
        ({"policy": "best"}, "no policy is called 'best'"),
        ({"policy": "paper"}, "needs a quantum machine"),
        ({"quantum": "warp-drive"}, "warp-drive"),
        ({"warmup": -1}, "warmup is -1"),
        ({"warmup": "soon"}, "warmup is 'soon'"),
        ({"blocks": "row"}, "row"),
        ({"curvature": "jacobian"}, "jacobian"),
    ],
)
def test_a_wrong_setting_is_named_with_its_limits(settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        QNewton(nn.Linear(2, 2), classical=CLASSICAL, **settings)


def test_a_block_across_groups_with_different_damping_is_refused() -> None:
    model, loss = make_problem()
    groups = [
        {"params": list(model[0].parameters()), "damping": 1.0},
        {"params": list(model[2].parameters()), "damping": 2.0},
    ]
    with pytest.raises(ValueError, match="spans parameter groups"):
        QNewton(groups, blocks="full", classical=CLASSICAL)
    optimizer = QNewton(model, blocks="full", classical=CLASSICAL)
    optimizer.param_groups[0]["params"] = groups[0]["params"]
    optimizer.add_param_group(groups[1])
    with pytest.raises(ValueError, match="spans parameter groups"):
        optimizer.step(loss)
    QNewton(groups, blocks="tensor", classical=CLASSICAL).step(loss)


def test_a_closure_that_returns_nothing_is_refused() -> None:
    model, _ = make_problem()
    with pytest.raises(ValueError, match="closure"):
        QNewton(model, classical=CLASSICAL).step(lambda: None)
