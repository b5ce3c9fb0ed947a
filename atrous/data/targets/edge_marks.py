"""Files of edges: what several annotators marked in an image, or the boundaries between labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.edge_files import boundaries, is_thin, marked_edges, read_annotators
from atrous.data.formats import FileFault, Header
from atrous.data.targets.edges import Marked
from atrous.data.targets.labels import LabelReader

LINES = (
    "its regions are lines, whose borders are learned: write boundaries = false in dataset.toml, or set "
    "task.boundaries=false"
)


@dataclass(frozen=True)
class EdgeMarks:
    """A file of annotations, or a folder with an image for each annotator; see `atrous.data.edge_files`.

    As the numbers of `Values` it is the share of annotators who marked each pixel.

    Attributes:
        path: the file or folder.
        regions: whether images show regions, whose boundaries are the edges; of `.mat` files their regions are taken.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in range(2):
    ...     np.save(folder / f"{number}.npy", np.arange(3)[None] > number)
    >>> EdgeMarks(folder).values().tolist()
    [[[0.0, 0.5, 1.0]]]
    """

    path: Path
    regions: bool = False

    def annotators(self) -> list[np.ndarray]:
        """Return what each annotator marked, bool `(H, W)` each.

        Raises:
            UserError: see `read_annotators`.
        """
        return read_annotators(self.path, segmentation=self.regions)

    def marked(self) -> Marked:
        """See `EdgeReader.marked`."""
        return Marked(self.annotators())

    def header(self) -> Header:
        """See `ValueReader.header`."""
        return Header((1, *self.annotators()[0].shape), "float32", "array")

    def values(self) -> np.ndarray:
        """Return the share of annotators who marked each position, `(1, H, W)` float32."""
        return np.stack(self.annotators()).mean(axis=0, dtype=np.float32, keepdims=True)


@dataclass(frozen=True)
class LabelEdges:
    """The edges that labels say: the boundaries between regions, or lines that are marked in a mask.

    Attributes:
        reader: gives the labels.
        regions: whether they show regions, whose boundaries are the edges.
        ignore: labels of which nothing is known; neither is it of the pixels beside them.
        colors: whether labels are colors.
    """

    reader: LabelReader
    regions: bool
    ignore: tuple[int, ...] = ()
    colors: bool = False

    @property
    def path(self) -> Path:
        """The file."""
        return self.reader.path

    def marked(self) -> Marked:
        """See `EdgeReader.marked`: there is one annotator.

        Raises:
            UserError: the labels cannot be read, are not those of an image, or are no lines where they should be.
        """
        labels, _ = self.reader.values(self.colors)
        if labels.ndim != 2:
            raise FileFault(self.path, f"labels with {labels.ndim} axes", "give images: edges are learned from these")
        lines = without(labels, self.ignore)
        edges = boundaries(labels) if self.regions else marked_edges(lines, self.path)
        return Marked([edges], self._unknown(labels), LINES if self.regions and shows_lines(lines) else "")

    def _unknown(self, labels: np.ndarray) -> np.ndarray | None:
        """Where labels are ignored, and beside it: an edge there is none that anybody saw."""
        if not self.ignore:
            return None
        unknown = np.pad(np.isin(labels, self.ignore), 1)
        for axis in (0, 1):
            unknown = unknown | np.roll(unknown, 1, axis) | np.roll(unknown, -1, axis)
        return unknown[1:-1, 1:-1]


def without(labels: np.ndarray, ignore: Sequence[int]) -> np.ndarray:
    """Return labels with 0 where they are ignored, so that these tell nothing of lines.

    >>> without(np.array([0, 1, 255]), (255,)).tolist()
    [0, 1, 0]
    """
    return np.where(np.isin(labels, ignore), 0, labels) if ignore else labels


def shows_lines(labels: np.ndarray) -> bool:
    """Return whether labels `(H, W)` are 0 and one other value, which marks lines and no regions.

    >>> shows_lines(np.eye(9, dtype=int)), shows_lines(np.tri(40, dtype=int)), shows_lines(np.zeros((9, 9), int))
    (True, False, False)
    """
    marked = labels != 0
    return bool(marked.any()) and len(np.unique(labels[marked])) == 1 and is_thin(marked)
