"""Edges that several annotators marked, as numbers at every position: the share of annotators who marked it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.edge_files import read_annotators
from atrous.data.formats import Header


@dataclass(frozen=True)
class EdgeMarks:
    """A file of annotations, of which `Values` are made; see `atrous.data.edge_files` for the files.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in range(2):
    ...     np.save(folder / f"{number}.npy", np.arange(3)[None] > number)
    >>> EdgeMarks(folder).values().tolist()
    [[[0.0, 0.5, 1.0]]]
    """

    path: Path

    def annotators(self) -> list[np.ndarray]:
        """Return what each annotator marked, bool `(H, W)` each.

        Raises:
            UserError: see `read_annotators`.
        """
        return read_annotators(self.path)

    def header(self) -> Header:
        """See `ValueReader.header`."""
        return Header((1, *self.annotators()[0].shape), "float32", "array")

    def values(self) -> np.ndarray:
        """Return the share of annotators who marked each position, `(1, H, W)` float32."""
        return np.stack(self.annotators()).mean(axis=0, dtype=np.float32, keepdims=True)
