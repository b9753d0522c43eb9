"""Prices of recorded runs under their public name, from :mod:`qnewton.scheduler.run_prices`."""

from qnewton.scheduler.run_prices import RunPrice, price_run, price_steps, verdict

__all__ = ["RunPrice", "price_run", "price_steps", "verdict"]
