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
from atrous.geometry.graph import export_graph
from atrous.geometry.lower import lower
from atrous.geometry.maps import IDENTITY
from atrous.geometry.rules import follow
from atrous.surgery.certificate import (
    Change,
    Converted,
    certified,
    evaluating,
    example,
    first_channels,
    relative_error,
)
from atrous.surgery.copies import copied, in_what, narrowed, widened
from atrous.surgery.dense import is_map
from atrous.surgery.head import Head
from atrous.surgery.measure import Pairs, proven_error


def convolutionalize(
    classifier: nn.Module, input_size: int | Sequence[int], *, channels: int | None = None
) -> Converted:
    """The classifier as a network that gives a map of class scores; at `input_size` one position, equal to its scores.

    Fully connected layers become convolutions, of the size of the last map or 1x1; the global pool becomes a pool of
    the last map's size at stride 1. Names of parameters stay; a weight `(out, in)` becomes `(out, C, *kernel)`. On a
    larger input the network is the classifier slid over it, by its stride, but for padding, which is at the border
    of the whole input. What reads the whole input before the head (squeeze-and-excitation) stays as it is, and the
    certificate's remarks name it.

    Args:
        classifier: takes `(N, C, *S)`, returns `(N, K)` in evaluation mode.
        input_size: positions per axis at which the two are equal: the size that it was trained at.
        channels: of the input; those of the first convolution when None.

    Raises:
        UserError: a step of the head is no convolution, naming its module; or the network's last map has one position
            only at this size.

    >>> import torch
    >>> from collections import OrderedDict
    >>> layers = OrderedDict(conv=nn.Conv2d(3, 4, 3, 2, 1), flat=nn.Flatten(), fc=nn.Linear(4 * 8 * 8, 10))
    >>> classifier = nn.Sequential(layers).eval()
    >>> done = convolutionalize(classifier, 16)
    >>> done.network.fc
    Conv2d(4, 10, kernel_size=(8, 8), stride=(1, 1))
    >>> done.network(torch.randn(1, 3, 32, 16)).shape, done.certificate.max_error < 1e-5
    (torch.Size([1, 10, 9, 1]), True)
    """
    found, ndim = first_channels(classifier)
    size = (input_size,) * ndim if isinstance(input_size, int) else tuple(input_size)
    if len(size) != ndim:
        raise UserError(f"input_size={size}: the network has {ndim} spatial axes")
    if min(size) < 1:
        raise UserError(f"input_size={input_size}: give the positions per axis that it was trained at, at least 1")
    shape = (channels or found, *size)
    proved = widened(classifier)
    x = example(proved, shape)
    result = copied(proved)
    modes = {path: module.training for path, module in classifier.named_modules()}
    with evaluating(proved, result):
        wanted = _scores(proved, x)
        head = Head(ndim)
        result, layout = head.module(result, "", [x], [None], {})
        if layout is None or not layout.point:
            raise UserError(
                f"{type(classifier).__name__}: its output is no score per class pooled from a map: nothing to convert"
            )
        result.eval()
        error = proven_error(proved, result, partial(_scored, shape=shape))
    larger, apart, remarks = _larger(proved, result, shape, int(wanted[0].numel()))
    remarks += head.remarks
    for path, module in result.named_modules():
        module.training = modes.get(path, classifier.training)
    return certified(
        "convolutionalize",
        classifier,
        narrowed(result, classifier),
        max_error=max(error, apart),
        compared=f"the classifier's {wanted[0].numel()} scores with the map's one position; on {larger}"
        + in_what(classifier),
        shapes=(shape,),
        changes=tuple(head.changes),
        remarks=tuple(remarks),
    )


def _scores(classifier: nn.Module, x: Tensor) -> Tensor:
    try:
        wanted: Any = classifier(x.clone())  # it may write into its input
    except Exception as error:  # the network's own forward pass may allow some sizes only
        raise UserError(
            f"{type(classifier).__name__}: cannot run on inputs of {tuple(x.shape[1:])}: {error}"
        ) from error
    if not isinstance(wanted, Tensor) or wanted.dim() not in (2, x.dim()) or is_map(wanted, x.dim() - 2):
        said = f"{tuple(wanted.shape)}" if isinstance(wanted, Tensor) else type(wanted).__name__
        raise UserError(f"{type(classifier).__name__}: returns {said}, not one score per class (N, K)")
    return wanted


def _scored(classifier: nn.Module, result: nn.Module, shape: tuple[int, ...]) -> Pairs:
    x = example(classifier, shape)
    with evaluating(classifier, result):
        return [(result(x.clone()).flatten(1), classifier(x.clone()).flatten(1))]


def _larger(
    classifier: nn.Module, result: nn.Module, shape: tuple[int, ...], classes: int
) -> tuple[str, float, list[Change]]:
    """Run a larger input: the map must be as large as the stride says.

    Returns what was compared, the error where positions are known (nothing pads), and who reads the whole input.
    """
    big = (shape[0], *(s + 64 for s in shape[1:]))
    graph = lower(export_graph(result, big), fold=False)
    try:
        axes = [follow(graph, g) for g in range(graph.ndim)]
    except Refused as reason:
        raise UserError(f"{type(result).__name__}: its map cannot be followed on a larger input: {reason}") from reason
    if any(graph.output not in strides(axis) for axis in axes):
        raise UserError(
            f"{type(result).__name__}: gives {graph.ops[graph.output].shape} on {big}, no map: something in it pools "
            "to a fixed size before the head"
        )
    steps = [math.ceil(strides(axis)[graph.output]) for axis in axes]
    big = (shape[0], *(s + 2 * t for s, t in zip(shape[1:], steps, strict=True)))
    x = example(result, big, 1)
    with evaluating(result):
        found = result(x.clone())
    if found.shape != (1, classes, *(3,) * len(steps)) or not bool(found.isfinite().all()):
        raise UserError(
            f"{type(result).__name__}: gives {tuple(found.shape)} on {big}, where stride {steps} gives 3 per axis"
        )
    readers = dict.fromkeys(op.module for axis in axes for op in axis.barriers)
    what = "reads all of a larger input, as the classifier did"
    said = f"{'x'.join(map(str, big))} a map of {'x'.join('3' * len(steps))}"
    apart = 0.0
    if all(_slides_only(axis) for axis in axes):
        apart = max(_on_crop(classifier, x, found, at, shape, steps) for at in (1, 2))
        said += " whose positions are the classifier's on their crops"
    return said, apart, [Change(m, what) for m in readers]


def _slides_only(axis: Axis) -> bool:
    """Whether every operator only slides, without padding: each position of the map is then that of its crop."""
    return all(
        read.map == IDENTITY
        or read.map.is_broadcast
        or (read.map.is_unpadded_window and not op.arguments.get("ceil_mode"))
        for op, along in zip(axis.graph.ops, axis.along, strict=True)
        for read in along.reads
    )


def _on_crop(
    classifier: nn.Module, x: Tensor, found: Tensor, at: int, shape: tuple[int, ...], steps: list[int]
) -> float:
    """The error of position `at` of every axis of the map against the classifier on the crop below it."""
    crop = x[(..., *(slice(at * t, at * t + s) for t, s in zip(steps, shape[1:], strict=True)))]
    with evaluating(classifier):
        wanted = classifier(crop.clone())
    return relative_error(found[(..., *(slice(at, at + 1),) * len(steps))].flatten(1), wanted.flatten(1))
