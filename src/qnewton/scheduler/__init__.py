"""Which solver computes a block's step: policies over quotes, and the portfolio they choose from.

``qnewton.scheduler.policy`` is torch-free; ``qnewton.scheduler.portfolio`` pairs each price with
the solver that does the work.
"""
