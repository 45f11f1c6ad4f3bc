# ruff: noqa: F403
"""The functions of :mod:`fastconv.functional`, where PyTorch code looks for them."""

from __future__ import annotations

from ..functional import *
from ..functional import __all__ as __all__
