"""J and f in N numbers: everything a step needs of M residuals."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from qnewton.fitting.lapack import geqrf

# Columns that LAPACK's blocked QR works on at once.
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Reduced:
    """R and q = Qᵀf of J = QR, in float64, K = min(M, N) rows: ‖Jp + f‖² = ‖Rp + q‖² + constant."""

    triangle: np.ndarray
    rotated: np.ndarray

    @cached_property
    def gradient(self) -> np.ndarray:
        """Jᵀf, shape [N]."""
        return self.rotated @ self.triangle

    @cached_property
    def column_norms(self) -> np.ndarray:
        """‖J_j‖, shape [N]."""
        return np.sqrt(np.einsum("ij,ij->j", self.triangle, self.triangle))

    @cached_property
    def projected(self) -> float:
        """‖Qᵀf‖: the part of the residuals that a small step can still change."""
        return math.sqrt(self.rotated.dot(self.rotated))

    def curved(self, step: np.ndarray) -> np.ndarray:
        """Return JᵀJ·step."""
        return (self.triangle @ step) @ self.triangle

    @cached_property
    def finite(self) -> bool:
        """Whether all entries are numbers."""
        return bool(np.isfinite(self.triangle).all() and np.isfinite(self.rotated).all())


@dataclass(frozen=True)
class Reducer:
    """QR of [J f]; made once per fit, for its shapes."""

    residuals: int
    parameters: int

    @cached_property
    def _upper(self) -> np.ndarray:
        rows = min(self.residuals, self.parameters)
        return np.triu(np.ones((rows, self.parameters)))

    def __call__(self, transposed: Tensor, residuals: Tensor) -> Reduced:
        """Reduce Jᵀ [N, M] and f [M].

        On the processor the work is LAPACK's on one array; elsewhere it is done where J is.
        Cost: 2·M·N² operations.
        """
        n, rows = self.parameters, min(self.residuals, self.parameters)
        if transposed.device.type == "cpu":
            # Rows of this array are columns of the matrix, as LAPACK wants them.
            joined = np.empty((n + 1, self.residuals))
            joined[:n], joined[n] = transposed.numpy(), residuals.numpy()
            found, *_ = geqrf(joined.T, lwork=_BLOCK * (n + 1), overwrite_a=1)
        else:
            found = triangle_where_it_is(transposed, residuals)
        # What is not finite is refused where it matters, and needs no warning.
        with np.errstate(invalid="ignore"):
            return Reduced(found[:rows, :n] * self._upper, found[:rows, n].copy())


def triangle_where_it_is(transposed: Tensor, residuals: Tensor) -> np.ndarray:
    """Return the triangle of [J f] in float64, decomposed on the device of both."""
    wide = torch.cat([transposed, residuals.unsqueeze(0)]).T.double()
    return torch.linalg.qr(wide, mode="r").R.cpu().numpy()
