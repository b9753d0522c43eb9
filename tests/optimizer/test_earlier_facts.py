"""What steps leave for later ones: products, signs and surveys, through files too."""

import io
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from qnewton import Limits, QNewton, Quantum
from qnewton.records import Sparse


def problem(prune: int | None = None, **settings) -> tuple[QNewton, nn.Module]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 1)).double()
    return QNewton(net, damping=1.0, blocks="full", prune=prune, **settings), net


def closure_of(net: nn.Module):
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(1)).double()
    return lambda: mse_loss(net(x), x.sum(1, keepdim=True).sin())


def test_the_products_of_one_step_price_the_next():
    optimizer, net = problem(limits=Limits(max_dense=0))
    closure = closure_of(net)
    for _ in range(3):
        optimizer.step(closure)
    first, second, third = (record.blocks[0] for record in optimizer.records)
    spent = first.attempts[0].products
    assert first.solver == "cg"
    assert second.facts.earlier is not None
    assert second.facts.earlier.cg.products == spent
    assert third.facts.earlier is not None
    assert third.facts.earlier.step == 1


def test_a_resumed_optimizer_decides_from_the_same_facts():
    whole, net = problem()
    cut, other = problem()
    for _ in range(4):
        whole.step(closure_of(net))
    for _ in range(2):
        cut.step(closure_of(other))
    buffer = io.BytesIO()
    torch.save(cut.state_dict(), buffer)
    again = QNewton(other, damping=1.0, blocks="full")
    again.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    for _ in range(2):
        again.step(closure_of(other))
    for one, two in zip(list(whole.records)[2:], again.records, strict=True):
        assert asdict(one.blocks[0].facts) == asdict(two.blocks[0].facts)
        assert one.blocks[0].decision == two.blocks[0].decision
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("policy", ["classical", "quantum-only", "paper"])
def test_a_survey_is_used_again_until_it_is_old(policy: str):
    optimizer, net = problem(policy=policy, quantum=Quantum("attosecond", survey_every=3))
    for _ in range(5):
        optimizer.step(closure_of(net))
    facts = [record.blocks[0].facts for record in optimizer.records]
    spectra = [known.spectrum for known in facts]
    assert [found.measured_at for found in spectra] == [None, 0, 0, None, 3]
    for known, later in zip(facts[1:3], spectra[1:3], strict=True):
        assert later.row_sparsity == spectra[0].row_sparsity
        assert [b.value for b in later.bounds] == [b.value for b in spectra[0].bounds]
        assert later.condition is not None
        assert spectra[0].condition is not None
        assert later.condition.value == spectra[0].condition.value
        assert any("step 0 measured" in note for note in known.notes)
    for record in list(optimizer.records)[1:3]:
        quote = record.blocks[0].decision.quote("qsvt")
        assert quote is not None
        assert quote.seconds is not None
        assert record.modelled is not None
        assert record.modelled.survey == 0.0
    first = optimizer.records[0].modelled
    assert first is not None
    # Policy classical measures κ, d and the norms for quotes it does not pay for.
    assert (first.survey > 0.0) == (policy != "classical")


def test_survey_every_is_at_least_one():
    with pytest.raises(ValueError, match="survey_every is 0; it must be at least 1"):
        problem(quantum=Quantum(survey_every=0))


def test_a_hard_pruned_block_is_held_by_its_entries():
    optimizer, net = problem(prune=5)
    optimizer.step(closure_of(net))
    block = optimizer.records[0].blocks[0]
    assert isinstance(block.facts.held, Sparse)
    assert block.facts.held.entries == block.treatment.kept_entries
    assert block.facts.held.envelope is not None
    offered = {quote.solver for quote in block.decision.quotes}
    assert {"sparse_cg", "sparse_lu", "cholesky"} <= offered
    assert block.attempts[-1].outcome == "solved"


def test_a_lightly_pruned_block_stays_dense():
    optimizer, net = problem(prune=200)
    optimizer.step(closure_of(net))
    assert optimizer.records[0].blocks[0].facts.held.KIND == "formed"
