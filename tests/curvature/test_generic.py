import pytest
import torch
from torch import Tensor

from qnewton.curvature import systems
from qnewton.curvature.autograd import batched_grad
from qnewton.curvature.generic import GradientGraph
from qnewton.operators.symmetric import mirror_upper_


class NoBatching(torch.autograd.Function):
    """x³ whose second derivative reads a number out of a tensor, which vmap refuses."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        float(grad.sum())
        return 3 * x**2 * grad


def test_an_operation_without_batching_is_done_one_by_one():
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    y = NoBatching.apply(x)
    [found] = batched_grad([y], [x], [torch.eye(3, dtype=torch.float64)])
    torch.testing.assert_close(found, torch.diag(3 * x.detach() ** 2))


def test_a_quadratic_gives_its_matrix():
    half = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = half + half.mT
    x = torch.ones(5, dtype=torch.float64, requires_grad=True)
    [system] = systems([x], lambda: x @ matrix @ x / 2, blocks="full")
    torch.testing.assert_close(system.operator.dense(), matrix)
    torch.testing.assert_close(system.rhs, -(matrix @ x.detach()))
    assert system.curvature is not None
    assert system.curvature.route == "generic"
    # x A x: two products with a vector, forward and backward; a row differentiates both again.
    assert system.curvature.product_flops == 2 * 6 * (5 * 5 + 5)
    assert system.curvature.forming_flops == 5 * system.curvature.product_flops


def test_more_rows_than_one_chunk():
    x = torch.linspace(0, 1, 70, dtype=torch.float64).requires_grad_()
    [system] = systems([x], lambda: (x.sum() ** 2 + x**4).sum(), blocks="full")
    expected = torch.full((70, 70), 140.0, dtype=torch.float64) + torch.diag(12 * x.detach() ** 2)
    torch.testing.assert_close(system.operator.dense(), expected)


@pytest.mark.parametrize("most", [1, 7, 32, 500])
@pytest.mark.parametrize("sizes", [(70,), (3, 40, 2, 16), (1, 1, 1), (15, 1, 33)])
def test_batches_of_rows_cut_at_parameters_give_the_same_entries(monkeypatch, sizes, most):
    monkeypatch.setattr("qnewton.curvature.generic.CHUNK", most)
    generator = torch.Generator().manual_seed(0)
    n = sum(sizes)
    half = torch.randn(n, n, generator=generator, dtype=torch.float64)
    x = [torch.ones(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    matrix = half + half.mT
    [system] = systems(x, lambda: torch.cat(x) @ matrix @ torch.cat(x) / 2, blocks="full")
    torch.testing.assert_close(system.operator.dense(), matrix)


def test_unreached_and_linear_parameters_give_zero_rows():
    x, linear, unused = (torch.ones(2, requires_grad=True) for _ in range(3))
    matrix = systems([x, linear, unused], lambda: x.pow(3).sum() + linear.sum(), blocks="full")
    dense = matrix[0].operator.dense()
    assert torch.equal(dense[:2, :2], 6 * torch.eye(2))
    assert not dense[2:].any()
    [_, first_order, _] = systems(
        [x, linear, unused], lambda: x.sum() + linear.sum(), blocks="tensor"
    )
    assert not first_order.operator.dense().any()


def test_a_loss_that_allows_one_derivative_only_says_what_to_do():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[override]
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[override]
            (x,) = ctx.saved_tensors
            return 2 * x * grad

    x = torch.ones(3, requires_grad=True)
    [system] = systems([x], lambda: Once.apply(x).square().sum(), blocks="full")
    with pytest.raises(
        ValueError, match=r"twice \(Once is marked once_differentiable\); "
    ) as caught:
        system.operator.dense()
    assert "\n" not in str(caught.value)
    assert "attention" not in str(caught.value)


def test_blocks_share_one_gradient_graph():
    x, y = (torch.tensor([value], requires_grad=True) for value in (2.0, 3.0))
    graph = GradientGraph((x**2 * y**2).sum(), [x, y])
    assert graph.products([x], torch.ones(1, 1)).item() == 2 * 9
    assert graph.products([y], torch.ones(1, 1)).item() == 2 * 4
    assert torch.equal(graph.products([x, y], torch.eye(2)), torch.tensor([[18.0, 24], [24, 8]]))


@pytest.mark.parametrize("n", [1, 127, 128, 129, 300])
def test_mirroring_keeps_the_upper_triangle(n):
    matrix = torch.randn(n, n, generator=torch.Generator().manual_seed(n))
    mirrored = mirror_upper_(matrix.clone())
    assert torch.equal(mirrored.triu(), matrix.triu())
    assert torch.equal(mirrored, mirrored.mT)
