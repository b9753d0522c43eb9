"""What ``make package`` runs: qnewton is built, installed where nothing else is, and used.

Only the standard library is needed, so that any Python that qnewton supports can run this file.
The wheel is installed with all it needs, and no extra. The archive of sources and the checkout's
git address then take its place, one after the other, with the same packages beside them.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILDER = "build>=1.2"
COMMANDS = (
    ("--version",),
    ("list",),
    ("replay", "recorded/digits"),
    ("price", "--n", "256", "--kappa", "100"),
    ("train", "digits", "--steps", "2", "--out", "run"),
)
"""What has to work without an extra: words, prices, and training with no page at its end."""


def main() -> int:
    """Build and check everything in a folder that is thrown away; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, sources = built(folder / "dist", python_of(folder / "builder"))
        check_wheel(wheel)
        python = python_of(folder / "empty")
        constrained = ("-c", str(ROOT / "constraints.txt"))
        shown("the wheel", [python, "-m", "pip", "install", "-q", *constrained, str(wheel)])
        shown("its requirements", [python, "-m", "pip", "check"])
        use(python, folder / "wheel")
        again = [python, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall"]
        for what, source in (("sources", str(sources)), ("git", f"git+file://{ROOT}")):
            shown(f"from {what}", [*again, source])
            use(python, folder / what)
    return 0


def python_of(folder: Path) -> str:
    """Return the interpreter of a new environment, in which only pip is installed."""
    venv.create(folder, with_pip=True)
    where = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return str(folder / where)


def built(folder: Path, python: str) -> tuple[Path, Path]:
    """Build the archive of sources, and from that the wheel; return wheel and archive."""
    shown("the builder", [python, "-m", "pip", "install", "-q", BUILDER])
    shown("building", [python, "-m", "build", "--outdir", str(folder), str(ROOT)])
    (wheel,), (sources,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sources


def check_wheel(wheel: Path) -> None:
    """Raise ``ValueError`` unless the wheel holds the package with its data, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = ROOT / "src"
    kept = (path for path in (package / "qnewton").rglob("*") if "__pycache__" not in path.parts)
    wanted = {path.relative_to(package).as_posix() for path in kept if path.is_file()}
    held = {name for name in names if ".dist-info/" not in name}
    if held != wanted:
        raise ValueError(f"the wheel differs from src/qnewton in {sorted(held ^ wanted)}")


def use(python: str, folder: Path) -> None:
    """Run every command in a new folder, as an installed program."""
    folder.mkdir()
    program = str(Path(python).with_name("qnewton"))
    for words in COMMANDS:
        shown(" ".join(("qnewton", *words)), [program, *words], folder)
    steps = (folder / "run" / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    if len(steps) != 2 or (folder / "run" / "report.html").exists():
        raise ValueError(f"the run has {len(steps)} steps, or a page that needs an extra")


def shown(what: str, command: list[str], folder: Path | None = None) -> None:
    """Run a command apart from this checkout, and print how long it took.

    Raises:
        subprocess.CalledProcessError: If it fails; what it printed is shown before.
    """
    begun = time.perf_counter()
    own = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "QNEWTON_DATA")}
    done = subprocess.run(
        command,
        cwd=folder or Path(command[0]).parent,
        env=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
        done.check_returncode()
    sys.stdout.write(f"{time.perf_counter() - begun:6.1f} s  {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
