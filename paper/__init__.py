"""The paper's tables and figures, one file each, made again by command."""
