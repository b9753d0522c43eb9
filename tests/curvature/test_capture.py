import gc
import weakref

import pytest
import torch
from torch import nn

from qnewton.curvature import Curvature, systems
from tests.cases import classification, mlp


@pytest.fixture
def problem():
    net = mlp((4, 3, 2))
    x, y = classification(8, 4, 2)
    return net, lambda: nn.functional.cross_entropy(net(x), y)


def expected_gradient(net, loss):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss(), list(net.parameters()))])


def full_gradient(curvature, evaluation):
    return evaluation.gradient(curvature.parameters)


def backward_and_return(net, loss, returned):
    def closure():
        net.zero_grad()
        value = loss()
        value.backward()
        return returned(value)

    return closure


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    "returned",
    [lambda v: v, lambda v: v.detach(), lambda v: v.item(), lambda v: v.detach().reshape(1)],
    ids=["live", "detached", "float", "one element"],
)
def test_a_closure_that_calls_backward(problem, keep, returned):
    net, loss = problem
    curvature = Curvature(net, blocks="full")
    evaluation = curvature.evaluate(backward_and_return(net, loss, returned), curvature=keep)
    assert evaluation.loss == pytest.approx(float(loss().detach()))
    torch.testing.assert_close(full_gradient(curvature, evaluation), expected_gradient(net, loss))
    assert (evaluation.root is not None) == keep


@pytest.mark.parametrize("keep", [True, False])
def test_a_closure_that_only_returns_the_loss_overwrites_old_gradients(problem, keep):
    net, loss = problem
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    curvature = Curvature(net)
    evaluation = curvature.evaluate(loss, curvature=keep)
    torch.testing.assert_close(full_gradient(curvature, evaluation), expected_gradient(net, loss))
    assert all(p.grad is not None and not p.grad.requires_grad for p in net.parameters())


def test_several_backward_calls_add_up(problem):
    net, loss = problem
    x = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4)

    def closure():
        net.zero_grad()
        first = loss()
        first.backward()
        net(x).backward(gradient=torch.full((3, 2), 0.5, dtype=torch.float64))
        return first

    curvature = Curvature(net, blocks="full")
    [system] = curvature.systems(curvature.evaluate(closure))

    def total():
        return loss() + 0.5 * net(x).sum()

    torch.testing.assert_close(-system.rhs, expected_gradient(net, total))
    one = Curvature(net, blocks="full")
    [reference] = one.systems(one.evaluate(total))
    torch.testing.assert_close(system.operator.dense(), reference.operator.dense())


def test_the_loss_may_be_changed_in_place_after_backward(problem):
    net, loss = problem

    def closure():
        net.zero_grad()
        value = loss()
        value.backward()
        value *= 100
        return value

    curvature = Curvature(net, blocks="full")
    [changed] = curvature.systems(curvature.evaluate(closure))
    [plain] = curvature.systems(curvature.evaluate(loss))
    torch.testing.assert_close(changed.operator.dense(), plain.operator.dense())


def test_clipping_inside_the_closure_counts_in_the_right_hand_side(problem):
    net, loss = problem

    def closure():
        net.zero_grad()
        value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
        return value

    curvature = Curvature(net, blocks="full")
    [system] = curvature.systems(curvature.evaluate(closure))
    assert float(system.rhs.norm()) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("keep", [True, False])
def test_gradients_that_were_not_cleared_are_refused_before_anything_is_added(problem, keep):
    net, loss = problem

    def closure():
        value = loss()
        value.backward()
        return value

    curvature = Curvature(net)
    first = full_gradient(curvature, curvature.evaluate(closure))
    curvature = Curvature(net)
    with pytest.raises(ValueError, match=r"had not cleared.*loop over the micro-batches inside"):
        curvature.evaluate(closure, curvature=keep)
    left = torch.cat([p.grad.flatten() for p in net.parameters()])
    torch.testing.assert_close(left, first)
    twice = curvature.evaluate(closure, curvature=keep, accumulates=True)
    assert twice.accumulated
    torch.testing.assert_close(full_gradient(curvature, twice), 2 * expected_gradient(net, loss))


def test_backward_calls_of_one_closure_add_up_and_those_cleared_in_between_do_not(problem):
    net, loss = problem

    def closure():
        net.zero_grad()
        (3 * loss()).backward()
        net.zero_grad()
        total = 0.0
        for _ in range(2):
            value = loss() / 2
            value.backward()
            total += value.item()
        return total

    curvature = Curvature(net, blocks="full")
    evaluation = curvature.evaluate(closure)
    assert not evaluation.accumulated
    torch.testing.assert_close(full_gradient(curvature, evaluation), expected_gradient(net, loss))
    [system] = curvature.systems(evaluation)
    [plain] = systems(net, loss, blocks="full")
    torch.testing.assert_close(system.operator.dense(), plain.operator.dense())


def test_backward_under_no_grad_is_seen_with_its_graph(problem):
    net, loss = problem

    def closure():
        net.zero_grad()
        value = loss()
        with torch.no_grad():
            value.backward()
        return value

    curvature = Curvature(net, blocks="full")
    [system] = curvature.systems(curvature.evaluate(closure))
    assert system.operator.dense().abs().max() > 0


def test_gradients_do_not_carry_a_graph(problem):
    net, loss = problem
    curvature = Curvature(net, blocks="full")
    evaluation = curvature.evaluate(backward_and_return(net, loss, lambda v: v))
    curvature.systems(evaluation)[0].operator.dense()
    assert all(p.grad is not None and p.grad.grad_fn is None for p in net.parameters())


def test_the_closure_runs_with_gradients_even_under_no_grad(problem):
    net, loss = problem
    curvature = Curvature(net, blocks="full")
    with torch.no_grad():
        [system] = curvature.systems(curvature.evaluate(loss))
        assert system.operator.dense().abs().max() > 0


@pytest.mark.parametrize("blocks", ["full", "layer"])
def test_steps_leave_no_graph_behind(problem, blocks):
    net, loss = problem
    curvature = Curvature(net, blocks=blocks)
    closure = backward_and_return(net, loss, lambda v: v.detach())

    def step():
        evaluation = curvature.evaluate(closure)
        for system in curvature.systems(evaluation):
            system.operator.dense()
        assert evaluation.root is not None
        return weakref.ref(evaluation.root)

    gc.collect()
    gc.disable()  # reference counting alone must do it: cycles would pile up between collections
    try:
        roots = [step() for _ in range(20)]
        assert sum(root() is not None for root in roots) == 0
    finally:
        gc.enable()


def test_release_drops_the_graph_but_not_the_numbers(problem):
    net, loss = problem
    curvature = Curvature(net)
    evaluation = curvature.evaluate(loss)
    evaluation.release()
    assert evaluation.root is None
    assert full_gradient(curvature, evaluation).norm() > 0
    with pytest.raises(ValueError, match="keeps no graph"):
        curvature.systems(evaluation)


def test_first_order_evaluations_keep_no_graph_and_install_no_hooks(problem):
    net, loss = problem
    seen = []

    def closure():
        seen.append([len(m._forward_hooks) for m in net])
        return loss()

    evaluation = Curvature(net).evaluate(closure, curvature=False)
    assert seen == [[0, 0, 0]]
    assert (evaluation.root, evaluation.calls) == (None, ())
    with pytest.raises(ValueError, match="curvature=True"):
        Curvature(net).systems(evaluation)


def test_hooks_are_removed_and_modes_untouched_when_the_closure_raises(problem):
    net, loss = problem
    net.eval()
    net[0].train()

    def closure():
        loss()
        raise KeyError("the data ran out")

    with pytest.raises(KeyError):
        Curvature(net).evaluate(closure)
    assert all(not m._forward_hooks for m in net)
    assert [m.training for m in net] == [True, False, False]


def test_the_global_random_state_is_untouched(problem):
    net, loss = problem
    before = torch.random.get_rng_state()
    curvature = Curvature(net, blocks="full")
    curvature.systems(curvature.evaluate(loss))[0].operator.dense()
    assert torch.equal(before, torch.random.get_rng_state())


def test_batch_and_flops_come_from_the_linear_layers(problem):
    net, loss = problem
    evaluation = Curvature(net).evaluate(loss)
    assert evaluation.batch == 8
    assert evaluation.forward_backward_flops == 6 * 8 * (4 * 3 + 3 * 2)


def test_calls_without_gradient_are_not_recorded(problem):
    net, loss = problem

    def closure():
        with torch.no_grad():
            loss()
        return loss()

    curvature = Curvature(net, blocks="full")
    [system] = curvature.systems(curvature.evaluate(closure))
    assert system.curvature is not None
    assert system.curvature.route == "closed-form"


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda v: None, "returned NoneType"),
        (lambda v: torch.stack([v, v]), r"shape \(2,\)"),
        (lambda v: v.detach(), "without a graph"),
        (lambda v: v.item(), "without a graph"),
    ],
)
def test_a_closure_that_gives_no_gradient_is_refused_in_one_line(problem, keep, returned, message):
    net, loss = problem
    with pytest.raises(ValueError, match=message) as caught:
        Curvature(net).evaluate(lambda: returned(loss()), curvature=keep)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [True, False])
def test_torch_autograd_backward_is_refused_because_it_cannot_be_seen(problem, keep):
    net, loss = problem

    def closure():
        value = loss()
        torch.autograd.backward(value)
        return value

    with pytest.raises(ValueError, match=r"torch\.autograd\.backward cannot be seen"):
        Curvature(net).evaluate(closure, curvature=keep)


def test_backward_with_inputs_is_refused(problem):
    net, loss = problem

    def closure():
        value = loss()
        value.backward(inputs=[net[0].weight])
        return value

    with pytest.raises(ValueError, match="backward\\(inputs"):
        Curvature(net).evaluate(closure)


def test_a_non_finite_loss_is_returned(problem):
    net, loss = problem
    evaluation = Curvature(net).evaluate(lambda: loss() * float("inf"))
    assert evaluation.loss == float("inf")


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_backward_calls_that_share_a_graph_are_no_micro_batches(problem, kind):
    net, _ = problem
    x = torch.randn(6, 4).to(net[0].weight)

    def two_of_one_output():
        net.zero_grad()
        output = net(x)
        first, second = output.square().mean() / 2, output.exp().mean() / 3
        first.backward(retain_graph=True)
        second.backward()
        return first.detach() + second.detach()

    def one():
        output = net(x)
        return output.square().mean() / 2 + output.exp().mean() / 3

    [system] = systems(net, two_of_one_output, kind, blocks="full")
    [expected] = systems(net, one, kind, blocks="full")
    torch.testing.assert_close(system.operator.dense(), expected.operator.dense())

    def of_both_outputs():
        net.zero_grad()
        first = net(x[:3])
        first.sum().backward(retain_graph=True)
        second = net(x[3:])
        (first * second).sum().backward()
        return 0.0

    with pytest.raises(
        ValueError, match=r"called the model 2 times, limit 1; .* backward after each"
    ):
        systems(net, of_both_outputs, kind, blocks="full")
