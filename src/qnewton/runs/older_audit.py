"""What an audit assumed before its error was one number: plain JSON types in and out."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qnewton.runs.config import RunConfig

# How the state's error was shared out then.
_STATE = {"solver": 1 / 2, "entries": 1 / 6, "rhs": 1 / 6, "rotations": 1 / 6}


def with_one_error(config: "RunConfig") -> "RunConfig":
    """Return a configuration whose audit has the one error that it has now, in its old shares.

    The state's error ε and the read-out's δ add up; ``auto`` error correction, which took what was
    installed, is the closed form.
    """
    audit = config.options.get("audit")
    if not isinstance(audit, dict) or "readout_tolerance" not in audit:
        return config
    audit = dict(audit)
    tolerance = float(audit.pop("readout_tolerance"))
    reading = 0.0 if audit.get("readout") == "none" else tolerance
    state = float(audit.get("epsilon", 1e-2))
    whole = state + reading
    split = {cause: share * state / whole for cause, share in _STATE.items()}
    audit |= {"epsilon": whole, "split": {**split, "readout": reading / whole}}
    if audit.get("error_correction") == "auto":
        audit["error_correction"] = "closed-form"
    options: dict[str, Any] = {**config.options, "audit": audit}
    return replace(config, options=options)
