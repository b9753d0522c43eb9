"""The counts of :mod:`qnewton.queries`, under the name that they had when only prices read them."""

from qnewton.queries import *  # noqa: F403
from qnewton.queries import __all__ as __all__
