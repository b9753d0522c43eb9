"""The commands by name, in the order ``--help`` shows them."""

from qnewton.cli.calibrate import Calibrate
from qnewton.cli.compare import Compare
from qnewton.cli.paper import Paper
from qnewton.cli.parsing import Command
from qnewton.cli.price import Price
from qnewton.cli.readout import ReadoutSweep
from qnewton.cli.replay import Replay
from qnewton.cli.report import Report
from qnewton.cli.train import Train

COMMANDS: dict[str, type[Command]] = {
    "train": Train,
    "compare": Compare,
    "price": Price,
    "replay": Replay,
    "calibrate": Calibrate,
    "report": Report,
    "readout": ReadoutSweep,
    "paper": Paper,
}
