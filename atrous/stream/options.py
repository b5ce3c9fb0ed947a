"""Every choice that a caller has in a streamed run, in one object that is handed on from function to function."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from atrous.errors import UserError
from atrous.stream.post import Post

Region = tuple[slice, ...]
"""One slice per spatial axis, in output positions."""
STRATEGIES = ("strips", "windows")


@dataclass(frozen=True)
class Options:
    """The choices of `stream` and `plan`. Every one has a default that fits most inputs.

    Raises `UserError` for values that no run can follow.

    Attributes:
        axis: the spatial axis to stream along; 0 is the first one after the channels. None chooses: the first axis,
            unless another is much longer or needs fewer passes over the input.
        memory: bytes (a number, or text such as "1GB" or "512MiB") that rows and weights may take together. None aims
            at 768 MiB of rows.
        strip: rows of the streamed axis that are read in one step. None follows from `memory`.
        blocks: into how many blocks a second axis is cut, each of them streamed by itself. None follows from `memory`.
        post: a pointwise function that is applied to each finished strip: "argmax", "softmax", "sigmoid", a number
            (1 where the output is above it, else 0), or a function of a tensor `(1, K, *rows)`.
        dtype: the element type to compute in, for instance `torch.bfloat16`. None takes the network's own.
        engine: "torch" runs operator by operator; "openvino", "inductor" and "onnxruntime" compile the network in
            a few segments.
        strategy: "strips" computes nothing twice and holds the rows that are still needed; "windows" runs the network
            as it is on overlapping windows of one shape. None takes the one that does less work.
        region: the part of the output to compute, as a slice per spatial axis in output positions. Only the input that
            this part depends on is read; the numbers are those of the whole answer. None computes the whole output.
        resume: continue an interrupted run with the same options from its last finished strip, block or pass. It needs
            a sink that outlives the process: a memmap, or a zarr array on disk. On a cluster, units that are done are
            left out; the zarr array may be at a URL.
        spool: a folder on disk for the values that a later pass needs again, so that they are not computed twice. None
            computes them again.
        output: the name, or the index, of the tensor to compute when the network returns several.
        progress: a function that is called after each step with the finished part of the work, from 0 to 1. What it
            raises ends the run.
        barriers: what the barriers (global pools, norms over everything) give on this source, by operator. The first
            run fills an empty dict; later runs on the same source, such as those of other regions, read it and leave
            out the passes that gather it. None gathers it in every run.

    >>> Options(strip=64, post="argmax").strip
    64
    """

    axis: int | None = None
    memory: float | str | None = None
    strip: int | None = None
    blocks: int | None = None
    post: Post = None
    dtype: torch.dtype | None = None
    engine: str = "torch"
    strategy: str | None = None
    region: Region | None = None
    resume: bool = False
    spool: str | Path | None = None
    output: int | str | None = None
    progress: Callable[[float], None] | None = None
    barriers: dict[int, torch.Tensor] | None = None

    def __post_init__(self) -> None:
        if self.strategy not in (None, *STRATEGIES):
            raise UserError(f"strategy={self.strategy!r} is not known: give one of {', '.join(STRATEGIES)}")
        if (self.strip is not None and self.strip < 1) or (self.blocks is not None and self.blocks < 1):
            raise UserError(f"strip={self.strip}, blocks={self.blocks}: both must be at least 1")
        if self.resume and self.strategy == "windows":
            raise UserError("resume=True works with strips only: leave strategy out, or give strategy='strips'")
        if self.barriers is not None and (self.spool is not None or self.resume):
            raise UserError("barriers= keeps no values between passes on disk: leave spool and resume out")

    @property
    def folder(self) -> Path | None:
        """The folder for spooled values, or None."""
        return None if self.spool is None else Path(self.spool)


def choose_options(options: Options | None, choices: dict[str, Any]) -> Options:
    """Return `options` (the defaults when None) with the named choices in place of its own.

    Raises `UserError` when a name is not an option's, and when a value cannot be followed.

    >>> choose_options(Options(strip=8), {"blocks": 2}) == Options(strip=8, blocks=2)
    True
    """
    names = [field.name for field in fields(Options)]
    for name in choices:
        if name not in names:
            close = get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise UserError(f"unknown option {name!r}: {hint}the options are {', '.join(names)}")
    return replace(options or Options(), **choices)
