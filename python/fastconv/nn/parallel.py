"""``torch.nn.parallel`` where there is no GPU: the module alone, under another name."""

from __future__ import annotations

from typing import Any

from .module import Module

__all__ = ["DataParallel", "DistributedDataParallel"]


class DataParallel(Module):
    """`module` itself under the name ``module``, as PyTorch has it where there is no GPU.

    Parameters
    ----------
    module : Module
    device_ids, output_device, dim
        Taken for scripts that name them.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(DataParallel):
    """As :class:`DataParallel`: there is one process."""
