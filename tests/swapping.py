"""PyTorch source code with nothing but its imports changed."""

from __future__ import annotations

import re

__all__ = ["swapped"]


def swapped(source: str) -> str:
    """Import statements of PyTorch as import statements of fastconv, and nothing else."""
    source = re.sub(r"(?m)^(\s*)import torch$", r"\1import fastconv as torch", source)
    source = re.sub(r"(?m)^(\s*)import torch\.", r"\1import fastconv.", source)
    return re.sub(r"(?m)^(\s*)from torch(?=[. ])", r"\1from fastconv", source)
