"""Which errors are about the numbers at a point, and not about the program."""

import sys
from types import TracebackType

import torch

LinAlgError = torch.linalg.LinAlgError  # pyright: ignore[reportPrivateImportUsage]

# Where libraries that may be loaded keep their errors about numbers.
_ELSEWHERE = (
    ("numpy.linalg", ("LinAlgError",)),
    ("linear_operator.utils.errors", ("NotPSDError", "NanError")),
)


def is_numerical(error: BaseException) -> bool:
    """Return whether an error says that the closure has no value at these parameters.

    ``ArithmeticError`` (with ``FloatingPointError``, ``OverflowError``, ``ZeroDivisionError``),
    ``torch.linalg.LinAlgError``, that of NumPy and SciPy, GPyTorch's, and the ``ValueError`` by
    which ``torch.distributions`` refuses a parameter outside its domain. Another ``ValueError`` may
    be a mistake of the program, which nobody should have to look for in a record.

    Example:
        >>> is_numerical(ZeroDivisionError()), is_numerical(ValueError()), is_numerical(KeyError())
        (True, False, False)
    """
    if isinstance(error, ArithmeticError | LinAlgError):
        return True
    if isinstance(error, ValueError) and _raised_in(error, "torch.distributions"):
        return True
    for module, names in _ELSEWHERE:
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(error, tuple(getattr(loaded, n) for n in names)):
            return True
    return False


def is_of_torch(error: BaseException) -> bool:
    """Return whether code of PyTorch raised an error, in Python."""
    return _raised_in(error, "torch")


def _raised_in(error: BaseException, package: str) -> bool:
    place: TracebackType | None = error.__traceback__
    if place is None:
        return False
    while place.tb_next is not None:
        place = place.tb_next
    name = str(place.tb_frame.f_globals.get("__name__", ""))
    return name == package or name.startswith(f"{package}.")
