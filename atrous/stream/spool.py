"""Values that a later pass needs again, stored on disk, so that they are not computed twice."""

from collections.abc import Callable, Iterator
from itertools import accumulate, product
from math import prod
from operator import mul
from pathlib import Path

import torch
from torch import Tensor

from atrous.geometry.axis import Axis
from atrous.geometry.program import Box


class Spool:
    """One raw file per value in `folder`, for runs that stream along `axis` in the type `dtype`.

    A file holds a value in the order of its memory (channels last in 2-D), or with the streamed axis first where that
    is not the first spatial one. So the rows of a strip lie in few pieces. They are read and written as they are:
    a file that is mapped takes a page fault for each 4 KiB.
    """

    def __init__(self, folder: Path, axis: Axis, dtype: torch.dtype):
        self.folder, self.axis, self.dtype = folder, axis, dtype
        folder.mkdir(parents=True, exist_ok=True)
        self.written: set[int] = set()

    def _file(self, value: int) -> Path:
        return self.folder / f"value{value}.raw"

    def _type(self, value: int) -> torch.dtype:
        own = self.axis.graph.ops[value].dtype
        return self.dtype if own.is_floating_point else own

    def _order(self, value: int) -> list[int]:
        """Return the dimensions of a value in the order of its file."""
        dims, streamed = list(range(len(self.axis.graph.ops[value].shape))), self.axis.dim(value)
        order = [0, 2, 3, 1] if len(dims) == 4 else dims
        return order if streamed in (None, 2) else [streamed, *(dim for dim in order if dim != streamed)]

    def _pieces(self, value: int, dims: Box) -> Iterator[tuple[int, int]]:
        """Yield the first byte in the file of each piece of some rows, and its length in bytes."""
        shape, order = self.axis.graph.ops[value].shape, self._order(value)
        sizes = [shape[dim] for dim in order]
        spans = [dims.get(dim, (0, shape[dim])) for dim in order]
        # strides[i]: bytes from one index of dimension i of the file to the next
        strides = list(accumulate(reversed(sizes[1:]), mul, initial=self._type(value).itemsize))[::-1]
        split = len(sizes) - 1  # the dimensions behind `split` are whole, so the span of `split` is one piece
        while split and spans[split] == (0, sizes[split]):
            split -= 1
        first, last = spans[split]
        for place in product(*(range(*span) for span in spans[:split])):
            outer = sum(index * stride for index, stride in zip(place, strides, strict=False))
            yield outer + first * strides[split], (last - first) * strides[split]

    def write(self, value: int, dims: Box, rows: Tensor) -> None:
        """Store rows of a value; `dims` gives their `[lo, hi)` for each dimension of which they are a part."""
        numbers = rows.detach().to("cpu", self._type(value)).permute(self._order(value)).contiguous()
        new = value not in self.written
        with open(self._file(value), "w+b" if new else "r+b", buffering=0) as file:
            if new:  # rows that are never written are zeros
                file.truncate(prod(self.axis.graph.ops[value].shape) * numbers.element_size())
                self.written.add(value)
            self._transfer(value, dims, numbers, file.seek, file.write)

    def read(self, value: int, dims: Box) -> Tensor:
        """Return rows that were stored before, channels last in 2-D."""
        shape, order = self.axis.graph.ops[value].shape, self._order(value)
        spans = [dims.get(dim, (0, shape[dim])) for dim in order]
        numbers = torch.empty([hi - lo for lo, hi in spans], dtype=self._type(value))
        with open(self._file(value), "rb", buffering=0) as file:
            self._transfer(value, dims, numbers, file.seek, file.readinto)
        rows = numbers.permute([order.index(dim) for dim in range(len(order))])
        return rows.contiguous(memory_format=torch.channels_last if rows.dim() == 4 else torch.contiguous_format)

    def _transfer(
        self,
        value: int,
        dims: Box,
        numbers: Tensor,
        seek: Callable[[int], int],
        transfer: Callable[[memoryview], int | None],
    ) -> None:
        """Read or write the pieces of some rows, which lie in `numbers` one after the other."""
        memory, done = numbers.reshape(-1).view(torch.uint8).numpy().data, 0
        for start, length in self._pieces(value, dims):
            seek(start)
            end = done + length
            while done < end:  # the system may transfer fewer bytes than it was asked for
                count = transfer(memory[done:end])
                if not count:
                    raise OSError(f"{self._file(value)}: ended before all rows were read or written")
                done += count

    def remove(self) -> None:
        """Delete the files of this run."""
        for value in self.written:
            self._file(value).unlink(missing_ok=True)
