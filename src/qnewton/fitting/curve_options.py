"""What else curve_fit takes: SciPy's options that it keeps to, and those that it refuses."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qnewton.fitting.least_squares import least_squares

_OWN = ("maxfev", "check_finite", "nan_policy", "verbose")

# These are the model's own, and least_squares gets them from curve_fit.
_FURTHER = [
    name
    for name in inspect.signature(least_squares).parameters
    if name not in ("fun", "x0", "jac", "bounds", "args", "kwargs")
]


@dataclass(frozen=True)
class CurveOptions:
    """The options of one call.

    Attributes:
        jacobian: As given.
        nan_policy: ``"raise"``, ``"omit"`` or ``None``.
        further: What goes to ``least_squares`` as it is.
    """

    jacobian: Callable[..., Any] | str | None
    nan_policy: str | None
    further: dict[str, Any]


def curve_options(options: dict[str, Any]) -> CurveOptions:
    """Return options by what they ask for.

    Raises:
        TypeError: For names that are no option.
        ValueError: For values that cannot be kept to.
    """
    for name in options:
        if name not in (*_OWN, *_FURTHER, "jac"):
            raise TypeError(
                f"curve_fit takes no option {name!r}; it takes jac, {', '.join(_OWN)}, "
                f"{', '.join(_FURTHER)}"
            )
    check = options.get("check_finite")
    if check is not None and not check:
        raise ValueError(
            "curve_fit always checks that data are finite; leave check_finite out, or pass "
            "nan_policy='omit'"
        )
    if options.get("verbose", 0):
        raise ValueError(
            "curve_fit prints nothing, whatever verbose is; pass a callback, or print the third "
            "result of full_output=True"
        )
    policy = options.get("nan_policy")
    if policy not in (None, "raise", "omit"):
        raise ValueError(f"nan_policy is {policy!r}; pass 'raise', 'omit' or None")
    further = {name: value for name, value in options.items() if name in _FURTHER}
    # MINPACK's name, for which 0 is the default.
    if options.get("maxfev"):
        if further.get("max_nfev") is not None:
            raise ValueError("maxfev and max_nfev are both given; pass one of them")
        further["max_nfev"] = options["maxfev"]
    return CurveOptions(options.get("jac"), policy, further)
