"""Every name of PyTorch's that it does not promise is still there, and means what it meant."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import (
    batch_norm,
    conv2d,
    cross_entropy,
    embedding,
    huber_loss,
    layer_norm,
    mse_loss,
    smooth_l1_loss,
)

import qnewton
from qnewton.operators import private_torch
from qnewton.operators.private_torch import Saved, saved

HERE = Path(private_torch.__file__)


def live(*shape: int) -> Tensor:
    return torch.ones(shape, requires_grad=True)


def node(result: Tensor) -> torch.autograd.graph.Node:
    assert result.grad_fn is not None
    return result.grad_fn


def likelihood() -> torch.autograd.graph.Node:
    loss = cross_entropy(live(2, 3), torch.tensor([0, 1]), torch.ones(3), ignore_index=-7)
    return node(loss)


def derivative_of_a_convolution() -> torch.autograd.graph.Node:
    x = live(1, 1, 2, 2)
    [slope] = torch.autograd.grad(conv2d(x, live(1, 1, 1, 1)).sum(), x, create_graph=True)
    return node(slope)


def convolution() -> torch.autograd.graph.Node:
    return node(conv2d(torch.ones(1, 2, 3, 3), live(2, 1, 1, 1), None, 1, (0, 2), (3, 4), 2))


def lookup(**options: Any) -> torch.autograd.graph.Node:
    return node(embedding(torch.tensor([2]), live(3, 1), **options))


def frozen() -> torch.autograd.graph.Node:
    mean, variance = torch.full((1,), 2.0), torch.full((1,), 3.0)
    return node(batch_norm(torch.ones(2, 1), mean, variance, live(1), eps=0.5))


def normed() -> torch.autograd.graph.Node:
    return node(layer_norm(torch.tensor([[1.0, 3.0]]), (2,), live(2), eps=0.0))


KEPT = {
    Saved.REDUCTION: (lambda: node(mse_loss(live(2), torch.zeros(2))), 1),
    Saved.OTHER: (lambda: node(live(2) / 2.0), 2.0),
    Saved.TARGET: (likelihood, torch.tensor([0, 1])),
    Saved.IGNORE_INDEX: (likelihood, (1 << 64) - 7),
    Saved.WEIGHT: (likelihood, torch.ones(3)),
    Saved.DIM: (lambda: node(live(3)[1:2]), 0),
    Saved.START: (lambda: node(live(3)[1:2]), 1),
    Saved.END: (lambda: node(live(3)[1:2]), 2),
    Saved.SIZES: (lambda: node(live(3)[1:2]), (3,)),
    Saved.TRANSPOSED: (lambda: node(conv2d(live(1, 1, 2, 2), live(1, 1, 1, 1))), False),
    Saved.SELF: (lambda: node(live(2) ** 2), torch.ones(2)),
    Saved.TENSOR: (lambda: node(live(2) @ torch.zeros(2)), torch.zeros(2)),
    Saved.EXPONENT: (lambda: node(live(2) ** 2), 2),
    Saved.ORD: (lambda: node(torch.linalg.vector_norm(live(2))), 2),
    Saved.ALPHA: (lambda: node(torch.add(live(2), live(2), alpha=3)), 3),
    Saved.KEEPDIM: (lambda: node(live(2).sum(0, keepdim=True)), True),
    Saved.NUMEL: (lambda: node(live(2).mean()), 2),
    Saved.BETA: (lambda: node(smooth_l1_loss(live(2), torch.zeros(2), beta=0.5)), 0.5),
    Saved.DELTA: (lambda: node(huber_loss(live(2), torch.zeros(2), delta=0.5)), 0.5),
    Saved.MAT1: (
        lambda: node(torch.addmm(live(1), torch.ones(1, 2), live(2, 1))),
        torch.ones(1, 2),
    ),
    Saved.MAT2: (lambda: node(live(1, 2) @ torch.ones(2, 1)), torch.ones(2, 1)),
    Saved.INPUT: (convolution, torch.ones(1, 2, 3, 3)),
    Saved.GRAD_OUTPUT: (derivative_of_a_convolution, torch.ones(1, 1, 2, 2)),
    Saved.STRIDE: (convolution, (1, 1)),
    Saved.PADDING: (convolution, (0, 2)),
    Saved.DILATION: (convolution, (3, 4)),
    Saved.GROUPS: (convolution, 2),
    Saved.INDICES: (lookup, torch.tensor([2])),
    Saved.PADDING_INDEX: (lambda: lookup(padding_idx=1), 1),
    Saved.BY_FREQUENCY: (lambda: lookup(scale_grad_by_freq=True), True),
    Saved.RUNNING_MEAN: (frozen, torch.full((1,), 2.0)),
    Saved.RUNNING_VARIANCE: (frozen, torch.full((1,), 3.0)),
    Saved.EPS: (frozen, 0.5),
    Saved.TRAINING: (frozen, False),
    Saved.MEAN: (normed, torch.tensor([[2.0]])),
    Saved.INVERSE_DEVIATION: (normed, torch.tensor([[1.0]])),
}


def vanished(name: str) -> str:
    return f"torch {torch.__version__} no longer has {name}, or means another thing: see {HERE}"


@pytest.mark.parametrize("what", Saved)
def test_nodes_keep_what_is_read(what: Saved) -> None:
    make, expected = KEPT[what]
    found = saved(make(), what)
    same = torch.equal(found, expected) if isinstance(expected, Tensor) else found == expected
    assert same, vanished(what.value)
    assert saved(node(live(2).sigmoid()), what) is None


def test_what_was_freed_or_changed_is_not_kept() -> None:
    x = torch.ones(2)
    product = x @ live(2)
    assert private_torch.kept(node(product), Saved.SELF) is x
    assert private_torch.kept(node(product), Saved.OTHER) is None
    x.add_(1.0)
    assert private_torch.kept(node(product), Saved.SELF) is None
    again = x @ live(2)
    again.backward()
    assert private_torch.kept(node(again), Saved.SELF) is None


def test_the_graph_tells_leaves_shapes_and_functions() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[override]
            assert private_torch.inside_a_function(), vanished("_C._is_fwd_grad_enabled")
            return 2 * x

        @staticmethod
        def backward(ctx, grad):  # type: ignore[override]
            return 2 * grad

    class Once(Twice):
        @staticmethod
        @once_differentiable
        def backward(ctx, grad):  # type: ignore[override]
            return 2 * grad

    x = live(4, 3)
    product = node(x @ torch.ones(3, 2))
    assert private_torch.leaf(product.next_functions[0][0]) is x, vanished(
        "AccumulateGrad.variable"
    )
    assert private_torch.leaf(product) is None
    assert private_torch.result_shape(product) == torch.Size([4, 2]), vanished("_input_metadata")
    assert private_torch.result_shape(product, 1) is None
    assert private_torch.result_shape(None) is None
    twice, once = node(Twice.apply(x)), node(Once.apply(x))  # type: ignore[arg-type]
    assert private_torch.custom_function(twice) is Twice, vanished("_forward_cls")
    assert private_torch.custom_function(product) is None
    assert private_torch.is_once_differentiable(once), vanished("once_differentiable's wrapper")
    assert not private_torch.is_once_differentiable(twice)
    with torch.no_grad():
        assert not private_torch.inside_a_function(), vanished("_C._is_fwd_grad_enabled")


def test_tensors_count_changes_and_modules_register_buffers() -> None:
    x = torch.ones(2)
    before = private_torch.version(x)
    assert private_torch.version(x.add_(1)) == before + 1, vanished("_version")
    norm = nn.BatchNorm1d(1)
    buffers = private_torch.registered_buffers(norm)
    assert set(buffers) == {name for name, _ in norm.named_buffers()}, vanished("_buffers")
    buffers["running_mean"] = torch.full((1,), 7.0)
    assert norm.running_mean is buffers["running_mean"], vanished("_buffers")
    view = x[:1]
    assert private_torch.is_shared(x), vanished("_C._storage_Use_Count")
    del view
    assert not private_torch.is_shared(x), vanished("_C._storage_Use_Count")
    assert private_torch.own_parameters(norm) == [*norm.parameters()], vanished("_parameters")
    assert not private_torch.is_flattened(x)
    fsdp = importlib.util.find_spec("torch.distributed.fsdp")
    assert fsdp is not None
    assert fsdp.origin is not None
    source = Path(fsdp.origin).with_name("_flat_param.py").read_text()
    assert "_fsdp_flattened" in source, vanished("_fsdp_flattened")


def test_many_tensors_at_once() -> None:
    x, y = [torch.tensor([3.0, 4.0])], [torch.ones(2)]
    assert private_torch.norms(x)[0] == 5.0, vanished("_foreach_norm")
    assert torch.equal(private_torch.sums(x, y, 2.0)[0], torch.tensor([5.0, 6.0])), vanished(
        "_foreach_add"
    )
    private_torch.add_(x, y, 2.0)
    assert torch.equal(x[0], torch.tensor([5.0, 6.0])), vanished("_foreach_add_")


def test_what_compiles_has_the_compiler_loaded() -> None:
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1))
    assert private_torch.compiler_is_loaded(), vanished("torch._dynamo")


PRIVATE = re.compile(
    r"torch\._(?!_)|_pytree|_saved_|_input_metadata|_forward_cls|_fsdp|\b(?!self|cls)\w+\._(version\b|"
    r"buffers\b|parameters\b|forward_hooks|backward_hooks|modules\b)|\"variable\""
)


def test_no_other_file_uses_them() -> None:
    root = Path(qnewton.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path != HERE:
            lines = enumerate(path.read_text().splitlines(), 1)
            found = [f"{n}: {line}" for n, line in lines if PRIVATE.search(line)]
            assert not found, f"{path.relative_to(root)} has what belongs in {HERE.name}: {found}"
