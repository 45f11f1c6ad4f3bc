"""Prepared convolutions: pay for choosing, checking and packing once, run many times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import NDArray

from fastconv import _core

__all__ = ["Conv1dPlan", "Conv2dPlan", "Conv3dPlan"]


class _ConvPlan(_core.Plan):
    """Base of the plans; the rank is the only difference."""

    rank: ClassVar[int]
    _input_shape: tuple[int, ...] | None

    def __new__(
        cls,
        weight: NDArray[Any],
        bias: NDArray[Any] | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] | Sequence[tuple[int, int]] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        *,
        activation: str | None = None,
        input_shape: Sequence[int] | None = None,
        algorithm: str = "auto",
    ) -> _ConvPlan:
        self: _ConvPlan = super().__new__(
            cls,
            cls.rank,
            weight,
            bias,
            stride,
            padding,
            dilation,
            groups,
            activation,
            input_shape,
            algorithm,
        )
        self._input_shape = None if input_shape is None else tuple(input_shape)
        return self

    def info(self, input_shape: Sequence[int] | None = None) -> dict[str, Any]:
        """Return what the plan does for an input shape (by default the one it was made for).

        Returns
        -------
        dict
            ``algorithm``, ``workspace_bytes``, ``prepared_bytes``, ``flops``, ``output_shape``.

        Raises
        ------
        ValueError
            If no shape is given and the plan was made without one, or the shape does not fit.
        """
        shape = self._input_shape if input_shape is None else tuple(input_shape)
        if shape is None:
            raise ValueError(
                f"{type(self).__name__}: input_shape must be given, since the plan was made without"
            )
        return super().info(shape)

    @property
    def algorithm(self) -> str:
        """The algorithm's row in the registry, for the shape that the plan was made for."""
        return str(self.info()["algorithm"])

    @property
    def workspace_bytes(self) -> int:
        """Scratch memory of one call, for the shape that the plan was made for."""
        return int(self.info()["workspace_bytes"])

    @property
    def flops(self) -> float:
        """Multiplications and additions of the definition, for the plan's shape."""
        return float(self.info()["flops"])


class Conv1dPlan(_ConvPlan):
    """A prepared :func:`fastconv.conv1d`; see :class:`Conv2dPlan`."""

    rank = 1


class Conv2dPlan(_ConvPlan):
    """A prepared :func:`fastconv.conv2d`: ``plan(x)`` equals ``conv2d(x, weight, bias, ...)``.

    The weight is copied and brought into the form that the chosen algorithm reads; algorithm,
    checks and scratch size are remembered for each of the last 16 input shapes. A plan may be
    called from several threads at once.

    Parameters
    ----------
    weight : array (K, C/groups, R, S)
        float32 or float64. Later changes of the array do not reach the plan.
    bias : array (K,), optional
    stride, padding, dilation, groups
        As in :func:`fastconv.conv2d`.
    activation : str, optional
        Fused activation, as in :func:`fastconv.conv2d`.
    input_shape : tuple, optional
        Prepare for this shape now; else at the first call.
    algorithm : str
        ``"auto"`` or a row of the registry.

    Raises
    ------
    ValueError, TypeError
        As :func:`fastconv.conv2d`, at construction or, where the input matters, at the call.

    Examples
    --------
    >>> plan = fastconv.Conv2dPlan(weight, bias, padding=1, activation="relu")
    >>> y = plan(x)
    >>> plan(x, out=y, residual=skip)

    Notes
    -----
    The idea of a plan is FFTW's: Frigo and Johnson, "The Design and Implementation of FFTW3",
    Proceedings of the IEEE 93(2), 2005.
    """

    rank = 2


class Conv3dPlan(_ConvPlan):
    """A prepared :func:`fastconv.conv3d`; see :class:`Conv2dPlan`."""

    rank = 3
