"""What QNewton is given in groups: values that check themselves, and the keywords they replace."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import qnewton
from qnewton import Classical, Damping, Limits, QNewton, Quantum, Warmup
from qnewton.cost import Audit, load_hardware, nominal_calibration
from qnewton.solvers.quantum import Readout

CALIBRATION = nominal_calibration()
AUDIT = Audit(error_correction="perfect")
HYBRID: dict[str, Any] = {"policy": "hybrid", "damping": 1.0}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Damping(1.0, scale="trace"), "damping_scale is 'trace'"),  # pyright: ignore
        (lambda: Damping(-0.5), "damping is -0.5"),
        (lambda: Damping(float("nan")), "damping is nan"),
        (lambda: Damping("often"), "damping is often"),  # pyright: ignore
        (lambda: Damping(None), "damping is None"),  # pyright: ignore
        (lambda: Damping(Damping(1.0)), "damping is Damping"),  # pyright: ignore
        (lambda: Damping("auto", scale="max-abs"), "leave the scale out"),
        (lambda: Quantum("warp-drive"), "warp-drive"),
        (lambda: Quantum(epsilon=2.0), "epsilon is 2.0; it must lie between 0 and 1"),
        (lambda: Quantum(n_qpus=0), "n_qpus is 0; it must be at least 1"),
        (lambda: Quantum(survey_every=0), "survey_every is 0; it must be at least 1"),
        (lambda: Classical(tolerance=0.0), "tolerance is 0.0; it must lie between 0 and 1"),
        (lambda: Limits(max_dense=-1), "max_dense is -1; it must be 0 rows or more"),
        (lambda: Limits(max_newton=0), "max_newton is 0; it must be at least 1"),
        (lambda: Warmup(first_order_lr=-1.0), "first_order_lr is -1.0"),
    ],
)
def test_a_wrong_value_is_named_with_its_limits(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "spelled"),
    [
        ({"hardware": "attosecond"}, {"quantum": "attosecond"}, "quantum=Quantum(hardware=…)"),
        ({"epsilon": 1e-3}, {"quantum": Quantum(epsilon=1e-3)}, "quantum=Quantum(epsilon=…)"),
        (
            {"readout": Readout(shots=9)},
            {"quantum": Quantum(readout=Readout(shots=9))},
            "quantum=Quantum(readout=…)",
        ),
        (
            {"hardware": "attosecond", "audit": AUDIT, **HYBRID},
            {"quantum": Quantum("attosecond", audit=AUDIT), **HYBRID},
            "quantum=Quantum(hardware=…, audit=…)",
        ),
        ({"n_qpus": 2}, {"quantum": Quantum(n_qpus=2)}, "quantum=Quantum(n_qpus=…)"),
        ({"survey_every": 3}, {"quantum": Quantum(survey_every=3)}, "quantum=Quantum(survey_ev"),
        (
            {"calibration": CALIBRATION},
            {"classical": Classical(calibration=CALIBRATION)},
            "classical=Classical(calibration=…)",
        ),
        (
            {"tolerance": 1e-8},
            {"classical": Classical(tolerance=1e-8)},
            "classical=Classical(tolerance=…)",
        ),
        ({"max_dense": 3}, {"limits": Limits(max_dense=3)}, "limits=Limits(max_dense=…)"),
        (
            {"max_newton": 9, "damping": 1.0},
            {"limits": Limits(max_newton=9), "damping": 1.0},
            "limits=Limits(max_newton=…)",
        ),
        (
            {"damping": 1.0, "damping_scale": "max-abs"},
            {"damping": Damping(1.0, scale="max-abs")},
            "damping=Damping(scale=…)",
        ),
        (
            {"warmup": 2, "first_order_lr": 0.3},
            {"warmup": Warmup(steps=2, first_order_lr=0.3)},
            "warmup=Warmup(first_order_lr=…)",
        ),
    ],
    ids=str,
)
def test_an_old_keyword_warns_once_and_does_the_same(
    old: dict[str, Any], new: dict[str, Any], spelled: str
) -> None:
    with pytest.warns(DeprecationWarning, match="QNewton takes") as caught:
        before = QNewton(nn.Linear(2, 3), **old)
    [warning] = caught.list
    assert warning.filename == __file__
    assert str(warning.message).startswith(f"QNewton takes {spelled}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after = QNewton(nn.Linear(2, 3), **new)
    assert before.market == after.market
    assert before.plan == after.plan
    assert before.warmup == after.warmup
    assert before.survey_every == after.survey_every
    assert before.defaults == after.defaults


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"hardware": None}, {"quantum": "attosecond"}),
        ({"hardware": "ibm_heron"}, {"quantum": Quantum("attosecond")}),
        ({"epsilon": 1e-3}, {"quantum": Quantum(epsilon=1e-6)}),
        ({"readout": Readout(shots=9)}, {"quantum": Quantum(readout=Readout(shots=10))}),
        ({"audit": AUDIT}, {"quantum": Quantum(audit=Audit())}),
        ({"n_qpus": 2}, {"quantum": Quantum(n_qpus=3)}),
        ({"survey_every": 1}, {"quantum": Quantum(survey_every=2)}),
        ({"calibration": None}, {"classical": Classical(calibration=CALIBRATION)}),
        ({"tolerance": None}, {"classical": Classical(tolerance=1e-8)}),
        ({"max_dense": 3}, {"limits": Limits(max_dense=0)}),
        ({"max_newton": 9}, {"limits": Limits(max_newton=8), "damping": 1.0}),
        ({"damping_scale": "absolute"}, {"damping": Damping(1.0, scale="max-abs")}),
        ({"first_order_lr": 0.3}, {"warmup": Warmup(steps=2, first_order_lr=0.2)}),
    ],
    ids=str,
)
def test_an_old_keyword_against_its_new_value_is_refused(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    [(name, _)], [argument, *_] = old.items(), new
    with pytest.raises(ValueError, match=f"^{name} and {argument} say two .*{argument}=") as caught:
        QNewton(nn.Linear(2, 3), **old, **new)
    assert "\n" not in str(caught.value)


def test_an_old_keyword_beside_a_new_value_that_says_the_same_warns_alone() -> None:
    with pytest.warns(DeprecationWarning, match="in place of epsilon"):
        optimizer = QNewton(nn.Linear(2, 3), epsilon=1e-6, quantum=Quantum(epsilon=1e-6))
    assert optimizer.market.epsilon == 1e-6


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"damping": Damping(1.0, scale="max-abs"), "damping_scale": "absolute"}, "give it once"),
        ({"quantum": Quantum("attosecond")}, "no quantum=Quantum"),
        ({"classical": Classical(tolerance=1e-8)}, "no classical=Classical"),
        ({"limits": Limits(max_dense=3)}, "no limits=Limits"),
        ({"warmup": Warmup(first_order_lr=0.3)}, "no warmup=Warmup.*set lr, .*first_order_lr"),
    ],
    ids=str,
)
def test_a_group_refuses_what_it_would_not_obey(setting: dict[str, Any], says: str) -> None:
    optimizer = QNewton(nn.Linear(2, 3), damping=1.0)
    with pytest.raises(ValueError, match=says) as caught:
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], **setting})
    assert "\n" not in str(caught.value)
    assert len(optimizer.param_groups) == 1


def test_a_group_takes_the_scale_beside_its_damping() -> None:
    optimizer = QNewton(nn.Linear(2, 3), damping=1.0)
    own = {"damping": Damping(0.5), "damping_scale": "max-abs"}
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], **own})
    group = optimizer.param_groups[-1]
    assert (group["damping"], group["damping_scale"]) == (0.5, "max-abs")


@pytest.mark.parametrize("wrong", [{"classical": 1e-6}, {"classical": None}, {"limits": 100}])
def test_a_value_of_another_kind_is_named(wrong: dict[str, Any]) -> None:
    [name] = wrong
    with pytest.raises(TypeError, match=f"^{name} is .*; pass a {name.title()}, or leave it out$"):
        QNewton(nn.Linear(2, 2), **wrong)


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="no argument 'momentum'"):
        QNewton(nn.Linear(2, 2), momentum=0.9)  # pyright: ignore[reportCallIssue]


def test_a_machine_is_named_loaded_or_part_of_a_value() -> None:
    machine = load_hardware("attosecond")
    for quantum in ("attosecond", machine, Quantum("attosecond"), Quantum(machine)):
        assert QNewton(nn.Linear(2, 2), quantum=quantum).market.hardware == machine
    assert QNewton(nn.Linear(2, 2)).market.hardware is None


def test_a_group_takes_a_damping_with_its_scale() -> None:
    one, two = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [one]}, {"params": [two], "damping": Damping(0.5, scale="max-abs")}]
    optimizer = QNewton(groups, damping=1.0)
    assert [(g["damping"], g["damping_scale"]) for g in optimizer.param_groups] == [
        (1.0, "absolute"),
        (0.5, "max-abs"),
    ]
    optimizer.step(lambda: (one**2).sum() + 3 * (two**2).sum())
    assert [b.treatment.damping for b in optimizer.records[-1].blocks] == [1.0, 3.0]
    # The state is plain values, as it was before there were such values.
    other = QNewton(copy.deepcopy(groups), damping=1.0)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[1]["damping_scale"] == "max-abs"


def test_the_values_are_offered_where_qnewton_is() -> None:
    for name in ("Quantum", "Classical", "Limits", "Damping", "Warmup"):
        assert getattr(qnewton, name) is getattr(qnewton.optimizer, name)
