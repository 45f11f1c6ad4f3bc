"""Gradients as plain functions, where the rule is no more than that of the tape.

Operators with a kernel or a formula of their own have their ``..._backward`` beside them. Those
here run the operator once more, on a tape, and bring `grad_output` back along it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._types import Array
from ..autograd import enable_grad, grad, wrap
from ._tools import array_first
from .blocks import channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold
from .channel_norm import normalize
from .class_loss import cross_entropy
from .exponential import celu
from .likelihood_loss import gaussian_nll_loss, poisson_nll_loss
from .linear import bilinear
from .loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from .margin_loss import (
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
)
from .pair_loss import (
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    margin_ranking_loss,
    pairwise_distance,
    triplet_margin_loss,
)
from .pooling_more import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from .rectifiers import threshold
from .resample import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, interpolate
from .row_norm import rms_norm
from .sigmoids import hardshrink, logsigmoid, softshrink, softsign, tanhshrink
from .smooth_gates import glu
from .softmax import softmin

__all__ = [
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d_backward",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d_backward",
    "bilinear_backward",
    "binary_cross_entropy_backward",
    "binary_cross_entropy_with_logits_backward",
    "celu_backward",
    "channel_shuffle_backward",
    "cosine_embedding_loss_backward",
    "cosine_similarity_backward",
    "cross_entropy_backward",
    "fold_backward",
    "gaussian_nll_loss_backward",
    "glu_backward",
    "hardshrink_backward",
    "hinge_embedding_loss_backward",
    "huber_loss_backward",
    "interpolate_backward",
    "kl_div_backward",
    "l1_loss_backward",
    "logsigmoid_backward",
    "lp_pool1d_backward",
    "lp_pool2d_backward",
    "lp_pool3d_backward",
    "margin_ranking_loss_backward",
    "max_unpool1d_backward",
    "max_unpool2d_backward",
    "max_unpool3d_backward",
    "mse_loss_backward",
    "multi_margin_loss_backward",
    "multilabel_margin_loss_backward",
    "multilabel_soft_margin_loss_backward",
    "normalize_backward",
    "pairwise_distance_backward",
    "pixel_shuffle_backward",
    "pixel_unshuffle_backward",
    "poisson_nll_loss_backward",
    "rms_norm_backward",
    "smooth_l1_loss_backward",
    "soft_margin_loss_backward",
    "softmin_backward",
    "softshrink_backward",
    "softsign_backward",
    "tanhshrink_backward",
    "threshold_backward",
    "triplet_margin_loss_backward",
    "unfold_backward",
]


def _backward(function: Callable[..., Any], *operands: str) -> Callable[..., Any]:
    """The gradient of `function` with respect to those of its arguments that `operands` names."""
    code = getattr(function, "__wrapped__", function).__code__
    arguments = code.co_varnames[: code.co_argcount]

    def backward(grad_output: Array, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(arguments, args, strict=False)) | kwargs
        leaves = {}
        array_first(own_name, grad_output, "grad_output")
        for name in operands:
            if given.get(name) is not None:
                array_first(own_name, given[name], name)
                given[name] = leaves[name] = wrap(given[name])
                leaves[name].requires_grad = True
        with enable_grad():
            output = function(**given)
        if isinstance(output, tuple):  # return_indices
            output = output[0]
        if output.shape != grad_output.shape:
            raise ValueError(
                f"{own_name}: grad_output must have shape {output.shape}, got {grad_output.shape}"
            )
        found = grad(output, list(leaves.values()), wrap(grad_output), allow_unused=True)
        grads = dict(zip(leaves, (None if g is None else g.numpy() for g in found), strict=True))
        return grads[operands[0]] if len(operands) == 1 else tuple(map(grads.get, operands))

    own_name = backward.__name__ = backward.__qualname__ = f"{function.__name__}_backward"
    several = len(operands) > 1
    backward.__doc__ = f"""Gradient{"s" if several else ""} of :func:`{function.__name__}`.

    Parameters
    ----------
    grad_output : array of the output's shape
    ...
        What :func:`{function.__name__}` was given, in its order: {", ".join(arguments)}.

    Returns
    -------
    {"tuple of arrays: of " + ", ".join(operands) if several else "array of the input's shape"}

    Raises
    ------
    ValueError, TypeError
        As :func:`{function.__name__}`; also if `grad_output` has not the output's shape.
    """
    return backward


celu_backward = _backward(celu, "input")
glu_backward = _backward(glu, "input")
hardshrink_backward = _backward(hardshrink, "input")
logsigmoid_backward = _backward(logsigmoid, "input")
softshrink_backward = _backward(softshrink, "input")
softsign_backward = _backward(softsign, "input")
tanhshrink_backward = _backward(tanhshrink, "input")
threshold_backward = _backward(threshold, "input")
channel_shuffle_backward = _backward(channel_shuffle, "input")
fold_backward = _backward(fold, "input")
pixel_shuffle_backward = _backward(pixel_shuffle, "input")
pixel_unshuffle_backward = _backward(pixel_unshuffle, "input")
unfold_backward = _backward(unfold, "input")
bilinear_backward = _backward(bilinear, "input1", "input2", "weight", "bias")
binary_cross_entropy_backward = _backward(binary_cross_entropy, "input")
binary_cross_entropy_with_logits_backward = _backward(binary_cross_entropy_with_logits, "input")
cosine_similarity_backward = _backward(cosine_similarity, "x1", "x2")
cross_entropy_backward = _backward(cross_entropy, "input")
huber_loss_backward = _backward(huber_loss, "input")
kl_div_backward = _backward(kl_div, "input")
l1_loss_backward = _backward(l1_loss, "input")
mse_loss_backward = _backward(mse_loss, "input")
smooth_l1_loss_backward = _backward(smooth_l1_loss, "input")
normalize_backward = _backward(normalize, "input")
rms_norm_backward = _backward(rms_norm, "input", "weight")
adaptive_max_pool1d_backward = _backward(adaptive_max_pool1d, "input")
adaptive_max_pool2d_backward = _backward(adaptive_max_pool2d, "input")
adaptive_max_pool3d_backward = _backward(adaptive_max_pool3d, "input")
lp_pool1d_backward = _backward(lp_pool1d, "input")
lp_pool2d_backward = _backward(lp_pool2d, "input")
lp_pool3d_backward = _backward(lp_pool3d, "input")
max_unpool1d_backward = _backward(max_unpool1d, "input")
max_unpool2d_backward = _backward(max_unpool2d, "input")
max_unpool3d_backward = _backward(max_unpool3d, "input")
cosine_embedding_loss_backward = _backward(cosine_embedding_loss, "input1", "input2")
gaussian_nll_loss_backward = _backward(gaussian_nll_loss, "input", "target", "var")
hinge_embedding_loss_backward = _backward(hinge_embedding_loss, "input")
margin_ranking_loss_backward = _backward(margin_ranking_loss, "input1", "input2")
multi_margin_loss_backward = _backward(multi_margin_loss, "input")
multilabel_margin_loss_backward = _backward(multilabel_margin_loss, "input")
multilabel_soft_margin_loss_backward = _backward(multilabel_soft_margin_loss, "input")
pairwise_distance_backward = _backward(pairwise_distance, "x1", "x2")
poisson_nll_loss_backward = _backward(poisson_nll_loss, "input")
soft_margin_loss_backward = _backward(soft_margin_loss, "input")
triplet_margin_loss_backward = _backward(triplet_margin_loss, "anchor", "positive", "negative")
adaptive_avg_pool1d_backward = _backward(adaptive_avg_pool1d, "input")
adaptive_avg_pool2d_backward = _backward(adaptive_avg_pool2d, "input")
adaptive_avg_pool3d_backward = _backward(adaptive_avg_pool3d, "input")
interpolate_backward = _backward(interpolate, "input")
softmin_backward = _backward(softmin, "input")
