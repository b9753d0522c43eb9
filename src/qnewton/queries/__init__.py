"""How often a quantum linear solver queries its matrix: one function a theorem.

Bare symbols follow the theorems: ``alpha`` is the block-encoding's normalisation, ``kappa`` the
condition number (κ_be = α/σ_min where a theorem has no α), ``epsilon`` the error of the solution
state.
"""

from qnewton.queries.amplification import amplified_queries, searched_queries
from qnewton.queries.attempts import ALGORITHMS, QueryCounts, attempt
from qnewton.queries.costa import PROVEN_CONSTANT, SEEN_CONSTANT, costa_2022
from qnewton.queries.dalzell import (
    costa_2026,
    dalzell_2024,
    dalzell_2024_asymptotic,
    dalzell_2024_norm_known,
)
from qnewton.queries.eigenvalues import (
    HHL_CONSTANT,
    childs_kothari_somma_2017,
    hhl_2009,
    sunderhauf_2025,
)
from qnewton.queries.errors import CircuitErrors
from qnewton.queries.jennings import (
    JENNINGS_MAX_EPSILON,
    JENNINGS_MIN_KAPPA,
    JENNINGS_SUCCESS_SLOPE,
    Q_NEWTON_SUCCESS_SLOPE,
    jennings_2023,
    jennings_2025,
    logical_qubits,
)
from qnewton.queries.sets import QUERY_SETS, QuerySet, knows_norm

__all__ = ["ALGORITHMS", "HHL_CONSTANT", "JENNINGS_MAX_EPSILON", "CircuitErrors"]
__all__ += ["JENNINGS_MIN_KAPPA", "JENNINGS_SUCCESS_SLOPE", "PROVEN_CONSTANT"]
__all__ += ["QUERY_SETS", "Q_NEWTON_SUCCESS_SLOPE", "SEEN_CONSTANT", "QueryCounts", "QuerySet"]
__all__ += ["amplified_queries", "attempt", "childs_kothari_somma_2017", "costa_2022"]
__all__ += ["costa_2026", "dalzell_2024", "dalzell_2024_asymptotic", "dalzell_2024_norm_known"]
__all__ += ["hhl_2009", "jennings_2023", "jennings_2025", "knows_norm", "logical_qubits"]
__all__ += ["searched_queries", "sunderhauf_2025"]
