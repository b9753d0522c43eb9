"""What a treated matrix is like: condition number, sparsity, norms, definiteness."""

from qnewton.survey.amplitudes import amplitudes
from qnewton.survey.condition import condition_number
from qnewton.survey.eigenbasis import survey_eigenbasis
from qnewton.survey.facts import envelope, row_sparsity, survey, survey_low_rank
from qnewton.survey.gain import solution_gain
from qnewton.survey.preconditioned import diagonally_scaled, preconditioned_condition

__all__ = [
    "amplitudes",
    "condition_number",
    "envelope",
    "row_sparsity",
    "survey",
    "survey_eigenbasis",
]
__all__ += ["diagonally_scaled", "preconditioned_condition", "solution_gain", "survey_low_rank"]
