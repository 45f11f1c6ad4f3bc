"""``torch.jit.annotations``: the types that old sources import from there."""

from __future__ import annotations

from typing import Dict as Dict  # noqa: UP035
from typing import List as List  # noqa: UP035
from typing import Optional as Optional
from typing import Tuple as Tuple  # noqa: UP035
