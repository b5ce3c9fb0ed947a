"""Run any fully convolutional network on an input of any size: the whole-image answer in bounded memory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from atrous.errors import UserError
from atrous.geometry.axis import Refused
from atrous.geometry.plan import Limits, StreamPlan, byte_count, choose_axis, make_plan
from atrous.stream.engines import compiler
from atrous.stream.job import Job
from atrous.stream.post import Post
from atrous.stream.prepare import Prepared, Region, output_region, prepare
from atrous.stream.source import checked_source
from atrous.stream.windows import run_windows, window_plan

STRATEGIES = ("strips", "windows")


def stream(
    network: nn.Module | Prepared,
    source: Any,
    sink: Any = None,
    *,
    axis: int | None = None,
    memory: float | str | None = None,
    strip: int | None = None,
    blocks: int | None = None,
    post: Post = None,
    dtype: torch.dtype | None = None,
    engine: str = "torch",
    strategy: str | None = None,
    region: Region | None = None,
    resume: bool = False,
    spool: str | Path | None = None,
    output: int | str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """The output of `network` on the whole `source`, computed strip by strip.

    `network` is a module, or what `prepare` made of one; it runs in evaluation mode, as one forward pass would, and is
    left as it was found. `source` `(C, *S)` is anything that can be sliced, `sink` `(K, *S_out)` anything that
    slices can be
    assigned to (a new numpy array when none is given). Returns the sink.

    axis: the spatial axis to stream along (0 is the first; chosen when None).
    memory: bytes (or "1GB") that rows and weights may take; `strip` (rows) and `blocks` override what follows from it.
    post: applied inside the stream: "argmax", "softmax", "sigmoid", a threshold, a pointwise function of `(1, K,
    *rows)`.
    dtype: the type to compute in, by default the network's.
    engine: "torch" (eager), or "openvino" or "inductor": compiled in few segments, on windows of one size.
    strategy: "strips" (nothing computed twice) or "windows" (the network as it is, on windows of one shape); by default
    the one that does less work.
    region: a slice per spatial axis, in output positions: that part of the same answer, reading only what it needs.
    resume: go on from the last finished strip, block or pass of the same run into the same sink (memmap, zarr on disk).
    spool: a folder for values that cross a barrier, so that later passes do not compute them again.
    output: which tensor, when the network returns several.
    progress: called with the share done.

    Raises `UserError`; `Refused` (a `UserError`) when an operator cannot be streamed, naming its module.

    >>> network = nn.Sequential(nn.Conv1d(1, 4, 5, padding=2), nn.ReLU(), nn.Conv1d(4, 2, 3, padding=1)).eval()
    >>> signal = torch.randn(1, 1000)
    >>> out = stream(network, signal.numpy(), strip=64)
    >>> bool((torch.from_numpy(out) - network(signal[None])[0]).abs().max() < 1e-5)
    True
    """
    checked_source(source)
    if resume and strategy == "windows":
        raise UserError("resume=True goes with strips: leave strategy out, or give strategy='strips'")
    strategy = "strips" if resume else strategy
    ready = _ready(network, tuple(source.shape), output)
    box, made = _planned(ready, axis, memory, strip, blocks, dtype, strategy, region, spool is not None, engine)
    kind = dtype or ready.dtype
    compiling = compiler(engine, kind)
    if made.strategy == "windows":
        try:
            return run_windows(ready, made, box, source, sink, kind, post, progress, compiling)
        except Refused:  # another network on a window
            if strategy == "windows":
                raise
        box, made = _planned(ready, axis, memory, strip, blocks, dtype, "strips", region, spool is not None, engine)
    folder = None if spool is None else Path(spool)
    return Job(ready, made, box, kind, post, folder, resume, compiling, engine).run(source, sink, progress)


def plan(
    network: nn.Module | Prepared,
    shape: tuple[int, ...],
    *,
    axis: int | None = None,
    memory: float | str | None = None,
    strip: int | None = None,
    blocks: int | None = None,
    dtype: torch.dtype | None = None,
    strategy: str | None = None,
    region: Region | None = None,
    spool: str | Path | None = None,
    engine: str = "torch",
    output: int | str | None = None,
) -> StreamPlan:
    """How `stream` would go about an input of this shape `(C, *S)`, with the same options; print its `.text()`.

    >>> found = plan(nn.Conv2d(3, 8, 3, padding=1), (3, 4096, 2048))
    >>> found.axis, found.blocks, len(found.passes), round(found.macs / found.macs_whole, 3)
    (0, 1, 1, 1.0)
    """
    ready = _ready(network, tuple(shape), output)
    return _planned(ready, axis, memory, strip, blocks, dtype, strategy, region, spool is not None, engine)[1]


def _ready(network: nn.Module | Prepared, shape: tuple[int, ...], output: int | str | None) -> Prepared:
    if isinstance(network, Prepared):
        if network.graph.shape != shape:
            raise UserError(
                f"the network was prepared for inputs of shape {network.graph.shape}, not {shape}: prepare it anew"
            )
        return network
    return prepare(network, shape, output=output)


def _planned(
    ready: Prepared,
    axis: int | None,
    memory: float | str | None,
    strip: int | None,
    blocks: int | None,
    dtype: torch.dtype | None,
    strategy: str | None,
    region: Region | None,
    spool: bool,
    engine: str,
) -> tuple[Any, StreamPlan]:
    if strategy not in (None, *STRATEGIES):
        raise UserError(f"strategy={strategy!r} is not known: give one of {', '.join(STRATEGIES)}")
    if (strip is not None and strip < 1) or (blocks is not None and blocks < 1):
        raise UserError(f"strip={strip}, blocks={blocks}: give at least 1")
    along = choose_axis(ready.graph, ready.axes, ready.refused, axis)
    box = output_region(ready.graph, ready.axes, region)
    made = make_plan(
        ready.graph,
        ready.axes,
        along,
        box,
        limits=Limits(byte_count(memory), strip, blocks),
        dtype=dtype or ready.dtype,
        spool=spool,
        compiled=engine != "torch",
    )
    strategy = "strips" if strategy is None and (strip or blocks or spool) else strategy
    return box, _choose(ready, made, box, byte_count(memory), dtype or ready.dtype, strategy)


def _choose(
    ready: Prepared, strips: StreamPlan, box: Any, memory: float | None, dtype: torch.dtype, strategy: str | None
) -> StreamPlan:
    """The strategy asked for; else the one with less work, and why."""
    if strategy == "strips":
        return strips
    try:
        windows = window_plan(ready, strips, box, memory, dtype)
    except Refused:
        if strategy == "windows":
            raise
        return strips
    ratio = windows.macs / strips.macs if strips.macs else 1.0
    fits = memory is None or windows.peak_bytes <= memory
    if strategy == "windows" or (fits and ratio < 1):
        return replace(windows, reason=f"{windows.reason}; {ratio:.2f} times the work of strips")
    return replace(strips, reason=f"{strips.reason}; windows would do {ratio:.2f} times the work")
