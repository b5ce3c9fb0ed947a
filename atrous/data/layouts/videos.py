"""Folders of videos: sequences of numbered frames, or video files, with a folder of masks for each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from atrous.data.description import Description, read_names
from atrous.data.formats import VIDEO_SUFFIXES, stem, suffix_of
from atrous.data.formats.frames import frame_files, frame_number
from atrous.data.images import FileImage
from atrous.data.layouts.base import Layout, group_of, labeled
from atrous.data.layouts.folders import Folder, read_folders, split_of
from atrous.data.layouts.motion import is_motion
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.layouts.strays import holds_others, movies_in
from atrous.data.problems import some
from atrous.data.sample import Sample
from atrous.data.targets.labels import Labels
from atrous.data.targets.mask_files import FrameMasks
from atrous.errors import UserError

_FRAME_WORDS = ("frames", "jpegimages")
"""Folders of frames, in lower case: usual ones, and those of DAVIS."""
LEAST = 3
"""Frames that a sequence has at least to be known as one without `video = true`."""


@dataclass(frozen=True)
class Videos:
    """The videos of a folder.

    Attributes:
        samples: by the split that a folder names, None where none does.
        masks_alone: mask files of no video.
        listed: names of the splits that DAVIS lists in `ImageSets`.
        kinds: what the videos are, in words.
    """

    samples: dict[str | None, list[Sample]]
    masks_alone: tuple[Path, ...]
    listed: dict[str, tuple[str, ...]]
    kinds: str


def find_videos(root: Path, description: Description) -> Layout | None:
    """Find videos with their masks; None when the folder holds something else.

    Raises:
        UserError: as `read_videos`.
    """
    videos = read_videos(root, description)
    if videos is None:
        return None
    samples, alone = labeled(videos.samples)
    splits, origin = into_splits(samples, description, (videos.listed, "ImageSets"), any(videos.samples))
    return Layout(videos.kinds, ordered(splits), origin, tuple(alone), videos.masks_alone, kind="videos")


def read_videos(root: Path, description: Description) -> Videos | None:
    """Videos under `root` and their masks; None when the folder holds something else.

    A video is a file, or a folder of frames in a folder of images (`JPEGImages/SEQ/*.jpg`) or by itself (`SEQ/*.jpg`)
    whose masks lie in a folder of the same name (`Annotations/SEQ/*.png`, `masks/SEQ/*.png`, `SEQ/masks/*.png`).
    Without `video = true` in dataset.toml, folders of images are videos when the names of all their files are numbers
    in equal steps, and what they show changes as little from one to the next as in a video (`motion.py`). Video files
    without masks are no data where there are images, recordings, scans or genomes.

    Raises:
        UserError: dataset.toml says that there are videos, and there are none with masks; or numbered images may be
            frames or not.
    """
    if description.video is False:
        return None
    folders = read_folders(root, description.images, description.masks)
    movies = movies_in(root)
    sequences = _sequences(folders)
    masks = {folder.group: folder for folder in folders if folder.role == "label"}
    if not description.video:
        labeled_movies = [p for p in movies if _masks_of(_group(root, p), split_of(_parts(root, p)), masks)]
        if movies and (sequences or (not labeled_movies and holds_others(root, folders, description))):
            movies = labeled_movies  # a video that lies beside images is not part of the data
        sequences = _numbered_sequences(sequences, folders)
        _require_evidence(root, sequences)
    if not movies and not sequences:
        if description.video:
            raise UserError(f"{root}: no videos: give folders of frames, or {' '.join(VIDEO_SUFFIXES)} files")
        return None
    samples: dict[str | None, list[Sample]] = {}
    used: set[str] = set()
    videos = [(f.path, f.path.relative_to(root).as_posix(), f.split, f.group) for f in sequences]
    videos += [(path, _group(root, path), split_of(_parts(root, path)), _group(root, path)) for path in movies]
    for path, name, split, group in videos:
        home = _masks_of(group, split, masks)
        used |= set() if home is None else {home.group}
        image = FileImage(path, (), description.channels)
        target = None if home is None else Labels(FrameMasks(home.path, path), image)
        sample = Sample(name, image, target, group_of(name, description.groups))
        samples.setdefault(split, []).append(sample)
    if not any(sample.target for members in samples.values() for sample in members):
        raise UserError(
            f"{videos[0][0]}: no masks for any video: put those of each in a folder of its name, masks/NAME/*.png, or "
            "write video = false in dataset.toml if it is no data"
        )
    lone = tuple(path for group, folder in masks.items() if group not in used for path in folder.files)
    return Videos(samples, lone, _listed(root, samples), _kinds(len(sequences), movies))


def _sequences(folders: Sequence[Folder]) -> list[Folder]:
    """Folders of frames: those of images, else those that lie beside a folder of masks of the same name."""
    images = [folder for folder in folders if folder.role == "image"]
    if images:
        return images
    masks = {_last(folder.group) for folder in folders if folder.role == "label"}
    return [folder for folder in folders if folder.role is None and _last(folder.group) in masks]


def _numbered_sequences(sequences: Sequence[Folder], folders: Sequence[Folder]) -> list[Folder]:
    """The folders of images that are numbered, in folders of their own, like masks; none where most images are not.

    Most have numbers in equal steps; where a frame is missing in some, these are sequences all the same.
    """
    if len({folder.group for folder in sequences}) == 1 and not any(_is_own(folder) for folder in sequences):
        return []  # the folders around all images say nothing: an archive has been unpacked
    even = [folder for folder in sequences if folder.group and _numbered(folder.files)]
    images, labels = _count(sequences), [folder for folder in folders if folder.role == "label"]
    like_frames = [folder for folder in labels if folder.group and _digits(folder.files)]
    if 2 * _count(even) <= images or 2 * _count(like_frames) <= _count(labels):
        return []
    found = [folder for folder in sequences if folder.group and _digits(folder.files)]
    return found if len({folder.group for folder in found}) == len(found) else []


def _is_own(folder: Folder) -> bool:
    """Whether the last folder of a path is that of a sequence, and not of all images."""
    return _last(folder.group) == folder.path.name


def _count(folders: Sequence[Folder]) -> int:
    return sum(len(folder.files) for folder in folders)


def _digits(files: Sequence[Path]) -> bool:
    return all(path.stem.isdigit() for path in files)


def _numbered(files: Sequence[Path]) -> bool:
    """
    >>> _numbered([Path("00000.jpg"), Path("00005.jpg"), Path("00010.jpg")]), _numbered([Path("cat.jpg")])
    (True, False)
    """
    if len(files) < LEAST or not _digits(files):
        return False
    numbers = sorted(frame_number(path) or 0 for path in files)
    return len({b - a for a, b in pairwise(numbers)}) == 1


def _require_evidence(root: Path, sequences: Sequence[Folder]) -> None:
    """Raise unless folders of numbered images are plainly videos: they are patches of slides or slices as often.

    Frames change little from one to the next. Gray slices of scans do so as well: gray images are frames where their
    folders say so, too, by `frames` or by the names that DAVIS has.

    Raises:
        UserError: they may be videos or not.
    """
    if not sequences:
        return
    parts = [folder.path.relative_to(root).parts for folder in sequences]
    named = all(any(part.lower() in _FRAME_WORDS for part in path) for path in parts)
    if not is_motion([frame_files(folder.path) for folder in sequences], gray=named):
        names = some([folder.path.relative_to(root).as_posix() for folder in sequences], 2)
        raise UserError(
            f"{root}: the numbered images in {names} may be frames of videos or images of their own: write "
            "video = true or video = false in dataset.toml"
        )


def _masks_of(group: str, split: str | None, masks: dict[str, Folder]) -> Folder | None:
    """The folder of masks of this group; else the only one whose last part is the same."""
    if group in masks:
        return masks[group]
    near = [f for f in masks.values() if _last(f.group) == _last(group) and f.split in (split, None)]
    return near[0] if len(near) == 1 else None


def _parts(root: Path, path: Path) -> tuple[str, ...]:
    return path.parent.relative_to(root).parts


def _group(root: Path, path: Path) -> str:
    return "/".join((*_parts(root, path), stem(path)))


def _last(group: str) -> str:
    return group.rsplit("/", 1)[-1]


def _listed(root: Path, samples: dict[str | None, list[Sample]]) -> dict[str, tuple[str, ...]]:
    """Sequences that DAVIS' `ImageSets/YEAR/{train,val}.txt` names, of the latest year, as far as they are there."""
    names = {_last(sample.name) for here in samples.values() for sample in here}
    years = sorted((path for path in (root / "ImageSets").glob("20*") if path.is_dir()), reverse=True)
    for year in years:
        files: Iterable[tuple[str, Path]] = ((split, year / f"{split}.txt") for split in ("train", "val"))
        listed = {
            split: tuple(
                name
                for line in read_names(file)
                for name in ([line] if line in names else line.split())
                if name in names
            )
            for split, file in files
            if file.is_file()
        }
        if any(listed.values()):
            return listed
    return {}


def _kinds(sequences: int, movies: Sequence[Path]) -> str:
    said = [f"{sequences} folder{'s' if sequences > 1 else ''} of frames"] if sequences else []
    if movies:
        suffixes = " ".join(sorted({suffix_of(path) for path in movies}))
        said.append(f"{len(movies)} {suffixes} file{'s' if len(movies) > 1 else ''}")
    return f"video, {' and '.join(said)}"
