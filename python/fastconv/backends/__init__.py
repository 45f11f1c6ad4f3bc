"""``torch.backends`` as training scripts use it: switches of libraries that are not there."""

from __future__ import annotations

from . import cudnn as cudnn
from . import mps as mps
