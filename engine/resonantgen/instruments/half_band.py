"""The half-band filters between which saturators run at twice the sample rate: their coefficients."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def half_band(sections: int, transition: float) -> NDArray[np.float64]:
    """Coefficients [sections] of an elliptic half-band low-pass made of all-passes, its two branches alternating.

    The transition band is `transition` of the doubled sample rate to each side of a quarter of it. Closed form by theta
    functions: R. Valenzuela and A. Constantinides, "Digital signal processing schemes for efficient interpolation and
    decimation", IEE Proc. 130 (1983).
    """
    k = math.tan((0.25 - transition) * math.pi) ** 2
    complement = (1 - k * k) ** 0.25
    e = 0.5 * (1 - complement) / (1 + complement)
    nome = e * (1 + e**4 * (2 + e**4 * (15 + 150 * e**4)))
    order = 2 * sections + 1
    coefficients = []
    for i in range(1, sections + 1):
        angle = i * math.pi / order
        top = sum((-1) ** j * nome ** (j * (j + 1)) * math.sin((2 * j + 1) * angle) for j in range(6))
        bottom = 0.5 + sum((-1) ** j * nome ** (j * j) * math.cos(2 * j * angle) for j in range(1, 6))
        w2 = (nome**0.25 * top / bottom) ** 2
        x = math.sqrt((1 - w2 * k) * (1 - w2 / k)) / (1 + w2)
        coefficients.append((1 - x) / (1 + x))
    return np.array(coefficients)
