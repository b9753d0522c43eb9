"""What PyTorch asks of any optimizer: groups, state, copies, and a word to GradScaler."""

import operator
import sys
from collections import defaultdict
from typing import Any, ClassVar

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from qnewton.optimizer.memory import OWN_TENSORS
from qnewton.optimizer.options import Classical, Damping, Limits, Quantum
from qnewton.optimizer.refusals import HALF_PRECISION, refuse_sharded
from qnewton.optimizer.settings import GROUP_SETTINGS, check_settings
from qnewton.optimizer.warmup import Warmup


def _alone(value: Any) -> Any:
    """Return what is a part of a larger tensor as a tensor of its own: a pickle holds the whole."""
    if isinstance(value, Tensor) and value.untyped_storage().nbytes() > value.nbytes:
        return value.clone()
    return value


class ContractOptimizer(Optimizer):
    """Parameter groups that are checked, and counters that survive files and copies.

    Attributes:
        kept: Attributes that a copy or a pickle keeps beside PyTorch's own; hooks and attachments
            stay behind, as they do there.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._forget_counters()
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own.

        Raises:
            ValueError: If a setting is outside its limits, or the parameters are sharded.
        """
        for name, value in param_group.items():
            if isinstance(value, Quantum | Classical | Limits | Warmup):
                raise ValueError(
                    f"a parameter group has no {name}={type(value).__name__}(…), which holds for "
                    f"all groups; groups set {', '.join(GROUP_SETTINGS)}"
                )
        damping = param_group.get("damping")
        if isinstance(damping, Damping):
            given = damping.group_settings
            for name in ("scale", "momentum"):
                key, value = f"damping_{name}", getattr(damping, name)
                own = param_group.get(key, value)
                if value not in (getattr(Damping, name), own):
                    raise ValueError(
                        f"{key} is {own!r} and damping has {name} {value!r}; give it once, as "
                        f"damping=Damping({name}=…)"
                    )
                given[key] = own
            param_group = param_group | given
        super().add_param_group(param_group)
        self._forget_counters()
        try:
            check_settings(self.param_groups[-1])
            refuse_sharded(self.param_groups[-1]["params"])
        except ValueError:
            self.param_groups.pop()
            raise

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles keep."""
        state = {p: {k: _alone(v) for k, v in held.items()} for p, held in self.state.items()}
        kept = {name: self.__dict__[name] for name in self.kept}
        return super().__getstate__() | {"state": defaultdict(dict, state)} | kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Fill what a state saved by an older version lacks.

        Raises:
            ValueError: If it is the state of another optimizer; then nothing is changed.
        """
        for group in state.get("param_groups", []):
            if "damping" not in group:
                names = ", ".join(name for name in group if name != "params")
                raise ValueError(
                    f"the state is of another optimizer: its groups have {names} and no damping; "
                    "load a state that QNewton.state_dict() returned"
                )
        super().__setstate__(state)
        self.defaults.setdefault("maximize", False)
        self.defaults.setdefault("damping_momentum", 0.0)
        self.defaults.setdefault("weight_decay", 0.0)
        for group in self.param_groups:
            for name in GROUP_SETTINGS:
                group.setdefault(name, self.defaults[name])
        self._forget_counters()  # every parameter was given a copy

    @property
    def counters(self) -> dict[str, Any]:
        """``step``, and whether the ``newton`` phase has begun.

        One dictionary under every parameter, because distributed checkpoints ask each for its
        state; plain numbers, because PyTorch casts tensors to the parameter's dtype on loading. A
        parameter with tensors of its own holds a copy, beside them.
        """
        holders = [p for group in self.param_groups for p in group["params"]]
        # Groups may be empty, and parameters that joined late have nothing yet.
        state = next((self.state[p] for p in holders if self.state.get(p)), {})
        if not state or self._counters is None:
            for name in OWN_TENSORS:
                found = {p: self.state[p][name] for p in holders if name in self.state.get(p, {})}
                self._own_tensors[name] = found
            self._counters = {k: v for k, v in state.items() if k not in self._own_tensors}
            self._counters["step"] = int(state.get("step", 0))  # a tensor in older files
            self._counters["newton"] = bool(state.get("newton", False))
            self.state.update(dict.fromkeys(holders, self._counters))
            self._show_own_tensors()
        return self._counters

    def _show_own_tensors(self) -> None:
        """Put what parameters have of their own into the state, where files are made from."""
        assert self._counters is not None
        tensors = [t for held in self._own_tensors.values() for t in held.values()]
        if len(tensors) != len(self._shown) or any(map(operator.is_not, tensors, self._shown)):
            self._shown, self._own_by_parameter = tensors, {}
            for name, held in self._own_tensors.items():
                for parameter, tensor in held.items():
                    self._own_by_parameter.setdefault(parameter, {})[name] = tensor
        self.state.update({p: self._counters | own for p, own in self._own_by_parameter.items()})

    def _forget_counters(self) -> None:
        """Let them be read from the state at the next look."""
        self._counters: dict[str, Any] | None = None
        self._own_tensors: dict[str, dict[Tensor, Tensor]] = {}
        self._shown: list[Tensor] = []
        self._own_by_parameter: dict[Tensor, dict[str, Tensor]] = {}

    @property
    def _step_supports_amp_scaling(self) -> bool:
        # The first thing GradScaler.step asks of an optimizer, and the only thing by which one can
        # learn that it is scaled. Others ask, too (Lightning, before it clips bfloat16 gradients):
        # their answer is no.
        if sys._getframe(1).f_code is GradScaler.step.__code__:
            raise ValueError(HALF_PRECISION)
        return False
