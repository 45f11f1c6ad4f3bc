"""torchvision's own source files, imported with `torch` in their imports replaced by `fastconv`.

Package `swapped` stands for torchvision. What in it has nothing to do with models (downloads,
pictures, telemetry) is left out.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
import types
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from swapping import swapped


def _without_importing() -> Path:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("could not import 'torchvision'", allow_module_level=True)
    return Path(spec.submodule_search_locations[0])


ROOT = _without_importing()


class _Weights(Enum):
    """Pretrained weights, none of which are fetched."""

    @classmethod
    def verify(cls, weights: Any) -> Any:
        return weights


def _stand_ins() -> dict[str, dict[str, Any]]:
    def same(*args: Any, **kwargs: Any) -> Any:
        return lambda function: function

    api = {"register_model": same, "handle_legacy_interface": same, "WeightsEnum": _Weights}
    return {
        "swapped": {},
        "swapped.models": {},
        "swapped.ops": {},
        "swapped.transforms": {},
        "swapped._utils": {"sequence_to_str": str},
        "swapped.utils": {
            "_log_api_usage_once": lambda _: None,
            "_make_ntuple": lambda x, n: (x,) * n if isinstance(x, int) else tuple(x),
        },
        "swapped.models._api": {**api, "Weights": lambda **_: object()},
        "swapped.models._meta": {"_IMAGENET_CATEGORIES": []},
        "swapped.transforms._presets": {
            "ImageClassification": object,
            "InterpolationMode": types.SimpleNamespace(BICUBIC=0, BILINEAR=0),
        },
    }


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules of `swapped`: a stand-in, or the file of torchvision with its imports replaced."""

    def __init__(self) -> None:
        self.stand_ins = _stand_ins()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".")[0] != "swapped":
            return None
        package = (ROOT / Path(*name.split(".")[1:])).is_dir()
        return importlib.machinery.ModuleSpec(name, self, is_package=package)

    def exec_module(self, module: types.ModuleType) -> None:
        name = module.__name__
        if name in self.stand_ins:
            vars(module).update(self.stand_ins[name])
            if name == "swapped.ops":
                exec("from .stochastic_depth import StochasticDepth", vars(module))
            return
        file = ROOT / Path(*name.split(".")[1:]).with_suffix(".py")
        source = re.sub(r"(?m)^from torchvision\b", "from swapped", file.read_text())
        exec(compile(swapped(source), str(file), "exec"), vars(module))


def originals(name: str) -> types.ModuleType:
    """``torchvision.models.NAME``."""
    return importlib.import_module(f"torchvision.models.{name}")


def family(name: str) -> types.ModuleType:
    """``torchvision.models.NAME`` written in fastconv."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
    return importlib.import_module(f"swapped.models.{name}")
