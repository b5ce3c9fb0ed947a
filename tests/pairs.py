"""Small data sets of two images, for tests: pairs with pasted squares, and a scene with a square that moves."""

from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = {"train": 6, "val": 2}


def make_pair(seed: int, size: tuple[int, int] = (64, 64), shift: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two pictures `(H, W, 3)` uint8 of one texture, the second with a pasted square, and where it is, `(H, W)`."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 160, (size[0] // 8 + 2, size[1] // 8 + 2, 3))
    texture = np.repeat(np.repeat(coarse, 8, 0), 8, 1)
    before = texture[4 : 4 + size[0], 4 : 4 + size[1]]
    after = texture[4 + shift : 4 + shift + size[0], 4 + shift : 4 + shift + size[1]].copy()
    changed = np.zeros(size, np.uint8)
    row, column = (int(rng.integers(4, n - 28)) for n in size)
    changed[row : row + 24, column : column + 24] = 1
    after[changed > 0] = 230
    noisy = [(one + rng.normal(0, 3, one.shape)).clip(0, 255).astype(np.uint8) for one in (before, after)]
    return noisy[0], noisy[1], changed


def write_pairs(root: Path, *, split_first: bool = True, value: int = 255, names=("A", "B", "label")) -> Path:
    """`SPLIT/A/N.png SPLIT/B/N.png SPLIT/label/N.png`, or with `A/SPLIT/N.png` and so on."""
    number = 0
    for split, count in SPLITS.items():
        for _ in range(count):
            *pair, changed = make_pair(number)
            for name, picture in zip(names, (*pair, value * changed), strict=True):
                folder = root / split / name if split_first else root / name / split
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(folder / f"{number}.png")
            number += 1
    return root


def make_scene(frames: int = 24, size: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray]:
    """Frames `(T, H, W, 3)` uint8 of a fixed camera, and where a square moves over them, `(T, H, W)` bool."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(40, 200, (size[0] // 4, size[1] // 4, 3))
    still = np.repeat(np.repeat(coarse, 4, 0), 4, 1)
    pictures, moving = np.empty((frames, *size, 3), np.uint8), np.zeros((frames, *size), bool)
    for time in range(frames):
        column = 2 + (5 * time) % (size[1] - 16)
        moving[time, 16:30, column : column + 10] = True
        picture = still + rng.normal(0, 3, still.shape)
        picture[moving[time]] = (220, 60, 40)
        pictures[time] = picture.clip(0, 255)
    return pictures, moving


def write_scene(root: Path, every: int = 2, **options) -> Path:
    """`input/in000000.png` with `groundtruth/gt000000.png` of some frames, in the values of changedetection.net."""
    pictures, moving = make_scene(**options)
    for name in ("input", "groundtruth"):
        (root / name).mkdir(parents=True)
    for time, (picture, mask) in enumerate(zip(pictures, moving, strict=True)):
        Image.fromarray(picture).save(root / "input" / f"in{time:06d}.png")
        if time % every == 0:
            values = np.where(mask, 255, 0).astype(np.uint8)
            values[:4], values[-4:], values[4:6] = 170, 85, 50
            Image.fromarray(values).save(root / "groundtruth" / f"gt{time:06d}.png")
    return root
