"""What to do about a folder of files that are not read: packed, of other programs, or annotations of other kinds."""

from collections import Counter
from pathlib import Path

from atrous.data.formats import suffix_of
from atrous.data.inside import walk
from atrous.data.layouts.folders import MOST_LEVELS

_HINTS = {
    "unpack them first": (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".rar", ".7z"),
    "save each recording as CSV": (".xlsx", ".xls", ".ods", ".parquet"),
    "save the arrays in them as .npy, or recordings as .npz": (".mat", ".h5", ".hdf5", ".pkl", ".pt", ".pth"),
    "convert them to NIfTI, with 3D Slicer or SimpleITK": (".nrrd", ".mha", ".mhd", ".seg", ".mgz", ".img"),
    "give the sequences as FASTA, and the features as GFF3": (".gb", ".gbk", ".gbff", ".embl"),
    "give the sequences as FASTA": (".fastq", ".fq", ".sam", ".bam"),
    "convert them: heif-convert, or any program for photographs": (".heic", ".heif", ".cr2", ".nef", ".dng", ".psd"),
}
"""What to do about files that are not read, by suffix."""
_ANNOTATIONS = {
    ".json": "COCO or labelme",
    ".xml": "Pascal VOC",
    ".txt": "YOLO",
    ".csv": "tables of boxes or points",
}
"""Whose annotations of images are read, by suffix (`layouts/objects.py`)."""


def nothing_read(root: Path) -> str:
    """Return what is wrong with a folder that holds no file that is read, and what to do about it."""
    seen = _suffixes(root)
    if not seen:
        return f"{root}: it holds no files: give a folder with images/ and masks/ (see docs/data.md)"
    common = next(iter(seen))
    hint = next((hint for hint, suffixes in _HINTS.items() if common in suffixes), None)
    fix = hint or "give a folder with images/ and masks/"
    return f"{root}: no images, only {' '.join(list(seen)[:5])} files: {fix} (docs/data.md lists what is read)"


def other_annotations(root: Path) -> str:
    """Return what to add to a message where a folder of images has neither masks nor annotations that are read."""
    found = next((suffix for suffix in _suffixes(root) if suffix in _ANNOTATIONS), None)
    if found is None:
        return ""
    what = f"the {found} files hold no annotations as those of {_ANNOTATIONS[found]}"
    return f" ({what}: write them as docs/data.md says, or draw them as masks)"


def _suffixes(root: Path) -> list[str]:
    """The suffixes of all files in a folder, the commonest first."""
    counts = Counter(suffix_of(name) for _, _, names in walk(root, lambda name: True, MOST_LEVELS) for name in names)
    return [suffix for suffix, _ in counts.most_common() if suffix not in ("", ".toml")]
