"""Values that a later pass needs again, stored on disk, so that they are not computed twice."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.graph import Graph
from atrous.geometry.program import Box


class Spool:
    """One raw file per value in `folder`.

    A file is mapped only while it is read or written, so that no memory stays in use. bfloat16, which numpy lacks, is
    stored as the bits of int16.
    """

    def __init__(self, folder: Path, graph: Graph, dtype: torch.dtype):
        self.folder, self.graph, self.dtype = folder, graph, dtype
        folder.mkdir(parents=True, exist_ok=True)
        self.written: set[int] = set()

    def _file(self, value: int) -> Path:
        return self.folder / f"value{value}.raw"

    def _types(self, value: int) -> tuple[torch.dtype, Any]:
        """Return the type of a value in the run and the numpy type that it is stored as."""
        own = self.graph.ops[value].dtype
        dtype = self.dtype if own.is_floating_point else own
        return dtype, np.int16 if dtype == torch.bfloat16 else torch.empty(0, dtype=dtype).numpy().dtype

    def _map(self, value: int, mode: Any) -> np.ndarray:
        return np.memmap(self._file(value), dtype=self._types(value)[1], mode=mode, shape=self.graph.ops[value].shape)

    def _key(self, value: int, dims: dict[int, tuple[int, int]]) -> tuple[slice, ...]:
        return tuple(slice(*dims[d]) if d in dims else slice(None) for d in range(len(self.graph.ops[value].shape)))

    def write(self, value: int, dims: Box, rows: Tensor) -> None:
        """Store rows of a value; `dims` gives their `[lo, hi)` for each dimension of which they are a part."""
        mapped = self._map(value, "r+" if value in self.written else "w+")
        self.written.add(value)
        rows = rows.cpu()
        mapped[self._key(value, dims)] = (rows.view(torch.int16) if rows.dtype == torch.bfloat16 else rows).numpy()
        del mapped

    def read(self, value: int, dims: Box) -> Tensor:
        """Return rows that were stored before, channels last in 2-D."""
        mapped = self._map(value, "r")
        rows = torch.from_numpy(np.array(mapped[self._key(value, dims)]))
        del mapped
        rows = rows.view(torch.bfloat16) if self._types(value)[0] == torch.bfloat16 else rows
        return rows.contiguous(memory_format=torch.channels_last) if rows.dim() == 4 else rows

    def remove(self) -> None:
        """Delete the files of this run."""
        for value in self.written:
            self._file(value).unlink(missing_ok=True)
