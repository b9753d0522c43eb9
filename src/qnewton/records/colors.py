"""Okabe and Ito's palette (jfly.uni-koeln.de/color), which solvers and policies are drawn in.

Readers with any of the common color-vision deficiencies tell its colors apart.
"""

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GRAY = "#7F7F7F"
