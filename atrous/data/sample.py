"""One image and the files that belong to it."""

from dataclasses import dataclass
from pathlib import Path

from atrous.data.targets.annotations import Rule
from atrous.labels import IGNORE

__all__ = ["IGNORE", "Sample"]


@dataclass(frozen=True)
class Sample:
    """One image, its label file and the region in which labels count.

    Attributes:
        name: unique in its data set: the image's path relative to the root, without suffix, with `/`.
        image: the image file.
        label: the label file, or None where there is none (test images, say).
        region: a mask file of the image's size; where it is zero the label is `IGNORE` (DRIVE's field of view).
        channels: how many channels the image is brought to when read; None keeps the file's.
        more: files that hold further channels of the same image (nnU-Net's `CASE_0001.nii.gz`).
        words: the labels that stand in the label file as words, in label order; None where they are numbers.
        group: what it comes from (a patient, say): splits are drawn so that a group stays together; "" for itself.
        annotations: how the annotations of the label file (EDF+, WFDB) become labels; None where it has a label per
            sample.
        pages: how the pages of a TIFF are read, `z` or `channels`; None as the file says (`pages.py`).
        sequence: name of the one sequence of the file that this sample is (FASTA); "" where the file is one sample.
        marks: the files that say what lies on the sequence (GFF3, BED, bigWig), of which `label` is the first.

    >>> Sample("train/a", Path("train/a.png"), Path("trainannot/a.png")).region is None
    True
    """

    name: str
    image: Path
    label: Path | None
    region: Path | None = None
    channels: int | None = None
    more: tuple[Path, ...] = ()
    words: tuple[str, ...] | None = None
    group: str = ""
    annotations: Rule | None = None
    pages: str | None = None
    sequence: str = ""
    marks: tuple[Path, ...] = ()
