"""What has no second derivative is refused by its own name, with the way out that fits it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qnewton.curvature import systems
from qnewton.curvature.autograd import not_twice_differentiable

TARGETS = torch.tensor([0, 1, 1, 0])


def entries(model: nn.Module, closure: Callable[[], Tensor], kind: str = "hessian") -> Tensor:
    [system] = systems(model, closure, kind=kind, blocks="full")  # type: ignore[arg-type]
    return system.operator.dense()


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 4)


def ctc(f: Tensor) -> Tensor:
    labels, lengths = torch.tensor([[1], [2]]), torch.tensor([2, 2])
    return F.ctc_loss(f.view(2, 2, 4).log_softmax(2), labels, lengths, lengths // 2)


LOSSES = {
    "ctc_loss": (ctc, "torch.logsumexp"),
    "torch.cdist": (lambda f: torch.cdist(f, torch.zeros(1, 4)).sum(), "norm of the differences"),
    "pdist": (lambda f: F.pdist(f).sum(), "norm of the differences"),
    "a multi-class margin loss": (lambda f: F.multi_margin_loss(f, TARGETS), "clamp"),
    "segment_reduce": (
        lambda f: torch.segment_reduce(f, "max", lengths=torch.tensor([2, 2])).square().sum(),
        "scatter_reduce",
    ),
}


@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
@pytest.mark.parametrize("name", LOSSES)
def test_an_operation_without_a_double_backward_is_named(name, kind):
    loss, way_out = LOSSES[name]
    net, x = linear(), torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    with pytest.raises(
        ValueError, match=rf"twice \({name} has no double backward\); .*{way_out}"
    ) as e:
        entries(net, lambda: loss(net(x)), kind)
    assert "\n" not in str(e.value)
    assert "attention" not in str(e.value)


class Bags(nn.Module):
    def __init__(self, mode: str):
        super().__init__()
        torch.manual_seed(0)
        self.bags, self.head = nn.EmbeddingBag(5, 3, mode=mode), nn.Linear(3, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.bags(tokens))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag_is_named_and_first_derivatives_of_it_serve(mode):
    net, tokens = Bags(mode), torch.tensor([[0, 1], [2, 3]])
    with pytest.raises(ValueError, match=r"twice \(EmbeddingBag has no .*nn\.Embedding"):
        entries(net, lambda: net(tokens).square().mean())
    assert entries(net, lambda: net(tokens).square().mean(), "fisher").isfinite().all()


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.query = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        q = self.query(x)[:, None]
        return F.scaled_dot_product_attention(q, q, q)[:, 0].mean(1)


def test_attention_is_run_by_operations_with_second_derivatives():
    net, x = Heads(), torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1))
    found = entries(net, lambda: net(x).square().mean())
    assert torch.backends.cuda.flash_sdp_enabled()
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        torch.testing.assert_close(entries(net, lambda: net(x).square().mean()), found)


def test_a_kernel_that_the_closure_insists_on_gets_the_advice_on_attention():
    net, x = Heads(), torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1))

    def closure():
        with nn.attention.sdpa_kernel(nn.attention.SDPBackend.FLASH_ATTENTION):
            return net(x).square().mean()

    with pytest.raises(ValueError, match=r"scaled_dot_product_attention .*SDPBackend\.MATH"):
        entries(net, closure)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("derivative for aten::_cudnn_rnn_backward is not implemented", r"cudnn\.flags"),
        ("the derivative for '_cudnn_rnn_backward' is not implemented. Double", r"cudnn\.flags"),
        (
            "derivative for aten::_scaled_dot_product_efficient_attention_backward is not "
            "implemented",
            r"SDPBackend\.MATH",
        ),
        (
            "derivative for aten::_new_kernel_backward is not implemented",
            "operation new_kernel has",
        ),
        ("torch.compile with aot_autograd does not support double backward", "without torch"),
        ("something else", r"twice \(something else\)$"),
    ],
)
def test_kernels_of_other_machines_are_known_by_pytorchs_words(said, expected):
    with pytest.raises(ValueError, match=expected):
        raise not_twice_differentiable(RuntimeError(said))


def test_memory_that_ran_out_is_no_matter_of_derivatives():
    with pytest.raises(torch.OutOfMemoryError):
        not_twice_differentiable(torch.OutOfMemoryError("no memory"))
