"""Sequences of a fixed camera, as changedetection.net has them: `input/in000001.jpg groundtruth/gt000001.png`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from atrous.data.background import Background, WithBackground
from atrous.data.composite import MOTION
from atrous.data.description import Description
from atrous.data.formats import FileFault, Header, frame_files, frame_number, open_source, read_header, stem
from atrous.data.images import SampleImage
from atrous.data.inside import require_inside, walk
from atrous.data.layouts.base import Layout, group_of
from atrous.data.layouts.folders import IMAGE_WORDS, LABEL_WORDS, MOST_LEVELS, folder_key, split_of
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.plain_text import read_text
from atrous.data.preprocess import Wanted, to_channels
from atrous.data.sample import Sample
from atrous.data.source import Source
from atrous.data.targets.frame_masks import mask_of_frames
from atrous.data.targets.labels import Labels
from atrous.data.targets.scene_mask import BACKGROUND, FOREGROUND, OUTSIDE, UNKNOWN, SceneMask
from atrous.errors import UserError

KIND = "scenes"
"""The kind of these data: single labelled frames, each with the background that earlier frames show."""
INPUT, TRUTH = "input", "groundtruth"
CLASSES = ("background", "foreground")
REGION = "temporalROI.txt"
"""A file with the numbers of the first and the last frame that count."""
HELD_OUT = 0.25
"""Of one sequence, so much of the labelled frames at the end is the validation split."""
_CDNET = re.compile(r"^(in|gt)\d+$")


@dataclass(frozen=True, eq=False)
class Scene:
    """A sequence of frames, which is opened when one of them is read.

    Attributes:
        folder: of the frames.
        background: how the background of a frame is found.
        channels: how many channels frames are brought to; None leaves them as they are.
    """

    folder: Path
    background: Background
    channels: int | None = None

    @cached_property
    def clip(self) -> Source:
        """The frames, `(C, T, H, W)`."""
        return to_channels(open_source(self.folder), Wanted(self.channels, in_data=True, frames=True), self.folder)

    @cached_property
    def source(self) -> WithBackground:
        """Every frame with its background, `(2 C, T, H, W)`."""
        return WithBackground(self.clip, self.background)


@dataclass(frozen=True)
class SceneImage(SampleImage):
    """One frame and its background as a clip of one frame, `(2 C, 1, H, W)`.

    Attributes:
        path: the file of the frame.
        scene: its sequence, which all its frames share.
        number: position of the frame in the sequence.
    """

    path: Path
    scene: Scene
    number: int

    def header(self) -> Header:
        """See `SampleImage.header`: that of the frame, with twice the channels and an axis of time."""
        header = read_header(self.path)
        return replace(header, shape=(2 * header.channels, 1, *header.size), names=())

    def load(self) -> np.ndarray:
        """See `SampleImage.load`."""
        return self.scene.source[:, self.number : self.number + 1]


def find_scenes(root: Path, description: Description) -> Layout | None:
    """Find sequences of a fixed camera, of which some frames have masks; None for other tasks.

    A sequence is a folder with the frames in `input/` and masks in `groundtruth/`; the number in the name of a mask is
    that of its frame. For `task = "motion"` other usual names of both folders do as well (`frames/ masks/`). Where
    nobody names the task, sequences are known by the names of changedetection.net alone: `input/in000001.jpg`,
    `groundtruth/gt000001.png`.

    Of one sequence, the last quarter of the labelled frames is the validation split; of several, whole sequences are.

    Raises:
        UserError: the task is `motion`, and there is no sequence with masks; or a mask belongs to no frame.
    """
    if description.task not in (None, MOTION):
        return None
    found = list(sequences(root, named=description.task is None))
    if not found:
        if description.task is None:
            return None
        raise UserError(
            f'{root}: task = "{MOTION}" learns from sequences of a fixed camera: put the frames into {INPUT}/ and '
            f"masks of some of them into {TRUTH}/, with the numbers of their frames (in000001.jpg, gt000001.png)"
        )
    background = description.background or Background()
    samples = {here: _samples(root, here, frames, masks, background, description) for here, frames, masks in found}
    if not any(samples.values()):
        raise UserError(f"{found[0][2]}: no masks: label some frames, 0 for background and 255 for what moves")
    splits, origin = _splits(root, samples, description)
    count = f"{len(found)} sequences" if len(found) > 1 else "a sequence"
    return Layout(
        name=f"{count} of a fixed camera, frames in {found[0][1].name}, masks in {found[0][2].name}",
        splits=ordered(splits),
        split_origin=origin,
        values=(BACKGROUND, FOREGROUND),
        classes=CLASSES,
        ignore=(OUTSIDE, UNKNOWN),
        kind=KIND,
        task=MOTION,
    )


def sequences(root: Path, *, named: bool) -> Iterator[tuple[Path, Path, Path]]:
    """Yield the folder of each sequence below `root`, and its folders of frames and of masks.

    Args:
        root: where to look.
        named: whether folders and files must have the names of changedetection.net.
    """
    for here, folders, _ in walk(root, lambda name: False, MOST_LEVELS):
        frames = _folder(here, folders, {INPUT} if named else IMAGE_WORDS)
        masks = _folder(here, folders, {TRUTH} if named else LABEL_WORDS)
        if frames is not None and masks is not None and (not named or _as_cdnet(frames, masks)):
            require_inside(root, frames)
            yield here, frames, masks


def sequence_of(folder: Path) -> tuple[Path | None, Path | None]:
    """Return the folders of frames and of masks beside a folder, itself included; None twice without both."""
    folders = sorted(path.name for path in folder.parent.iterdir() if path.is_dir())
    frames, masks = (_folder(folder.parent, folders, words) for words in (IMAGE_WORDS, LABEL_WORDS))
    return (frames, masks) if frames is not None and masks is not None else (None, None)


def _folder(here: Path, folders: Sequence[str], words: set[str] | frozenset[str]) -> Path | None:
    """The first folder of one of these names that holds frames."""
    named = (here / name for name in folders if folder_key(name) in words)
    return next((path for path in named if frame_files(path)), None)


def _as_cdnet(*folders: Path) -> bool:
    return all(_CDNET.match(stem(path)) for folder in folders for path in frame_files(folder))


def _samples(
    root: Path, here: Path, frames: Path, masks: Path, background: Background, description: Description
) -> list[Sample]:
    """The labelled frames of a sequence, in order."""
    scene, files, marks = Scene(frames, background, description.channels), frame_files(frames), frame_files(masks)
    first, last = _region(here)
    samples = []
    for number, position in enumerate(mask_of_frames(frames, masks).tolist()):
        if position < 0 or not first <= (frame_number(files[number]) or 0) <= last:
            continue
        image = SceneImage(files[number], scene, number)
        name = (frames.relative_to(root) / stem(files[number])).as_posix()
        group = group_of(name, description.groups) or (here.relative_to(root).as_posix() if here != root else "")
        samples.append(Sample(name, image, Labels(SceneMask(marks[position]), image), group))
    return samples


def _region(here: Path) -> tuple[float, float]:
    """Numbers of the first and the last frame that count."""
    file = here / REGION
    if not file.is_file():
        return -np.inf, np.inf
    words = read_text(file).split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        raise FileFault(file, "is to hold two numbers, of the first and the last frame that count", "correct it")
    return float(words[0]), float(words[1])


def _splits(
    root: Path, samples: dict[Path, list[Sample]], description: Description
) -> tuple[dict[str, list[Sample]], str]:
    """Samples by split: as folders or dataset.toml say; else by time of one sequence, whole sequences of several."""
    by_split: dict[str, list[Sample]] = {}
    in_folders = False
    for here, members in samples.items():
        split = split_of(here.relative_to(root).parts)
        in_folders |= split is not None
        by_split.setdefault(split or "train", []).extend(members)
    labelled = [members for members in samples.values() if members]
    if not in_folders and not description.splits and len(labelled) == 1 and len(labelled[0]) > 1:
        members = labelled[0]
        cut = min(len(members) - 1, len(members) - round(HELD_OUT * len(members)))
        splits = {"train": members[:cut], "val": members[cut:]}
        return splits, f"val: the last {len(members) - cut} of {len(members)} labelled frames"
    return into_splits(by_split, description, ({}, ""), in_folders)
