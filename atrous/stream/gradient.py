"""Gradients on an input of any size: what `loss(network(whole), target).backward()` adds to `.grad`, in strips.

`gradient_walks.py` says how.
"""

import shutil
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import nn

from atrous.data.source import Source
from atrous.errors import UserError
from atrous.geometry.exportable import one_line
from atrous.stream.differentiable import Differentiable, prepare_gradient
from atrous.stream.gradient_walks import GradientJob
from atrous.stream.objective import Loss
from atrous.stream.options import Options, choose_options
from atrous.stream.process import give_back
from atrous.stream.source import checked_source

USED = ("axis", "memory", "strip", "spool", "output", "progress")
"""The options of streaming that a gradient follows."""


def gradient(
    network: nn.Module | Differentiable,
    source: Source,
    loss: Loss,
    target: Any = None,
    *,
    scale: float = 1.0,
    options: Options | None = None,
    **choices: Any,
) -> float:
    """Add the gradients of `scale * loss(network(whole), target)` to `.grad`, strip by strip, and return that loss.

    The gradients are those of the backward pass on the whole input as a batch of one, each module in its own mode, but
    memory holds the activations of one strip, and the rows held between strips. Batch norms in training mode take the
    statistics of the whole input and update their running ones, once. Nothing is changed when an error is raised.

    Arguments:
        network: a module, or what `prepare_gradient` returned for it. Parameters with `requires_grad` are given
            gradients.
        source: `(C, *S)`, anything that can be sliced: an array, a memmap, a zarr array.
        loss: of a network whose output has positions, `loss(rows, target rows)` must be the sum of the losses of the
            given positions: it is called with `(1, K, *rows)` and `(1, ..., *rows)` and returns one number. A mean has
            the divisor in `scale`, which must be known before, such as `scale=1 / valid positions`; or it is given as a
            `SummedLoss`, a function of several such sums, as the soft Dice loss is. Of a network that ends in a global
            pool, it is any function of the pooled output `(1, K)` and the target.
        target: of an output with positions, `(..., *S)`, anything that can be sliced, or None; integers are handed to
            the loss as int64. Otherwise it is handed to the loss as it is.
        scale: what the loss is multiplied by.
        options: as in `stream`: `axis`, `memory`, `strip`, `output`, `progress`, and `spool`, a folder for the rows
            that are held and the values between passes. With `spool`, memory does not grow with the length; a network
            with several barriers in a row computes no value more than twice.
        choices: single options by name, which go before those in `options`.

    Raises `UserError` for a mistake in the arguments or a loss that is no sum, and `Refused` (a `UserError`) when the
    gradient of an operator cannot be computed strip by strip; the message names its module.

    >>> import torch
    >>> network = nn.Sequential(nn.Conv1d(1, 4, 5, padding=2), nn.BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 2, 1))
    >>> signal, labels = torch.randn(1, 1000), torch.randint(0, 2, (1000,))
    >>> summed = nn.CrossEntropyLoss(reduction="sum")
    >>> mean = gradient(network, signal, summed, labels, scale=1 / 1000, strip=64)
    >>> streamed = network[0].weight.grad.clone()
    >>> network.zero_grad()
    >>> whole = nn.functional.cross_entropy(network(signal[None]), labels[None])
    >>> whole.backward()
    >>> bool((streamed - network[0].weight.grad).abs().max() < 1e-5), abs(mean - float(whole.detach())) < 1e-5
    (True, True)
    """
    options = _checked(choose_options(options, choices))
    checked_source(source)
    shape = tuple(source.shape)
    if not isinstance(network, Differentiable):
        network = prepare_gradient(network, shape, axis=options.axis, output=options.output)
    if network.graph.shape != shape:
        raise UserError(f"the network was prepared for inputs of shape {network.graph.shape}, not {shape}")
    network.require_same_modes()
    folder = None
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="gradient-", dir=options.folder))
    try:
        return GradientJob(network, source, loss, target, scale, options, folder).run()
    except RuntimeError as error:
        if "derivative for" not in str(error):
            raise
        raise UserError(f"{network.graph.network}: {one_line(error)}") from error
    finally:
        give_back()  # strips of many sizes leave holes: without it, the memory grows from call to call
        if folder is not None:
            shutil.rmtree(folder)


def _checked(options: Options) -> Options:
    """Return the options, or raise `UserError` for one that a gradient does not follow."""
    for each in fields(Options):
        if each.name not in USED and getattr(options, each.name) != each.default:
            raise UserError(f"{each.name}: is no option of a gradient: the options are {', '.join(USED)}")
    return options
