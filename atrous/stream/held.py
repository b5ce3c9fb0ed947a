"""The rows that a walk holds before each of its strips, kept in memory or on disk for the walk back."""

from pathlib import Path

import torch
from torch import Tensor

from atrous.stream.run import Buffer


class HeldRows:
    """What a runner held before each step: `{value: (first row, rows)}`.

    With a `folder`, each step is a file in it, so that memory does not grow with the length of the input.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.kept: dict[int, dict[int, tuple[int, Tensor]]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def put(self, step: int, buffers: dict[int, Buffer]) -> None:
        """Keep the rows that are held before a step."""
        rows = {value: (buffer.start, compact(buffer.tensor)) for value, buffer in buffers.items()}
        if self.folder is None:
            self.kept[step] = rows
        else:
            torch.save(rows, self.folder / f"{step}.pt")

    def take(self, step: int) -> dict[int, tuple[int, Tensor]]:
        """Return the rows that were held before a step, and forget them."""
        if self.folder is None:
            return self.kept.pop(step)
        path = self.folder / f"{step}.pt"
        rows = torch.load(path, weights_only=True)
        path.unlink()
        return rows


def compact(rows: Tensor) -> Tensor:
    """Return the rows, copied when they are a part of a larger tensor, which they would keep in memory.

    >>> compact(torch.zeros(1000)[:2]).untyped_storage().nbytes()
    8
    """
    rows = rows.detach()
    return rows if rows.untyped_storage().nbytes() == rows.numel() * rows.element_size() else rows.clone()
