"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

from .. import functional as F
from ..functional.conv_padded import conv_padded
from . import init
from ._settings import blank, check_device, per_axis
from .chain import Chain
from .module import Module
from .parameter import Parameter
from .steps import Step, forget, recipe, snapshot

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What convolutions of all ranks, plain and transposed, have in common."""

    rank: int
    transposed = False
    bias: Parameter | None
    weight: Parameter

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name, rank = type(self).__name__, self.rank
        check_device(device)
        if groups <= 0:
            raise ValueError(f"{name}: groups must be a positive integer, got {groups}")
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"{name}: {what} must be divisible by groups, got {channels} and {groups}"
                )
        if out_channels < 1 or in_channels < 0:
            raise ValueError(
                f"{name}: channels must be positive, got {in_channels} in, {out_channels} out"
            )
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"{name}: padding_mode must be one of {_PADDING_MODES}, got {padding_mode!r}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis(kernel_size, rank)
        self.stride = per_axis(stride, rank)
        self.padding = per_axis(padding, rank)
        self.dilation = per_axis(dilation, rank)
        self.output_padding = per_axis(output_padding, rank)
        self.groups = groups
        self.padding_mode = padding_mode
        if min(self.kernel_size) < 1 or min(self.stride) < 1 or min(self.dilation) < 1:
            raise ValueError(
                f"{name}: kernel_size, stride and dilation must be positive, got "
                f"{self.kernel_size}, {self.stride}, {self.dilation}"
            )
        if isinstance(padding, str):
            self._check_named_padding(name)
        first, second = (
            (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        )
        self.weight = blank(first, second // groups, *self.kernel_size, dtype=dtype)
        if bias:
            self.bias = blank(out_channels, dtype=dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _check_named_padding(self, name: str) -> None:
        named = () if self.transposed else ("same", "same_upper", "same_lower", "valid")
        if self.padding not in named:
            raise ValueError(
                f"{name}: padding must be numbers{' or one of ' * bool(named)}"
                f"{', '.join(named)}, got {self.padding!r}"
            )
        if self.padding_mode != "zeros" and self.padding.startswith("same_"):
            raise ValueError(f"{name}: padding={self.padding!r} needs padding_mode='zeros'")
        if self.padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError(f"{name}: padding='same' is not supported for strided convolutions")

    def reset_parameters(self) -> None:
        """Draw weight and bias from U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
        fan_in = self.weight._array[0].size
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}",
            f"stride={self.stride}",
        ]
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        if self.padding != zeros:
            parts.append(f"padding={self.padding}")
        if self.dilation != ones:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != zeros:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Plain(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _before_after(self) -> list[tuple[int, int]]:
        """How much the padding adds before and after each axis."""
        if self.padding == "valid":
            return [(0, 0)] * self.rank
        if self.padding == "same":
            totals = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            return [(t // 2, t - t // 2) for t in totals]
        return [p if isinstance(p, tuple) else (p, p) for p in self.padding]

    def forward(self, input: Any) -> Any:
        return self._conv_forward(input, self.weight, self.bias)

    def with_activation(self, input: Any, activation: str) -> Any:
        """The convolution and ``"relu"`` behind it as one step of the tape."""
        return self._conv_forward(input, self.weight, self.bias, activation)

    def _conv_forward(
        self, input: Any, weight: Any, bias: Any, activation: str | None = None
    ) -> Any:
        if (
            not self.training
            and self.padding_mode == "zeros"
            and weight is self.weight
            and bias is self.bias
        ):
            step = snapshot(self, _step)
            result = None if step is None else Chain.of(step)(input)
            if result is not None:
                return result
        if self.padding_mode != "zeros":
            # F.pad lists the last axis first.
            sides = [n for pair in self._before_after()[::-1] for n in pair]
            how = (sides, self.padding_mode, self.stride, self.dilation, self.groups)
            return conv_padded(input, weight, bias, *how, activation)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.rank - 1]
        geometry = (self.stride, self.padding, self.dilation, self.groups)
        return convolve(input, weight, bias, *geometry, activation=activation)

    def train(self, mode: bool = True) -> Any:
        if mode:
            forget(self)
        return super().train(mode)


class Conv1d(_Plain):
    """Convolution over (N, C, L) or (C, L); see :class:`Conv2d`."""

    rank = 1


class Conv2d(_Plain):
    """Convolution over images.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair
    padding : int, pair, pair of (before, after), "same" or "valid"
    groups : int
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}

    Attributes
    ----------
    weight : (out_channels, in_channels / groups, *kernel_size)
    bias : (out_channels,) or None

    Raises
    ------
    ValueError
        For values that do not fit together.

    Notes
    -----
    Input (N, C, H, W) or (C, H, W). Semantics are those of ``torch.nn.Conv2d``.
    """

    rank = 2


class Conv3d(_Plain):
    """Convolution over (N, C, D, H, W) or (C, D, H, W); see :class:`Conv2d`."""

    rank = 3


@recipe(Conv1d, Conv2d, Conv3d)
def _step(layer: Any) -> Step | None:
    if layer.padding_mode != "zeros":
        return None
    geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
    return Step("conv", (layer.rank, *geometry), (layer.weight, layer.bias))


class _Transposed(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f"{type(self).__name__}: Only 'zeros' padding mode is supported, "
                f"got {padding_mode!r}"
            )
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding,
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _output_padding(self, input: Any, output_size: Any) -> Any:
        """What must be added after each axis for the result to have the extents asked for."""
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)[-self.rank :]
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                tuple(input.shape)[-self.rank :],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        most = [m + s - 1 for m, s in zip(least, self.stride, strict=True)]
        if len(wanted) != self.rank or any(
            not a <= w <= b for a, w, b in zip(least, wanted, most, strict=True)
        ):
            raise ValueError(
                f"{type(self).__name__}: requested an output size of {tuple(output_size)}, but "
                f"valid sizes range from {least} to {most} (for an input of "
                f"{tuple(input.shape)[-self.rank :]})"
            )
        return tuple(w - m for w, m in zip(wanted, least, strict=True))

    def forward(self, input: Any, output_size: Any = None) -> Any:
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.rank - 1]
        return convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._output_padding(input, output_size),
            self.groups,
            self.dilation,
        )


class ConvTranspose1d(_Transposed):
    """Transposed convolution over (N, C, L) or (C, L); see :class:`ConvTranspose2d`."""

    rank = 1


class ConvTranspose2d(_Transposed):
    """Transposed convolution over images: enlarges them by learned kernels.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, output_padding, dilation : int or pair
    groups : int
    bias : bool

    Attributes
    ----------
    weight : (in_channels, out_channels / groups, *kernel_size)
    bias : (out_channels,) or None

    Notes
    -----
    ``forward(input, output_size=None)``: several inputs of a strided convolution have one output
    size; `output_size` says which is meant.
    """

    rank = 2


class ConvTranspose3d(_Transposed):
    """Transposed convolution over (N, C, D, H, W); see :class:`ConvTranspose2d`."""

    rank = 3
