"""A classifier becomes a fully convolutional network: its fully connected layers are convolutions over its last map.

Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015, section 3.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from atrous.errors import UserError
from atrous.geometry.axis import Axis, Refused, strides
from atrous.geometry.exportable import one_line
from atrous.geometry.graph import export_graph
from atrous.geometry.lower import lower
from atrous.geometry.maps import IDENTITY
from atrous.geometry.rules import follow
from atrous.surgery.certificate import (
    Change,
    Converted,
    Pairs,
    certified,
    evaluating,
    example,
    first_channels,
    proven_error,
    relative_error,
)
from atrous.surgery.copies import copied, narrowed, type_remark, widened
from atrous.surgery.dense import is_map
from atrous.surgery.head import HeadConverter
from atrous.surgery.sizes import require_same_numbers

POSITIONS = 3
"""Positions per axis of the map on which the result is tried."""


def convolutionalize(
    classifier: nn.Module, input_size: int | Sequence[int], *, channels: int | None = None
) -> Converted:
    """Return the classifier as a network that gives a map of class scores for larger inputs.

    At `input_size` the map has one position, which equals the classifier's scores. On a larger input the network is the
    classifier slid over it, by the classifier's stride. Only the padding differs: it is at the border of the whole
    input, not of each window.

    Fully connected layers become convolutions, as large as the last map or 1x1. The global pool becomes a pool of the
    last map's size at stride 1. Parameters keep their names; a weight `(out, in)` becomes `(out, C, *kernel)`. Layers
    that read the whole input before the head (squeeze-and-excitation) stay as they are, and the certificate's remarks
    name them.

    Args:
        classifier: takes `(N, C, *S)` and returns `(N, K)` in evaluation mode.
        input_size: positions per axis at which the two are equal: the size that the classifier was trained at.
        channels: of the input; those of the first convolution when None.

    Raises:
        UserError: a step of the head is no convolution, or computes with a number that depends on the input's size (the
            message names its module), or the result gives no map on a larger input.

    >>> import torch
    >>> from collections import OrderedDict
    >>> layers = OrderedDict(conv=nn.Conv2d(3, 4, 3, 2, 1), flat=nn.Flatten(), fc=nn.Linear(4 * 8 * 8, 10))
    >>> classifier = nn.Sequential(layers).eval()
    >>> converted = convolutionalize(classifier, 16)
    >>> converted.network.fc
    Conv2d(4, 10, kernel_size=(8, 8), stride=(1, 1))
    >>> converted.network(torch.randn(1, 3, 32, 16)).shape, converted.certificate.max_error < 1e-5
    (torch.Size([1, 10, 9, 1]), True)
    """
    own_channels, ndim = first_channels(classifier)
    size = (input_size,) * ndim if isinstance(input_size, int) else tuple(input_size)
    if len(size) != ndim:
        raise UserError(f"input_size={size}: the network has {ndim} spatial axes")
    if min(size) < 1:
        raise UserError(f"input_size={input_size}: give the positions per axis that it was trained at, at least 1")
    shape = (channels or own_channels, *size)
    original = widened(classifier)
    x = example(original, shape)
    result = copied(original)
    with evaluating(original, result):
        classes = int(_scores(original, x)[0].numel())
        head = HeadConverter(ndim)
        result, layout = head.module(result, "", [x], [None], {})
        if layout is None or not layout.is_point:
            raise UserError(
                f"{type(classifier).__name__}: its output is no score per class pooled from a map: nothing to convert"
            )
        result.eval()
        error = proven_error(original, result, partial(_score_pairs, shape=shape))
    compared, crop_error, remarks = _try_larger(original, result, shape, classes)
    modes = {path: module.training for path, module in classifier.named_modules()}
    for path, module in result.named_modules():
        module.training = modes.get(path, classifier.training)
    return certified(
        "convolutionalize",
        classifier,
        narrowed(result, classifier),
        max_error=max(error, crop_error),
        compared=f"the classifier's {classes} scores with the map's one position; on {compared}"
        + type_remark(classifier),
        shapes=(shape,),
        changes=tuple(head.changes),
        remarks=(*remarks, *head.remarks),
    )


def _scores(classifier: nn.Module, x: Tensor) -> Tensor:
    """Return the classifier's scores `(N, K)` or `(N, K, 1, ...)` of `x (N, C, *S)`.

    Raises:
        UserError: it does not run on this size, or returns anything else.
    """
    try:
        scores: Any = classifier(x.clone())  # the forward pass may write into its input
    except Exception as error:  # the network's own forward pass may allow some sizes only
        raise UserError(
            f"{type(classifier).__name__}: cannot run on inputs of {tuple(x.shape[1:])}: {one_line(error)}"
        ) from error
    if not isinstance(scores, Tensor) or scores.dim() not in (2, x.dim()) or is_map(scores, x.dim() - 2):
        kind = f"{tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        raise UserError(f"{type(classifier).__name__}: returns {kind}, not one score per class (N, K)")
    return scores


def _score_pairs(classifier: nn.Module, result: nn.Module, shape: tuple[int, ...]) -> Pairs:
    """Return the scores `(N, K)` of the result and of the classifier on an input at the classifier's size."""
    x = example(classifier, shape)
    with evaluating(classifier, result):
        return [(result(x.clone()).flatten(1), classifier(x.clone()).flatten(1))]


def _try_larger(
    classifier: nn.Module, result: nn.Module, shape: tuple[int, ...], classes: int
) -> tuple[str, float, list[Change]]:
    """Run the result on a larger input, where its map must have the size that its stride says.

    Returns:
        What was compared, in words; the error against the classifier on crops, or 0 where padding makes the two
        different; and a remark for each layer that reads the whole input.

    Raises:
        UserError: the result gives no map, or one of another size, or computes with a number that depends on the size.
    """
    # 1. The stride follows from the graph of the result, at a size that is certainly large enough.
    large_shape = (shape[0], *(s + 64 for s in shape[1:]))
    graph = lower(export_graph(result, large_shape), fold=False)
    try:
        axes = [follow(graph, g) for g in range(graph.ndim)]
    except Refused as reason:
        raise UserError(f"{type(result).__name__}: its map cannot be followed on a larger input: {reason}") from reason
    if any(graph.output not in strides(axis) for axis in axes):
        raise UserError(
            f"{type(result).__name__}: gives {graph.ops[graph.output].shape} on {large_shape}, no map: something in it "
            "pools to a fixed size before the head"
        )
    require_same_numbers(result, axes, shape)
    steps = [math.ceil(strides(axis)[graph.output]) for axis in axes]
    # 2. An input longer by two strides has windows at the offsets 0, 1 and 2 strides.
    large_shape = (shape[0], *(s + (POSITIONS - 1) * step for s, step in zip(shape[1:], steps, strict=True)))
    x = example(result, large_shape, 1)
    with evaluating(result):
        output = result(x.clone())
    if output.shape != (1, classes, *(POSITIONS,) * len(steps)) or not bool(output.isfinite().all()):
        raise UserError(
            f"{type(result).__name__}: gives {tuple(output.shape)} on {large_shape}, where stride {steps} gives "
            f"{POSITIONS} per axis"
        )
    # 3. Without padding every position equals the classifier on its crop.
    compared = f"{'x'.join(map(str, large_shape))} a map of {'x'.join([str(POSITIONS)] * len(steps))}"
    error = 0.0
    if all(_slides_only(axis) for axis in axes):
        error = max(_crop_error(classifier, x, output, position, shape, steps) for position in (1, 2))
        compared += " whose positions are the classifier's on their crops"
    whole = dict.fromkeys(op.module for axis in axes for op in axis.barriers)
    return compared, error, [Change(path, "reads all of a larger input, as the classifier did") for path in whole]


def _slides_only(axis: Axis) -> bool:
    """Whether every operator slides along the axis without padding: each position of the map then is that of its crop.

    Operators on single positions and values broadcast along the axis do no harm.
    """
    return all(
        read.map == IDENTITY
        or read.map.is_broadcast
        or (read.map.is_unpadded_window and not op.arguments.get("ceil_mode"))
        for op, along in zip(axis.graph.ops, axis.along, strict=True)
        for read in along.reads
    )


def _crop_error(
    classifier: nn.Module, x: Tensor, output: Tensor, position: int, shape: tuple[int, ...], steps: list[int]
) -> float:
    """Return the error of `output (1, K, 3, ...)` at `position` of every axis against the classifier on its crop of x.

    The crop begins `position` strides in, and has the size in `shape (C, *S)`.
    """
    starts = [position * step for step in steps]
    crop = x[(..., *(slice(start, start + s) for start, s in zip(starts, shape[1:], strict=True)))]
    with evaluating(classifier):
        wanted = classifier(crop.repeat(2, *(1,) * (1 + len(steps))))[:1]  # two, since squeeze() drops a batch of one
    return relative_error(output[(..., *(slice(position, position + 1),) * len(steps))].flatten(1), wanted.flatten(1))
