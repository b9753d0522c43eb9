"""Logical gates: what a part of a quantum circuit takes before error correction."""

from dataclasses import dataclass

ROTATION_T = (0.53, 4.86)
"""A rotation to error ε takes 0.53·log2(1/ε) + 4.86 T gates.

These constants are what qdk 1.33.1's ``numTsPerRotation`` follows, rounded up; public code calls
them its fit of mixed fallback.
"""


@dataclass(frozen=True, kw_only=True)
class LogicalGates:
    """Non-Clifford gates of a part of a circuit, and the logical qubits it needs beside its own.

    Attributes:
        toffoli: Toffoli gates.
        t_gates: T gates that are in no Toffoli.
        workspace: Qubits that are clean before and after.
    """

    toffoli: float = 0.0
    t_gates: float = 0.0
    workspace: float = 0.0

    def __add__(self, after: "LogicalGates") -> "LogicalGates":
        """Return both parts, one after the other: they share their workspace."""
        return LogicalGates(
            toffoli=self.toffoli + after.toffoli,
            t_gates=self.t_gates + after.t_gates,
            workspace=max(self.workspace, after.workspace),
        )

    def repeated(self, times: float) -> "LogicalGates":
        """Return the part so many times, one after the other."""
        return LogicalGates(
            toffoli=times * self.toffoli, t_gates=times * self.t_gates, workspace=self.workspace
        )

    @property
    def cycles(self) -> float:
        """Logical cycles in sequence: 3 a Toffoli, 1 a T gate (Beverland et al., 2211.07629)."""
        return 3 * self.toffoli + self.t_gates

    @property
    def t_count(self) -> float:
        """T gates, 4 a Toffoli."""
        return 4 * self.toffoli + self.t_gates


def rotation_t_gates(log2_error: float) -> float:
    """Return T gates that synthesise a rotation to an error given by its log2.

    Reference: :data:`ROTATION_T`.

    Example:
        >>> round(rotation_t_gates(-20.0), 2)
        15.46
    """
    slope, rest = ROTATION_T
    return max(0.0, rest - slope * log2_error)
