"""The paper's tables and figures, one file each, made again by command."""

ARTIFACTS = (
    "table-1",
    "table-2",
    "table-3",
    "table-4",
    "fig-1",
    "fig-2",
    "fig-3",
    "fig-5",
    "fig-6",
    "fig-8",
    "batch-step",
)
"""The paper's artifacts and what goes beyond it, in the order in which they are made."""
