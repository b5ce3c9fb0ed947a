"""Files of another kind than a data set's: one video among recordings does not make them videos."""

from collections.abc import Sequence
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import SIGNAL_SUFFIXES, VIDEO_SUFFIXES, is_series, suffix_of
from atrous.data.formats.polygons import POLYGON_SUFFIXES
from atrous.data.genomes.fasta import is_fasta
from atrous.data.inside import walk
from atrous.data.layouts.base import Layout, LeftOut
from atrous.data.layouts.folders import MOST_LEVELS, Folder, read_folders
from atrous.data.layouts.together import divide

_OTHERS = {
    "recordings": "recordings",
    "series": "scans",
    "genomes": "genomes",
    "images": "images",
    "nnunet": "scans",
    "videos": "videos",
}
"""What the samples of a layout are called."""


def movies_in(root: Path) -> list[Path]:
    """Return the video files under a folder."""
    return _files(root, VIDEO_SUFFIXES)


def holds_others(root: Path, folders: Sequence[Folder], description: Description) -> bool:
    """Return whether a folder holds images with masks, recordings, scans or genomes, besides videos."""
    divided = divide(folders, description)
    if any(folder.role == "image" for folder in divided) and _are_labeled(root, divided):
        return True
    for here, names, files in walk(root, lambda name: True, MOST_LEVELS):
        if any(suffix_of(name) in SIGNAL_SUFFIXES or is_fasta(Path(name)) for name in files):
            return True
        if any(is_series(here / name) for name in names):
            return True
    return False


def images_are_few(root: Path, folders: Sequence[Folder], others: int, description: Description) -> bool:
    """Return whether images are strays among so many files of another kind.

    They are where they have neither masks nor polygons, or where there are fewer of them.
    """
    divided = divide(folders, description)
    images = sum(len(folder.files) for folder in divided if folder.role == "image")
    return images < others or not _are_labeled(root, divided)


def _are_labeled(root: Path, folders: Sequence[Folder]) -> bool:
    """Whether a folder holds masks, or a file of polygons that labels its images (`polygon_folder`)."""
    return any(folder.role == "label" for folder in folders) or any(
        path.is_file() and suffix_of(path) in POLYGON_SUFFIXES for path in root.iterdir()
    )


def strays(root: Path, name: str, layout: Layout, description: Description) -> tuple[LeftOut, ...]:
    """Return the videos and pictures that a layout leaves out since they are of another kind than its samples.

    Args:
        root: the folder.
        name: of the layout (`table.LAYOUTS`).
        layout: what was found.
        description: its dataset.toml; where it decides, nothing is said.
    """
    kind = _OTHERS.get(name)
    if kind is None or description.kind is not None:
        return ()
    used = {path for samples in layout.splits.values() for sample in samples for path in sample.image.files}
    used |= set(layout.images_alone)
    left_out = []
    if description.video is None:
        what = f"a video {'without masks' if name == 'videos' else f'among {kind}'}, which is left out"
        fix = "write video = true in dataset.toml to read videos, video = false if there are none to be read"
        left_out += [LeftOut(path, what, fix) for path in movies_in(root) if path not in used]
    if name in ("recordings", "series", "genomes", "videos"):
        labels = {sample.target.path for samples in layout.splits.values() for sample in samples if sample.target}
        read = used | labels | set(layout.labels_alone)
        what = f"an image file among {kind}, which is left out"
        fix = f'write kind = "images" in dataset.toml to read images, kind = "{name}" if there are none to be read'
        left_out += [
            LeftOut(path, what, fix) for path in _pictures(root, name, description) if not read & {path, path.parent}
        ]
    return tuple(left_out)


def _pictures(root: Path, name: str, description: Description) -> list[Path]:
    """Pictures in the folders of images, of all where videos are not read; labels of scans are none."""
    folders = read_folders(root, description.images, description.masks)
    files = [path for folder in folders if name != "videos" or folder.role == "image" for path in folder.files]
    return [path for path in files if suffix_of(path) not in (".nii", ".nii.gz", *POLYGON_SUFFIXES)]


def _files(root: Path, suffixes: Sequence[str]) -> list[Path]:
    paths = []
    for here, _, names in walk(root, lambda name: suffix_of(name) in suffixes, MOST_LEVELS):
        paths += [here / name for name in names]
    return paths
