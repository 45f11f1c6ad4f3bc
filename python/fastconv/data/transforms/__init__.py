"""Changes made to pictures before a network sees them, under torchvision's names.

Pictures are arrays (H, W) or (H, W, C) of uint8 or floats (Pillow images are accepted); tensors are
(C, H, W).  Every transform but ``ToTensor`` and ``Normalize`` takes either and gives the same kind
back.  Random ones draw from the generator that ``fastconv.manual_seed`` or the loader seeds.
"""

from .basic import Compose, Lambda, Normalize, RandomApply, RandomChoice, ToTensor
from .color import ColorJitter, GaussianNoise, Grayscale, RandomErasing, RandomGrayscale
from .geometry import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
)
from .picture import InterpolationMode
from .warp import RandomAffine, RandomRotation

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "GaussianNoise",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "Pad",
    "RandomAffine",
    "RandomApply",
    "RandomChoice",
    "RandomCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
]
