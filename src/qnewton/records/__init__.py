"""Frozen, torch-free records: what is measured, priced, decided and done in a step."""

from qnewton.records.codec import decode, encode
from qnewton.records.damping import DampingRecord, Origin
from qnewton.records.facts import (
    Definiteness,
    EarlierFacts,
    Estimate,
    Facts,
    Representation,
    Treatment,
)
from qnewton.records.machines import Calibration, Drift, Figure, KernelFit, QuantumHardware
from qnewton.records.outcome import Outcome
from qnewton.records.quotes import (
    Basis,
    Decision,
    MachineKind,
    PriceTerm,
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

__all__ = [
    "SCHEMA_VERSION",
    "Attempt",
    "Basis",
    "BlockRecord",
    "Calibration",
    "CurvatureRecord",
    "DampingRecord",
    "Decision",
    "Definiteness",
    "Drift",
    "EarlierFacts",
    "Estimate",
    "Facts",
    "Figure",
    "KernelFit",
    "MachineKind",
    "MeasuredSeconds",
    "MetricRecord",
    "ModelledSeconds",
    "Origin",
    "Outcome",
    "Phase",
    "PriceTerm",
    "QuantumHardware",
    "QuantumStats",
    "QueryCount",
    "Quote",
    "Refusal",
    "Registry",
    "Representation",
    "StageSeconds",
    "StepRecord",
    "Treatment",
    "decode",
    "encode",
]
