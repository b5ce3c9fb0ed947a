"""Masks of a video: one file per frame, or per some of its frames; which belongs to which."""

from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault, read_header
from atrous.data.formats.frames import frame_files, frame_number, stack_values


def mask_of_frames(video: Path, masks: Path) -> np.ndarray:
    """Position of the mask file of each frame, `(T,)`, -1 where a frame has none.

    Masks of a folder of frames have the number of their frame. Masks of a video file are in order where there are as
    many as frames; otherwise their numbers are those of frames, from 0, or from 1 where there is no mask 0 and one that
    has the number of frames.

    Raises:
        FileFault: a mask has no number, or one that no frame has.
    """
    files = frame_files(masks)
    count = read_header(video).shape[1]
    if video.is_dir():
        frames = [frame_number(path) for path in frame_files(video)]
        known = {number: at for at, number in enumerate(frames) if number is not None}
        if len(known) < len(frames):
            raise FileFault(video, "its frames have no numbers of their own", "number them: 00000.jpg, 00001.jpg, ...")
    elif len(files) == count:
        return np.arange(count)
    else:
        numbers = {frame_number(path) for path in files}
        first = 1 if count in numbers and 0 not in numbers else 0
        known = {first + at: at for at in range(count)}
    found = np.full(count, -1)
    for position, path in enumerate(files):
        number = frame_number(path)
        if number is None or number not in known:
            raise FileFault(path, f"no frame of {video.name} has its number", "give a mask the number of its frame")
        found[known[number]] = position
    return found


def clip_values(video: Path, masks: Path) -> np.ndarray:
    """The numbers of a video's masks, `(T, H, W)` (`(3, T, H, W)` for colors); frames without one repeat the nearest.

    `unlabeled_frames` says which do, so that they can be left out.
    """
    files, places = frame_files(masks), mask_of_frames(video, masks)
    given = np.flatnonzero(places >= 0)
    if not len(given):
        raise FileFault(masks, "a folder without masks", "put a PNG per frame directly in it")
    values = stack_values([files[places[at]] for at in given])
    if len(given) == len(places):
        return values
    nearest = np.abs(np.arange(len(places))[:, None] - given).argmin(1)
    return values[..., nearest, :, :]


def unlabeled_frames(video: Path, masks: Path) -> np.ndarray:
    """Whether a frame has no mask, `(T,)`."""
    return mask_of_frames(video, masks) < 0
