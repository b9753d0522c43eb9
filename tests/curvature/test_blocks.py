import pytest
import torch
from torch import nn

from qnewton.curvature import partition


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.body = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.ReLU())
        self.head = nn.Linear(2, 2)


def test_layer_blocks_keep_a_modules_parameters_together():
    blocks = partition(Nested(), "layer")
    assert [(b.name, b.names) for b in blocks] == [
        ("model", ("scale",)),
        ("body.0", ("body.0.weight", "body.0.bias")),
        ("body.1", ("body.1.weight", "body.1.bias")),
        ("head", ("head.weight", "head.bias")),
    ]


@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_every_partition_lists_the_parameters_in_named_parameters_order(blocks):
    net = Nested()
    found = [p for block in partition(net, blocks) for p in block.parameters]
    assert [id(p) for p in found] == [id(p) for p in net.parameters()]


def test_tensor_blocks_are_named_after_their_parameter():
    assert [b.name for b in partition(nn.Linear(2, 1), "tensor")] == ["weight", "bias"]


def test_a_tied_parameter_belongs_to_its_first_module():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert [b.names for b in partition(net, "layer")] == [("0.weight", "0.bias"), ("1.bias",)]


def test_frozen_parameters_are_left_out():
    net = Nested()
    net.head.requires_grad_(False)
    net.body[0].bias.requires_grad_(False)
    assert [b.names for b in partition(net, "layer")][1] == ("body.0.weight",)
    assert sum(b.n for b in partition(net, "full")) == 2 + 6 + 4


def test_a_parameter_list_gives_full_and_tensor_blocks():
    parameters = list(nn.Linear(3, 2).parameters())
    assert [b.n for b in partition(iter(parameters), "full")] == [8]
    assert [b.n for b in partition(parameters, "tensor")] == [6, 2]


def test_a_parameter_list_has_no_layers():
    with pytest.raises(ValueError, match="needs a module"):
        partition(list(nn.Linear(3, 2).parameters()), "layer")


def test_refusals_name_the_value():
    with pytest.raises(ValueError, match="blocks='rows' is unknown"):
        partition(nn.Linear(2, 2), "rows")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing can be trained"):
        partition(nn.Linear(2, 2).requires_grad_(False), "full")
    with pytest.raises(ValueError, match="bfloat16"):
        partition(nn.Linear(2, 2).to(torch.bfloat16), "full")
    with pytest.raises(ValueError, match=r"mix torch\.float32"):
        partition(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), "full")
