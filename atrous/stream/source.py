"""Read rows from anything that can be sliced, and write rows to anything whose slices can be assigned to."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.data.source import Sink, Source
from atrous.errors import UserError
from atrous.geometry.program import Box


def read_box(source: Source, box: Box, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the rows `box` of a source `(C, *S)` as a tensor `(1, C, *box)` of type `dtype`, channels last in 2-D."""
    key = (slice(None), *(slice(*box[g]) for g in range(len(source.shape) - 1)))
    rows = source[key]
    if not isinstance(rows, Tensor):
        rows = np.asarray(rows)
        if rows.dtype in (np.uint32, np.uint64):  # torch converts these slowly or not at all
            rows = rows.astype(np.int64)
        if not rows.dtype.isnative:
            rows = rows.astype(rows.dtype.newbyteorder("="))
        if not rows.flags.writeable or any(s < 0 for s in rows.strides):
            rows = rows.copy()
        wide = rows.dtype == np.uint16  # torch converts these slowly too, so they travel as the same bits
        rows = sent(torch.from_numpy(rows.view(np.int16) if wide else rows), device)
        rows = rows.to(torch.int32).bitwise_and_(0xFFFF) if wide else rows
    rows = sent(rows, device).unsqueeze(0)
    if rows.dim() == 4:
        return rows.to(dtype, memory_format=torch.channels_last)
    return rows.to(dtype)


def sent(rows: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, in the type that it has: uint8 is a quarter of the float32 that it becomes there.

    It is copied to a GPU out of page-locked memory, without anyone waiting for it.
    """
    if device.type == "cuda" and rows.device.type == "cpu":
        rows = rows.pin_memory()
    return rows.to(device, non_blocking=device.type == "cuda")


def checked_source(source: Any) -> Source:
    """Return the source, or raise `UserError` when it cannot be sliced or is not `(C, *S)` with 1 to 3 spatial axes."""
    if not hasattr(source, "shape") or not hasattr(source, "__getitem__"):
        raise UserError(
            f"a source of type {type(source).__name__} cannot be sliced: give an array, a memmap or a zarr array"
        )
    if not 2 <= len(source.shape) <= 4:
        raise UserError(
            f"the source has shape {tuple(source.shape)}: give (C, *S) with 1 to 3 spatial axes, without a batch axis"
        )
    if min(source.shape) < 1:
        raise UserError(
            f"the source has shape {tuple(source.shape)}, which is empty: give at least one position per axis"
        )
    return source


def checked_sink(sink: Sink | None, shape: tuple[int, ...], dtype: torch.dtype) -> Sink:
    """Return the sink, or a new numpy array when it is None. Raise `UserError` when its shape does not fit."""
    if sink is None:
        return np.empty(shape, dtype=numpy_dtype(dtype))
    if tuple(sink.shape) not in (tuple(shape), (1, *shape)):
        raise UserError(
            f"the sink has shape {tuple(sink.shape)}, but the result has {tuple(shape)}: give a sink of that shape"
        )
    return sink


def numpy_dtype(dtype: torch.dtype) -> Any:
    """Return the numpy type of a torch type; float32 for bfloat16, which numpy lacks."""
    return np.float32 if dtype == torch.bfloat16 else torch.empty(0, dtype=dtype).numpy().dtype


def write_box(sink: Sink, tensor: Tensor, box: list[tuple[int, int]], ndim: int) -> None:
    """Write a tensor `(1, K, *box)` or `(1, *box)` into the rows `box` of the sink, which may have a batch axis."""
    values = tensor[0]
    key = (slice(None),) * (values.dim() - ndim) + tuple(slice(*b) for b in box)
    if isinstance(sink, Tensor):
        sink[key] = values.to(sink.device, sink.dtype)
        return
    if values.dtype == torch.bfloat16:
        values = values.float()
    array = values.cpu().numpy()
    if len(sink.shape) == array.ndim + 1:
        array, key = array[None], (slice(None), *key)
    sink[key] = array
