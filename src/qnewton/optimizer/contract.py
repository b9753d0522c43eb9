"""What PyTorch asks of any optimizer: groups, state, copies, and a word to GradScaler."""

import sys
from typing import Any, ClassVar

from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from qnewton.optimizer.options import Classical, Damping, Limits, Quantum
from qnewton.optimizer.refusals import HALF_PRECISION, refuse_sharded
from qnewton.optimizer.settings import GROUP_SETTINGS, check_settings
from qnewton.optimizer.warmup import Warmup


class ContractOptimizer(Optimizer):
    """Parameter groups that are checked, and counters that survive files and copies.

    Attributes:
        kept: Attributes that a copy or a pickle keeps beside PyTorch's own; hooks and attachments
            stay behind, as they do there.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._counters_are_shared = False
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
            scale = param_group.get("damping_scale", damping.scale)
            if damping.scale not in (Damping.scale, scale):
                raise ValueError(
                    f"damping_scale is {scale!r} and damping has scale {damping.scale!r}; give it "
                    "once, as damping=Damping(scale=…)"
                )
            param_group = param_group | {"damping": damping.strength, "damping_scale": scale}
        super().add_param_group(param_group)
        self._counters_are_shared = False
        try:
            check_settings(self.param_groups[-1])
            refuse_sharded(self.param_groups[-1]["params"])
        except ValueError:
            self.param_groups.pop()
            raise

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles keep."""
        return super().__getstate__() | {name: self.__dict__[name] for name in self.kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Fill what a state saved by an older version lacks."""
        super().__setstate__(state)
        self.defaults.setdefault("maximize", False)
        for group in self.param_groups:
            for name in GROUP_SETTINGS:
                group.setdefault(name, self.defaults[name])
        self._counters_are_shared = False  # every parameter was given a copy

    @property
    def counters(self) -> dict[str, Any]:
        """``step``, and whether the ``newton`` phase has begun.

        One dictionary under every parameter, because distributed checkpoints ask each for its
        state; plain numbers, because PyTorch casts tensors to the parameter's dtype on loading.
        """
        holders = [p for group in self.param_groups for p in group["params"]]
        # Groups may be empty, and parameters that joined late have nothing yet.
        state = next((self.state[p] for p in holders if self.state.get(p)), {})
        if not state or not self._counters_are_shared:
            state["step"] = int(state.get("step", 0))  # a tensor in older files
            state["newton"] = bool(state.get("newton", False))
            for group in self.param_groups:
                self.state.update(dict.fromkeys(group["params"], state))
            self._counters_are_shared = True
        return state

    @property
    def _step_supports_amp_scaling(self) -> bool:
        # The first thing GradScaler.step asks of an optimizer, and the only thing by which one can
        # learn that it is scaled. Others ask, too (Lightning, before it clips bfloat16 gradients):
        # their answer is no.
        if sys._getframe(1).f_code is GradScaler.step.__code__:
            raise ValueError(HALF_PRECISION)
        return False
