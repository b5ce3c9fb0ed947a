"""A quick validation during training: decoded samples, the larger ones by evenly spread windows."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from atrous.data.feed.decode import Decoded
from atrous.errors import MemoryLimitError
from atrous.stream import Prepared, prepare, stream
from atrous.stream.process import give_back
from atrous.tasks.custom import output_size
from atrous.tasks.task import NotFinite, Task

WINDOWS = 8
"""At most so many windows of one sample."""
WHOLE = 2**21
"""Positions up to which a sample with one label, which has no windows, goes through the network in one piece."""
BOUNDED = 2**18
"""Positions up to which a window does so in a training on whole samples, whose memory is to stay small."""
MEMORY = "256MiB"
"""Memory of the strips of what is larger, if that is enough."""


def validate(
    network: nn.Module, task: Task, held_out: Decoded, side: Sequence[int], *, bounded: bool = False
) -> dict[str, float]:
    """Return the loss and the metrics that the task watches.

    Args:
        network: in eval mode.
        task: gives loss and metrics.
        held_out: the samples.
        side: size of the windows; samples that are larger count by windows of this size.
        bounded: whether windows of more than `BOUNDED` positions go through the network in strips, which it must be fit
            for; samples with one label of more than `WHOLE` always do.

    Raises:
        NotFinite: the network's output for an image is not finite; it names the file.
    """
    metrics, losses, target = task.metrics(full=False), [], held_out.target
    ready: dict[tuple[int, ...], Prepared] = {}
    for index, (name, image) in enumerate(zip(held_out.names, held_out.images, strict=True)):
        for number, window in enumerate(windows(held_out.size(index), side)):
            x = torch.from_numpy(np.ascontiguousarray(image[(slice(None), *window)]).astype(np.float32))[None]
            truth = target.tensor(target.crop(held_out.values[index], held_out.in_target(index, window)))
            if x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            in_strips = x[0, 0].numel() > (BOUNDED if bounded else WHOLE if target.of_whole else math.inf)
            output = _streamed(network, task, x[0], ready) if in_strips else network(x).float()
            batch = target.batch([truth])
            losses.append(float(task.loss(output, batch if batch.is_floating_point() else batch.long())))
            try:
                metrics.update(f"{name}/{number}", output[0], truth)
            except NotFinite:
                raise NotFinite(held_out.called(index)) from None
    result = metrics.result(0.0).watched()
    return {"loss": float(np.mean(losses)), **{name: result[name] for name in task.watched}}


def _streamed(
    network: nn.Module, task: Task, image: torch.Tensor, ready: dict[tuple[int, ...], Prepared]
) -> torch.Tensor:
    """The network's output `(1, K, *S')` for an image `(C, *S)`, in strips; exported once for images of one shape."""
    shape = tuple(image.shape)
    output = np.empty((task.out_channels, *output_size(task, shape[1:])), np.float32)
    with torch.inference_mode(False), torch.no_grad():
        if shape not in ready:
            ready.clear()
            ready[shape] = prepare(network, shape)
        give_back()  # what the steps of the training left free
        try:
            stream(ready[shape], image.contiguous().numpy(), output, memory=MEMORY)
        except MemoryLimitError:
            stream(ready[shape], image.contiguous().numpy(), output)
    return torch.from_numpy(output)[None]


def full_to_quick(held_out: Decoded, side: Sequence[int]) -> float:
    """Return the positions of a full evaluation (of whole samples) divided by those of a quick validation."""
    sizes = [held_out.size(index) for index in range(len(held_out.names))]
    whole = sum(int(np.prod(size)) for size in sizes)
    quick = sum(
        int(np.prod([part.stop - part.start for part in window])) for size in sizes for window in windows(size, side)
    )
    return whole / quick


def windows(shape: Sequence[int], side: Sequence[int]) -> list[tuple[slice, ...]]:
    """Return the whole of a sample, or where it is larger than `side` at most `WINDOWS` windows spread evenly over it.

    >>> windows((360, 480), (1024, 1024))
    [(slice(0, 360, None), slice(0, 480, None))]
    >>> len(windows((5400, 10800), (1024, 1024)))
    8
    """
    starts = [[0] if n <= most else list(range(0, n - most + 1, most)) for n, most in zip(shape, side, strict=True)]
    corners = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, len(shape))
    chosen = corners[np.linspace(0, len(corners) - 1, min(WINDOWS, len(corners))).round().astype(int)]
    return [
        tuple(slice(int(a), min(int(a) + most, n)) for a, n, most in zip(corner, shape, side, strict=True))
        for corner in chosen
    ]
