"""Which solver computes a block's step: policies over quotes, and what runs the chosen one.

``qnewton.scheduler.policy`` is torch-free; ``qnewton.scheduler.running`` loads and runs the solver
that was chosen.
"""
