"""Numbered images are told from the frames of videos by what they show."""

import numpy as np
import pytest
from PIL import Image

from atrous.data.description import Description, read_description
from atrous.data.layouts.motion import is_motion
from atrous.data.layouts.table import find_layout
from atrous.errors import UserError
from tests.clips import make_clip


def scene(rng, size=(60, 80)):
    """Smooth random colors, `(H, W, 3)`, 0 to 255."""
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)).astype(float)


def moving(rng, frames, gray=False):
    """A camera that turns by two pixels a frame, with noise."""
    world = scene(rng, (60, 80 + 2 * frames))
    pictures = np.stack([world[:, 2 * t : 2 * t + 80] for t in range(frames)]) + rng.normal(0, 6, (frames, 60, 80, 3))
    return np.repeat(pictures.mean(-1, keepdims=True), 3, -1) if gray else pictures


def standing(rng, frames):
    """A camera that stands, over a scene in which nothing happens."""
    return scene(rng)[None] + rng.normal(0, 6, (frames, 60, 80, 3))


def patches(rng, frames):
    """Disks of another place in every picture, on one background."""
    y, x = np.mgrid[:60, :80]
    disks = [((y - rng.integers(60)) ** 2 + (x - rng.integers(80)) ** 2 < 100)[..., None] for _ in range(frames)]
    return np.stack([90 * disk + rng.normal(80, 10, (60, 80, 3)) for disk in disks])


def fundus(rng, frames):
    """Pictures of one framing: a bright disk in the middle of each, other things in it."""
    y, x = np.mgrid[:60, :80]
    inside = ((y - 30) ** 2 + (x - 40) ** 2 < 700)[..., None]
    return np.stack([inside * (100 + 0.4 * scene(rng)) for _ in range(frames)])


def unrelated(rng, frames):
    return np.stack([scene(rng) for _ in range(frames)])


def blank(rng, frames):
    """Patches of nothing but noise."""
    return rng.normal(200, 4, (frames, 60, 80, 3))


def tiles(rng, frames):
    """Tiles of one slide, each half over the one before."""
    coarse = Image.fromarray(rng.integers(0, 256, (12, 6 * frames, 3), dtype=np.uint8))
    slide = np.asarray(coarse.resize((40 * frames + 40, 60), Image.Resampling.BICUBIC)).astype(float)
    return np.stack([slide[:, 40 * t : 40 * t + 80] for t in range(frames)])


def write(root, make, frames, folders=3, seed=0, images="images", masks="masks"):
    rng = np.random.default_rng(seed)
    written = []
    for number in range(folders):
        for kind in (images, masks):
            (root / kind / f"P{number}").mkdir(parents=True)
        for time, picture in enumerate(np.clip(make(rng, frames), 0, 255).astype(np.uint8)):
            Image.fromarray(picture).save(root / images / f"P{number}" / f"{time + 1:04d}.png")
            mask = (picture.mean(-1) > 120).astype(np.uint8)
            Image.fromarray(mask).save(root / masks / f"P{number}" / f"{time + 1:04d}.png")
        written.append(sorted((root / images / f"P{number}").iterdir()))
    return written


def test_videos_that_turn_gray_are_videos(tmp_path):
    folders = write(tmp_path, moving, 8)
    for files in folders:
        for path in files[4:]:
            Image.open(path).convert("L").save(path)
    assert is_motion(folders, gray=False)


@pytest.mark.parametrize("frames", [4, 8, 30])
@pytest.mark.parametrize("make", [moving, standing])
def test_videos_change_little_from_frame_to_frame(tmp_path, make, frames):
    assert is_motion(write(tmp_path, make, frames), gray=False)
    layout = find_layout(tmp_path, Description())
    assert layout.kind == "videos"
    assert sum(map(len, layout.splits.values())) == 3


@pytest.mark.parametrize("frames", [3, 4, 8, 30])
@pytest.mark.parametrize("make", [patches, fundus, unrelated, blank, tiles])
def test_patches_are_asked_for(tmp_path, make, frames):
    for seed in range(5):
        root = tmp_path / str(seed)
        assert not is_motion(write(root, make, frames, seed=seed), gray=True)
    said = (
        r"the numbered images in images/P0, images/P1 and 1 more may be frames .*: write video = true or video = false"
    )
    with pytest.raises(UserError, match=said):
        find_layout(root, Description())
    for value, kind in (("true", "videos"), ("false", "grids")):
        (root / "dataset.toml").write_text(f"video = {value}\n")
        assert find_layout(root, read_description(root)).kind == kind
    for value, kind in (("videos", "videos"), ("images", "grids")):
        (root / "dataset.toml").write_text(f'kind = "{value}"\n')
        assert find_layout(root, read_description(root)).kind == kind


def test_gray_slices_change_smoothly_too_and_are_asked_for_unless_they_are_called_frames(tmp_path):
    def gray(rng, frames):
        return moving(rng, frames, gray=True)

    files = write(tmp_path / "scans", gray, 12)
    assert is_motion(files, gray=True)
    assert not is_motion(files, gray=False)
    with pytest.raises(UserError, match="video = true or video = false"):
        find_layout(tmp_path / "scans", Description())
    write(tmp_path / "film", gray, 12, images="frames")
    assert find_layout(tmp_path / "film", Description()).kind == "videos"


def test_pictures_of_different_sizes_or_damaged_ones_are_no_evidence(tmp_path):
    files = write(tmp_path, moving, 8)
    Image.open(files[1][3]).resize((40, 30)).save(files[1][3])
    assert not is_motion(files, gray=True)
    files[1][3].write_bytes(b"")
    assert not is_motion(files, gray=True)


def test_a_small_thing_that_moves_over_noise_is_a_video(tmp_path):
    def square(rng, frames):
        return make_clip(int(rng.integers(100)), frames)[0]

    assert is_motion(write(tmp_path, square, 8), gray=False)
