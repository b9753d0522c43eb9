"""Machines that have a name, and whether a circuit fits on one."""

from importlib.util import find_spec

from qiskit.providers import BackendV2

from qnewton.records.messages import nearest


def named_backend(name: str) -> BackendV2:
    """Return the model of a machine that ``qiskit-ibm-runtime`` brings, with its noise.

    Args:
        name: Such as ``fake_sherbrooke``.

    Raises:
        ValueError: If there is none of that name, or the package is missing.

    Example:
        >>> named_backend("fake_manila").num_qubits
        5
    """
    if find_spec("qiskit_ibm_runtime") is None:
        raise ValueError(
            f"backend {name} needs qiskit-ibm-runtime, which is not installed: "
            "pip install 'qnewton[quantum]'"
        )
    from qiskit_ibm_runtime import fake_provider

    words = "".join(word.capitalize() for word in name.split("_"))
    kinds = (getattr(fake_provider, f"{words}{version}", None) for version in ("V2", ""))
    kind = next((kind for kind in kinds if kind is not None), None)
    if not name.startswith("fake_") or kind is None:
        models = (known for known in dir(fake_provider) if known.startswith("Fake"))
        near = nearest(name, (f"fake_{m[4:].removesuffix('V2').lower()}" for m in models))
        raise ValueError(
            f"backend {name!r} is not known; give a model of a machine such as "
            f"{near or 'fake_sherbrooke'}; "
            "machines themselves are objects, which Python's sampled(…, backend=…) takes"
        )
    return kind()


def check_fits(qubits: int, backend: BackendV2) -> None:
    """Raise ``ValueError`` if a circuit of so many qubits does not fit on the machine."""
    if backend.num_qubits is not None and qubits > backend.num_qubits:
        raise ValueError(
            f"the circuit needs {qubits} qubits and {backend.name} has {backend.num_qubits}; "
            "take a larger machine, or fewer unknowns, clock qubits or ancillas"
        )
