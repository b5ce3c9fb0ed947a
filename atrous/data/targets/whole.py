"""Classes of a whole sample: one of them, or any number of them; no position has a label of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from atrous.color import Palette
from atrous.data.coding import Coding
from atrous.data.images import SampleImage
from atrous.data.problems import Problem, relative
from atrous.data.targets.base import Facts, Scanned, Target, TargetScan
from atrous.data.view import View

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it


@dataclass(frozen=True, eq=False)
class WholeLabel:
    """What is known of a whole sample.

    Attributes:
        size: the spatial shape `S` of its image.
        present: `(K,)` float32: 1 for a class that is there, 0 for one that is not, NaN where nobody knows.
    """

    size: tuple[int, ...]
    present: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes."""
        return self.present.nbytes


@dataclass(frozen=True, eq=False)
class WholeClasses(Target):
    """Classes that are there or not, each by itself.

    Attributes:
        path: the table that says them, or the image whose folder does.
        image: the image.
        present: one number per class, as in `WholeLabel`.
    """

    path: Path
    image: SampleImage
    present: tuple[float, ...]

    kind: ClassVar[str] = "whole"
    has_classes: ClassVar[bool] = True
    has_background: ClassVar[bool] = False
    of_whole: ClassVar[bool] = True
    exclusive: ClassVar[bool] = False
    """Whether each sample has exactly one class."""

    def read(self) -> WholeLabel:
        """Return the classes, with the size of the image."""
        return WholeLabel(tuple(self.image.header().size), np.array(self.present, np.float32))

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: `counts` has 1 for each class that is there, 0 for others."""
        counts = {number: int(value == 1) for number, value in enumerate(self.present)}
        return TargetScan(size=self.read().size, counts=counts)

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield images that are there twice with other classes, and classes of which a split has no sample."""
        yield from _contradictions(scans, facts)
        yield from _missing(scans, facts, exclusive=cls.exclusive)

    @classmethod
    def frequency(cls, scans: Sequence[Scanned], coding: Coding | None) -> tuple[float, ...]:
        """See `Target.frequency`: the share of the samples that have each class."""
        classes = () if coding is None else coding.classes
        known = [one for one in scans if one.contents is not None]
        counts = [sum(one.counts.get(number, 0) for one in known) for number in range(len(classes))]
        return tuple(count / max(1, len(known)) for count in counts)

    @classmethod
    def class_counts(cls, scanned: Scanned, coding: Coding) -> np.ndarray:
        """See `Target.class_counts`: 1 for each class that is there."""
        return np.array([scanned.counts.get(number, 0) for number in range(len(coding.classes))], np.int64)

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """See `Target.summary`."""
        return "one class for each whole input" if cls.exclusive else "classes that whole inputs hold or not"

    @staticmethod
    def grid(values: WholeLabel) -> tuple[int, ...]:
        """See `Target.grid`."""
        return values.size

    @staticmethod
    def crop(values: WholeLabel, window: tuple[slice, ...]) -> WholeLabel:
        """See `Target.crop`: a part is taken to have the label of the whole."""
        return replace(values, size=tuple(part.stop - part.start for part in window))

    @staticmethod
    def resample(values: WholeLabel, shape: Sequence[int]) -> WholeLabel:
        """See `Target.resample`: the label stays."""
        return replace(values, size=tuple(shape))

    @staticmethod
    def counts_for_nothing(values: WholeLabel) -> bool:
        """See `Target.counts_for_nothing`."""
        return bool(np.isnan(values.present).all())

    @staticmethod
    def cut(values: WholeLabel, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return the classes `(K,)` float32, whatever a view shows."""
        return WholeClasses.tensor(values)

    @staticmethod
    def tensor(values: WholeLabel) -> "torch.Tensor":
        """Return the classes `(K,)` float32."""
        import torch

        return torch.from_numpy(np.array(values.present, np.float32))

    @staticmethod
    def draw(image: np.ndarray, values: Any, palette: Palette) -> np.ndarray:
        """Return a black picture: no position has a label."""
        return np.zeros((*image.shape[1:], 3), np.uint8)


@dataclass(frozen=True, eq=False)
class WholeClass(WholeClasses):
    """One class, of several that exclude each other; `present` has a single 1."""

    exclusive: ClassVar[bool] = True


def _contradictions(scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    """Images with the same values that have other classes."""
    first: dict[str, Scanned] = {}
    for one in scans:
        digest = getattr(one, "digest", "")
        if not digest or not isinstance(one.target, WholeClasses):
            continue
        other = first.setdefault(digest, one)
        assert isinstance(other.target, WholeClasses)
        if not np.array_equal(other.target.present, one.target.present, equal_nan=True):
            file, twin = (relative(each.target.image.path, facts.root) for each in (one, other))  # type: ignore[union-attr]
            what = f"the same image as {twin}, which has another class"
            yield Problem(file, what, "keep the one whose class is right", kind="two classes")


def _missing(scans: Sequence[Scanned], facts: Facts, *, exclusive: bool) -> Iterator[Problem]:
    """Classes without a sample in train or val, or with a single one."""
    assert facts.coding is not None
    for number, name in enumerate(facts.coding.classes):
        for split in ("train", "val"):
            members = [one for one in scans if one.split == split and one.contents is not None]
            count = sum(one.counts.get(number, 0) for one in members)
            if not members:
                continue
            if count == 0 or (not exclusive and count == len(members)):
                said = "no sample" if count == 0 else "every sample"
                what, kind = f"{said} of {split} has the class {name!r}", f"class in {split}"
                fix = "add samples, or move some from another split"
                yield Problem(str(facts.root), what, fix, "error" if split == "train" else "warning", kind)
            elif count == 1:
                what = f"a single sample of {split} has the class {name!r}"
                yield Problem(str(facts.root), what, "add samples: one shows little", "warning", f"one in {split}")
