"""Vectors of a few numbers, where a general routine takes longer than the work."""

import math

import numpy as np


def norm(vector: np.ndarray) -> float:
    """Return the Euclidean norm."""
    return math.sqrt(vector.dot(vector))
