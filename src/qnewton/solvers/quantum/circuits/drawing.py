"""A circuit as a picture or as text, by Qiskit's drawer."""

from importlib.util import find_spec
from pathlib import Path

from qiskit import QuantumCircuit
from qiskit.circuit import Gate

from qnewton.solvers.quantum.circuits.boxes import with_boxes

SUFFIXES = (".png", ".svg", ".txt")
"""The names of files that a circuit is drawn into."""

_SHOWN = (36, 12)  # gates at the beginning and at the end that a long circuit is drawn with
_TEXT_WIDTH = 110


def check_drawing(path: Path) -> None:
    """Raise ``ValueError``, in one line, if a circuit cannot be drawn into that file."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"the drawing is {path}; its name must end in {', '.join(SUFFIXES)}")
    missing = [name for name in ("matplotlib", "pylatexenc") if find_spec(name) is None]
    if path.suffix != ".txt" and missing:
        way_out = "pip install 'qnewton[quantum]', or draw into a .txt"
        raise ValueError(
            f"{path.name} needs {' and '.join(missing)}, not installed here: {way_out}"
        )
    if not path.parent.is_dir():
        raise ValueError(f"the drawing is {path}; there is no folder {path.parent}")


def drawn(circuit: QuantumCircuit, path: Path) -> Path:
    """Draw a circuit into a file: .png and .svg as a picture, .txt as text.

    Of a long circuit, its first 36 gates and its last 12 are drawn, and one box says how many
    stand between.

    Args:
        circuit: The circuit.
        path: The file; what it held before is lost.

    Returns:
        The file.

    Raises:
        ValueError: If its name ends differently, a package is missing or the folder is not there.

    Example:
        >>> import tempfile
        >>> circuit = QuantumCircuit(2)
        >>> _ = circuit.h(0), circuit.cx(0, 1)
        >>> print(drawn(circuit, Path(tempfile.mkdtemp()) / "bell.txt").read_text(), end="")
             ┌───┐
        q_0: ┤ H ├──■──
             └───┘┌─┴─┐
        q_1: ─────┤ X ├
                  └───┘
    """
    check_drawing(path)
    short = with_boxes(shortened(circuit))
    if path.suffix == ".txt":
        lines = str(short.draw("text", fold=_TEXT_WIDTH)).splitlines()
        text = "".join(f"{line.rstrip()}\n" for line in lines)
        path.write_text(text, encoding="utf-8")
        return path
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    figure = short.draw("mpl", fold=24)
    assert isinstance(figure, Figure)
    figure.savefig(path, bbox_inches="tight", dpi=150)
    pyplot.close(figure)  # else pyplot keeps it
    return path


def shortened(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return a circuit's beginning and end, with one box for what is left out; else all of it."""
    first, last = _SHOWN
    left_out = len(circuit.data) - first - last
    short = circuit.copy_empty_like()
    if left_out <= 1:
        first, last = len(circuit.data), 0
    for instruction in circuit.data[:first]:
        short.append(instruction)
    if last:
        box = Gate("left_out", circuit.num_qubits, [], label=f"{left_out:,} more gates")
        short.append(box, circuit.qubits)
    for instruction in circuit.data[len(circuit.data) - last :]:
        short.append(instruction)
    return short
