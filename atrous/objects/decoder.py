"""What turns dense maps into objects: it proposes candidates from every position, and paints those that are kept."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from atrous.objects.candidates import Candidates, Shape
from atrous.objects.peaks import Region
from atrous.source import Source

NO_DATA = -np.inf
"""Value of the first dense map where the image has no data: no object lies there."""


class ObjectDecoder(ABC):
    """Reads dense maps `(K, *S)` region by region. What a region gives does not depend on how the grid is divided.

    Attributes:
        overlap: of two candidates that overlap more than this, the one with the lower score is removed.
        reach: no candidate reaches further than so many rows from the row that proposed it.
        per_class: whether candidates of different classes leave each other alone.
        smallest: objects of fewer positions are dropped.
    """

    overlap: float
    reach: float
    per_class: bool = False
    smallest: int = 1

    @abstractmethod
    def shape(self, grid: Sequence[int]) -> Shape:
        """Return what candidates on a grid of this size look like."""

    @abstractmethod
    def propose(self, maps: Source, region: Region) -> Candidates:
        """Return the candidates that the positions of a region propose."""

    @abstractmethod
    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """Return for every position of a region the object that it belongs to.

        Args:
            maps: the dense maps.
            region: the region.
            kept: the candidates that were kept on the whole grid, in their order.

        Returns:
            Numbers `(*R)` uint32: k + 1 for the candidate `kept` number k, 0 for none.
        """
