"""Training a workload into a run folder, resumable to the bit.

``qnewton.training.request`` is torch-free, so that the command line can describe itself at once.
"""
