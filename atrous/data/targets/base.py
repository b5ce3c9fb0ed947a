"""What every kind of target can do: it is read, counted, checked, cut by a view and drawn."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from atrous.color import Palette
from atrous.data.coding import Coding
from atrous.data.formats import Header
from atrous.data.guess import Guess
from atrous.data.moments import Moments
from atrous.data.problems import Problem
from atrous.data.targets.upside_down import MirrorSums
from atrous.data.view import View

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it

FOREGROUND = 5000
"""At most so many positions of a volume are looked at to learn the intensities of its foreground."""


@dataclass
class TargetScan:
    """What the data doctor keeps of one target after it was decoded.

    Attributes:
        header: header of the target's file; None where it has none.
        size: the target's spatial shape `S`; empty before it was read.
        counts: positions per file value (labels) or per channel (bits); void is left out.
        intervals: per channel the lengths of the intervals that have it (bits).
        outside: positions that count for nothing: outside the field of view, without data, or void.
        colored: whether the counted values are colors `0xRRGGBB`.
        objects: number of values if each is one blob and they count from 1, as numbers of objects do; else 0.
        lossy: a file of the target whose compression changes its values; None where there is none.
        foreground: flat indices of some positions of a volume whose label is not 0; None for other data.
        points: places of points, then the class of each, `(n, ndim + 1)`; None for other targets.
        remarks: what is worth a warning about how the file was read, one line each.
        sides: the lengths of the sides `(n, ndim)` of the boxes of each class (boxes).
        pieces: of objects in several pieces, how many these are, by number (instances).
        values: statistics of the numbers of each output (values); None for other targets.
        stars: of some objects in images and volumes, how well a star-convex shape reproduces each (instances).
        mirrored: of the boxes of each class, how what they show differs from the same upside down (boxes in images).
        marked: how many positions each annotator marked (edges).
        spans: of the whole objects of a volume, how many positions each spans along each axis, `(n, ndim)`; None for
            other targets.
        runs: of the labels of a recording, `coding.label_runs`; None for other targets.
    """

    header: Header | None = None
    size: tuple[int, ...] = ()
    counts: dict[int, int] = field(default_factory=dict)
    intervals: dict[int, np.ndarray] = field(default_factory=dict)
    outside: int = 0
    colored: bool = False
    objects: int = 0
    lossy: Path | None = None
    foreground: np.ndarray | None = None
    points: np.ndarray | None = None
    remarks: tuple[str, ...] = ()
    sides: dict[int, np.ndarray] = field(default_factory=dict)
    pieces: dict[int, int] = field(default_factory=dict)
    values: Moments | None = None
    stars: tuple[float, ...] = ()
    mirrored: dict[int, MirrorSums] = field(default_factory=dict)
    marked: tuple[int, ...] = ()
    spans: np.ndarray | None = None
    runs: np.ndarray | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a data set when its targets are checked together.

    Attributes:
        root: the folder.
        coding: the classes; None where the targets have none.
        guess: how the classes were guessed from the values; None where somebody named them.
        description: the dataset.toml that was read, if any.
    """

    root: Path
    coding: Coding | None = None
    guess: Guess | None = None
    description: Path | None = None


class Scanned(Protocol):
    """What targets need of a scanned sample to be checked together (`atrous.data.scan.Scan` has it)."""

    split: str
    image: Header | None

    @property
    def target(self) -> "Target | None":
        """The target of the sample."""
        ...

    @property
    def contents(self) -> TargetScan | None:
        """What was kept of the target; None when there is none or it cannot be read."""
        ...

    @property
    def counts(self) -> dict[int, int]:
        """Positions per file value, empty without contents."""
        ...

    @property
    def colored(self) -> bool:
        """Whether the values are colors."""
        ...


class Target(ABC):
    """What is known of a sample; one class for each kind.

    An instance belongs to one sample and opens itself. The class knows how values of its kind are handled, whichever
    sample they come from. A new kind inherits from this class and overrides what differs; a layout then makes samples
    with it (see CONTRIBUTING.md).
    """

    kind: ClassVar[str]
    has_classes: ClassVar[bool] = False
    """Whether positions (or boxes) have classes, whose names a data set must know."""
    has_background: ClassVar[bool] = True
    """Whether the first class may be background."""
    numbered: ClassVar[bool] = False
    """Whether `batch` gives rows that begin with the number of their crop, not one entry for each crop."""
    own: ClassVar[bool] = False
    """Whether the target is the image itself, of which the network is given what is made from it."""
    of_whole: ClassVar[bool] = False
    """Whether a target says something of the whole sample, so that a window of it has none of its own."""
    path: Path
    """The file that holds the target, to name it in messages."""

    @abstractmethod
    def read(self) -> Any:
        """Return the values of the whole sample, `(*S)` or `(K, *S)`, with void where nothing is known.

        Raises:
            UserError: a file cannot be read or does not fit its image.
        """

    def mirror_sums(self, image: np.ndarray) -> dict[int, MirrorSums]:
        """Return how the objects of each class differ from the same upside down; only boxes in images tell.

        Args:
            image: `(C, *S)`, the sample's.
        """
        return {}

    def with_coding(self, coding: Coding) -> Self:
        """Return the same target reading labels by `coding`; kinds without classes stay as they are."""
        return self

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """Decode the target once and keep what planning and the data doctor need.

        Args:
            valid: where the image has data, `(*S)` bool; None where every position has.
            color_expected: whether dataset.toml says that masks store colors.
        """
        return TargetScan(size=self.grid(self.read()))

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield what is wrong with the targets of a data set."""
        yield from ()

    @classmethod
    def notes(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
        """Yield how targets were read, where a user may want to know."""
        yield from ()

    @classmethod
    def frequency(cls, scans: Sequence[Scanned], coding: Coding | None) -> tuple[float, ...]:
        """Return the share of each class among the labeled positions of some scans; empty without classes."""
        return ()

    @classmethod
    def class_counts(cls, scanned: Scanned, coding: Coding) -> np.ndarray:
        """Return how many positions of one target have each class, `(K,)` int64."""
        return np.zeros(len(coding.classes), np.int64)

    @classmethod
    def void_share(cls, scans: Sequence[Scanned], coding: Coding | None) -> float:
        """Return the share of all positions that count for nothing."""
        positions = sum(int(np.prod(one.contents.size)) for one in scans if one.contents is not None)
        return sum(one.contents.outside for one in scans if one.contents is not None) / max(1, positions)

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """Return what the targets are, in a few words, for the line `masks` of the data doctor."""
        return f"{cls.kind} for every image"

    @staticmethod
    def grid(values: Any) -> tuple[int, ...]:
        """Return the spatial shape `S` of values; here those of `(*S)`."""
        return tuple(values.shape)

    @staticmethod
    def crop(values: Any, window: tuple[slice, ...]) -> Any:
        """Return the values in a window of the grid."""
        return values[window]

    @staticmethod
    def resample(values: Any, shape: Sequence[int]) -> Any:
        """Return values on a grid of another size over the same extent (volumes whose spacing differs)."""
        raise NotImplementedError(f"{type(values).__name__} cannot be resampled to {tuple(shape)}")

    @staticmethod
    def without(values: Any, missing: np.ndarray) -> Any:
        """Return values that count for nothing where the image has no data, `missing` `(*S)` bool; as they are here."""
        return values

    @staticmethod
    def places(values: Any, seed: int) -> dict[int, np.ndarray]:
        """Return places `(n, ndim)` of each class on which crops may be centered; none by default."""
        return {}

    @staticmethod
    def counts_for_nothing(values: Any) -> bool:
        """Return whether no position of the values can teach anything."""
        return False

    @staticmethod
    @abstractmethod
    def cut(values: Any, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return what a view shows of the values, as the tensor that the loss is given for one crop."""

    @staticmethod
    def batch(cuts: "Sequence[torch.Tensor]") -> "torch.Tensor":
        """Return what the loss is given for a batch of crops; here they are stacked."""
        import torch

        return torch.stack(list(cuts))

    @staticmethod
    @abstractmethod
    def tensor(values: Any) -> "torch.Tensor":
        """Return whole values as the tensor that loss and metrics are given."""

    @staticmethod
    @abstractmethod
    def draw(image: np.ndarray, values: Any, palette: Palette) -> np.ndarray:
        """Return a picture `(H, W, 3)` uint8 of 2-D values for an image `(C, H, W)`."""
