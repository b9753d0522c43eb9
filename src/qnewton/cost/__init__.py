"""What solving a system costs, on classical and quantum machines. Torch-free; nothing is timed."""

from qnewton.cost import queries
from qnewton.cost.audit import AUDITED_EPSILON, DEFAULT_AUDIT, Audit, Market
from qnewton.cost.audited import Audited, audited, audited_quote
from qnewton.cost.axes import AXES, Axis
from qnewton.cost.break_even import Flip, break_even
from qnewton.cost.breakdown import Breakdown
from qnewton.cost.budget import ErrorBudget, Split
from qnewton.cost.calibration_store import (
    calibration_path,
    latest_calibration,
    load_calibration,
    measured_drifts,
    save_calibration,
    with_drifts,
)
from qnewton.cost.certainty import Certainty, Swing, certainty, tornado
from qnewton.cost.constants import CONSTANTS, Constant
from qnewton.cost.convergence import (
    cg_products,
    lsmr_products,
    minres_products,
    pcg_products,
    relative_error,
)
from qnewton.cost.deflation import deflation_quote
from qnewton.cost.direct import (
    absolute_quote,
    cholesky_quote,
    ldl_quote,
    lu_inverse_quote,
    lu_quote,
    sparse_lu_quote,
    woodbury_quote,
)
from qnewton.cost.eigenbasis import eigenbasis_quote
from qnewton.cost.frontier import Layout, frontier
from qnewton.cost.given import (
    SPARSE_SHARE,
    as_held,
    deflated_facts,
    given,
    kappa_facts,
    with_condition,
    with_size,
    with_sparsity,
)
from qnewton.cost.hardware import (
    MACHINES,
    available_classical,
    available_hardware,
    load_classical,
    load_hardware,
    nominal_calibration,
)
from qnewton.cost.kernels import KERNELS, Kernel, cubic_work, fit, matvec_work, price, sort_work
from qnewton.cost.krylov import (
    cg_quote,
    lanczos_products,
    minres_quote,
    sparse_cg_quote,
)
from qnewton.cost.least_squares import augmented_qr_quote, lsmr_quote
from qnewton.cost.many import Prices, cheapest_rival, prices
from qnewton.cost.maps import PriceMap, price_map
from qnewton.cost.mesh import filled_envelope, mesh_envelope
from qnewton.cost.modelled import SurveyFact, modelled_seconds, own_charges, survey_seconds
from qnewton.cost.nystrom import nystrom_rank, pcg_nystrom_quote
from qnewton.cost.preconditioned import pcg_diagonal_quote
from qnewton.cost.quantum import PAPER_EPSILON, break_even_gate_time, paper_quote
from qnewton.cost.quantum_prices import QUANTUM_PRICES, QuantumPrice
from qnewton.cost.rivals import cheapest_whole, classical_quotes
from qnewton.cost.scenario import Scenario
from qnewton.cost.solvers import SOLVERS, Family, Solver
from qnewton.cost.tomography import mean_squared_error, tomography_shots
from qnewton.records.quotes import cheapest

__all__ = ["AUDITED_EPSILON", "DEFAULT_AUDIT", "KERNELS", "MACHINES", "PAPER_EPSILON"]
__all__ += ["QUANTUM_PRICES", "SOLVERS", "SPARSE_SHARE", "Audit", "Family", "Flip", "Kernel"]
__all__ += ["Market", "QuantumPrice", "Scenario", "Solver", "SurveyFact", "absolute_quote"]
__all__ += ["augmented_qr_quote", "lsmr_products", "lsmr_quote", "nystrom_rank"]
__all__ += ["as_held", "filled_envelope", "given", "mesh_envelope"]
__all__ += ["relative_error"]
__all__ += ["pcg_diagonal_quote", "pcg_nystrom_quote", "pcg_products"]
__all__ += ["audited_quote", "available_classical", "available_hardware", "break_even"]
__all__ += ["break_even_gate_time", "calibration_path", "cg_products", "cg_quote", "cheapest"]
__all__ += ["cholesky_quote", "classical_quotes", "cubic_work", "deflated_facts", "deflation_quote"]
__all__ += ["eigenbasis_quote"]
__all__ += ["fit", "kappa_facts", "lanczos_products", "latest_calibration", "ldl_quote"]
__all__ += ["load_calibration", "load_classical", "load_hardware", "lu_inverse_quote", "lu_quote"]
__all__ += ["matvec_work", "measured_drifts", "minres_products", "minres_quote", "modelled_seconds"]
__all__ += ["nominal_calibration", "own_charges", "paper_quote", "price", "queries"]
__all__ += ["save_calibration", "sort_work", "sparse_cg_quote", "sparse_lu_quote", "survey_seconds"]
__all__ += ["with_condition", "with_drifts", "with_sparsity", "woodbury_quote"]
__all__ += ["mean_squared_error", "tomography_shots"]
__all__ += ["AXES", "CONSTANTS", "Audited", "Axis", "Breakdown", "Certainty", "Constant"]
__all__ += ["ErrorBudget", "Layout", "PriceMap", "Prices", "Split", "Swing", "audited"]
__all__ += ["certainty", "cheapest_rival", "frontier", "price_map", "prices", "tornado"]
__all__ += ["cheapest_whole", "with_size"]
