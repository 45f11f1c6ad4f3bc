"""The error function, which NumPy lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array

#: log(erfc(x) / t) + x**2 as a Chebyshev series in 2 t - 1, where t = 2 / (2 + x), x >= 0.
_ERFC = np.array(
    [
        -0.6513268598908549,
        0.6419697923564903,
        0.019476473204185663,
        -0.009561514786809111,
        -0.000946595344481716,
        0.0003668394978524851,
        4.2523324806886044e-05,
        -2.0278578112864632e-05,
        -1.6242900042144253e-06,
        1.3036558359903707e-06,
        1.562644230642451e-08,
        -8.523809551164112e-08,
        6.529054522411394e-09,
        5.059344113345146e-09,
        -9.913641580476225e-10,
        -2.2736490920382779e-10,
        9.646794138852062e-11,
        2.3938134709639514e-12,
        -6.886220816390197e-12,
        8.947117918248286e-13,
        3.1288219912458496e-13,
        -1.1249742597303015e-13,
        5.472847750039307e-16,
        7.19578130097761e-15,
        -2.0269806481627054e-15,
        -5.279651157011298e-16,
    ]
)


def erf_forward(x: Any) -> Array:
    """The error function of an array, accurate to a few units in the last place."""
    x = np.asarray(x)
    wide = x.astype(np.float64)
    size = np.abs(wide)
    t = 2 / (2 + size)
    with np.errstate(invalid="ignore", over="ignore"):
        far = 1 - t * np.exp(np.polynomial.chebyshev.chebval(2 * t - 1, _ERFC) - size * size)
    near = size < 0.5
    if near.any():  # there 1 - erfc(x) would lose the leading digits: Taylor's series
        z = size[near] ** 2
        term = np.full_like(z, 2 / np.sqrt(np.pi))
        total = term.copy()
        for n in range(1, 14):
            term = term * (-z / n)
            total += term / (2 * n + 1)
        far[near] = total * size[near]
    far = np.where(np.isinf(size), 1.0, far)
    return np.asarray(np.copysign(far, wide)).astype(x.dtype if x.dtype.kind == "f" else np.float64)
