"""LAPACK's routines as they are: checks of their wrappers take longer than small matrices do."""

from scipy.linalg import get_lapack_funcs

gesdd, syevd, geqrf = get_lapack_funcs(("gesdd", "syevd", "geqrf"), dtype="float64")

__all__ = ["geqrf", "gesdd", "syevd"]
