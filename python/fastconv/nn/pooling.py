"""Pooling layers."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ._settings import per_axis
from .module import Module
from .steps import Step, recipe

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _MaxPool(Module):
    rank: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.rank - 1]
        return pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value in each window of (N, C, L) or (C, L); see :func:`max_pool1d`."""

    rank = 1


class MaxPool2d(_MaxPool):
    """The largest value in each window of (N, C, H, W) or (C, H, W); see :func:`max_pool2d`."""

    rank = 2


class MaxPool3d(_MaxPool):
    """The largest value in each window of (N, C, D, H, W) or (C, D, H, W)."""

    rank = 3


class _AvgPool(Module):
    rank: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Any:
        pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[self.rank - 1]
        return pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of (N, C, L) or (C, L); see :func:`avg_pool1d`."""

    rank = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        size, step = per_axis(kernel_size, 1), None if stride is None else per_axis(stride, 1)
        super().__init__(size, step, per_axis(padding, 1), ceil_mode, count_include_pad)


class AvgPool2d(_AvgPool):
    """The mean of each window of (N, C, H, W) or (C, H, W); see :func:`avg_pool2d`."""

    rank = 2


class AvgPool3d(_AvgPool):
    """The mean of each window of (N, C, D, H, W) or (C, D, H, W)."""

    rank = 3


class _AdaptiveAvgPool(Module):
    rank: int

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        pool = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[self.rank - 1]
        return pool(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of windows that share out the axes of (N, C, L)."""

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of windows that share out the axes of (N, C, H, W)."""

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of windows that share out the axes of (N, C, D, H, W)."""

    rank = 3


class _AdaptiveMaxPool(Module):
    rank: int

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        pool = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[self.rank - 1]
        return pool(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest values of windows that share out the axes of (N, C, L)."""

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest values of windows that share out the axes of (N, C, H, W)."""

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest values of windows that share out the axes of (N, C, D, H, W)."""

    rank = 3


class _LPPool(Module):
    rank: int

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        pool = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self.rank - 1]
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The root of the sum of powers in each window of (N, C, L)."""

    rank = 1


class LPPool2d(_LPPool):
    """The root of the sum of powers in each window of (N, C, H, W)."""

    rank = 2


class LPPool3d(_LPPool):
    """The root of the sum of powers in each window of (N, C, D, H, W)."""

    rank = 3


class _MaxUnpool(Module):
    rank: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = per_axis(kernel_size, self.rank)
        self.stride = self.kernel_size if stride is None else per_axis(stride, self.rank)
        self.padding = per_axis(padding, self.rank)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.rank - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Values of (N, C, L) back to where max pooling found them."""

    rank = 1


class MaxUnpool2d(_MaxUnpool):
    """Values of (N, C, H, W) back to where max pooling found them."""

    rank = 2


class MaxUnpool3d(_MaxUnpool):
    """Values of (N, C, D, H, W) back to where max pooling found them."""

    rank = 3


# ---- as steps of programs ------------------------------------------------------------------------


@recipe(MaxPool1d, MaxPool2d, MaxPool3d)
def _max_step(layer: Any) -> Step | None:
    if layer.return_indices:
        return None
    windows = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return Step("max_pool", (layer.rank, *windows, layer.ceil_mode))


@recipe(AvgPool1d, AvgPool2d, AvgPool3d)
def _average_step(layer: Any) -> Step:
    windows = (layer.kernel_size, layer.stride, layer.padding)
    rule = (layer.ceil_mode, layer.count_include_pad, layer.divisor_override)
    return Step("avg_pool", (layer.rank, *windows, *rule))


@recipe(AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d)
def _adaptive_step(layer: Any) -> Step | None:
    sizes = layer.output_size
    if sizes is None or isinstance(sizes, int):
        sizes = (sizes,) * layer.rank
    if len(sizes) != layer.rank or 0 in sizes:
        return None
    return Step("adaptive_avg_pool", (tuple(0 if n is None else n for n in sizes),))
