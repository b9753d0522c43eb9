"""Frozen, torch-free records: what is measured, priced, decided and done in a step."""

from qnewton.records.amplitudes import Amplitudes
from qnewton.records.averaged import AveragedRecord
from qnewton.records.codec import decode, encode
from qnewton.records.damping import Convergence, DampingRecord, Origin
from qnewton.records.deflation import Deflation
from qnewton.records.facts import (
    Definiteness,
    Earlier,
    Eigenbasis,
    Estimate,
    Facts,
    Formed,
    FormingWork,
    Held,
    KrylovHistory,
    LowRank,
    Products,
    Representation,
    Sparse,
    Spectrum,
    Treatment,
)
from qnewton.records.flattened import scalars
from qnewton.records.health import Cause, Finding, Health, HealthWarning
from qnewton.records.machines import (
    Calibration,
    Drift,
    Figure,
    KernelFit,
    Network,
    QuantumHardware,
)
from qnewton.records.outcome import Outcome
from qnewton.records.quotes import (
    Basis,
    Decision,
    MachineKind,
    PriceTerm,
    QuantumPart,
    QueryCount,
    Quote,
    Refusal,
)
from qnewton.records.registry import Registry
from qnewton.records.steps import (
    SCHEMA_VERSION,
    Attempt,
    BlockRecord,
    CurvatureRecord,
    MeasuredSeconds,
    MetricRecord,
    ModelledSeconds,
    Phase,
    QuantumStats,
    StageSeconds,
    StepRecord,
)

__all__ = ["SCHEMA_VERSION", "Attempt", "Basis", "BlockRecord", "Calibration", "Cause"]
__all__ += ["Convergence", "CurvatureRecord", "Finding", "Health", "HealthWarning"]
__all__ += [
    "DampingRecord",
    "Decision",
    "Definiteness",
    "Deflation",
    "Drift",
    "Earlier",
    "Eigenbasis",
]
__all__ += ["Estimate", "Facts", "Figure", "Formed", "FormingWork", "Held", "KernelFit"]
__all__ += ["KrylovHistory", "LowRank"]
__all__ += ["MachineKind", "MeasuredSeconds", "MetricRecord", "ModelledSeconds", "Network"]
__all__ += ["Origin"]
__all__ += ["Outcome", "Phase", "PriceTerm", "Products", "QuantumHardware", "QuantumPart"]
__all__ += ["QuantumStats", "QueryCount", "Quote", "Refusal", "Registry", "Representation"]
__all__ += ["Sparse", "Spectrum", "StageSeconds", "StepRecord", "Treatment", "decode", "encode"]
__all__ += ["Amplitudes", "AveragedRecord", "scalars"]
