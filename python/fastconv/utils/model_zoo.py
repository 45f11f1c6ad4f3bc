"""``torch.utils.model_zoo``: what :mod:`fastconv.hub` has."""

from __future__ import annotations

from ..hub import load_url as load_url
