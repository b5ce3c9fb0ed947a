"""Small videos with something to learn, for tests: a bright square that moves over noise."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 'classes = ["background", "square"]\n'


def make_clip(seed: int, frames: int = 8, size: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray]:
    """Frames `(T, H, W, 3)` uint8 and labels `(T, H, W)` uint8."""
    rng = np.random.default_rng(seed)
    label = np.zeros((frames, *size), np.uint8)
    row, column = (int(rng.integers(2, n - 26)) for n in size)
    for time in range(frames):
        label[time, row + time : row + time + 16, column + time : column + time + 16] = 1
    picture = 70 + 110 * label[..., None] + rng.normal(0, 8, (frames, *size, 3))
    return picture.clip(0, 255).astype(np.uint8), label


def write_frames(root: Path, clips: int = 5, **options) -> Path:
    """`JPEGImages/SEQ/00000.jpg` with `Annotations/SEQ/00000.png`, values 0 and 255, as DAVIS has it."""
    for seed in range(clips):
        pictures, labels = make_clip(seed, **options)
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / f"clip{seed}").mkdir(parents=True)
        for time, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            Image.fromarray(picture).save(root / "JPEGImages" / f"clip{seed}" / f"{time:05d}.jpg", quality=95)
            Image.fromarray(255 * label).save(root / "Annotations" / f"clip{seed}" / f"{time:05d}.png")
    (root / "dataset.toml").write_text(CLASSES + "values = [0, 255]\n")
    return root


def write_movie(path: Path, pictures: np.ndarray, rate: int = 24, codec: str = "libx264", **options: str) -> Path:
    """Frames `(T, H, W, 3)` as a video file, by PyAV."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)  # type: ignore[call-overload]
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def texture(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A smooth random texture `(H, W, 3)`, values about 40 to 215."""
    from scipy import ndimage

    noise = ndimage.gaussian_filter(rng.normal(size=(*size, 3)), (2, 2, 0))
    return 128 + 35 * noise / noise.std()


def make_panning(
    seed: int, frames: int = 6, size: tuple[int, int] = (64, 80), pan: tuple[int, int] = (1, 2)
) -> tuple[np.ndarray, np.ndarray]:
    """Frames `(T, H, W, 3)` uint8 of a camera that pans over a texture, and labels of a textured square, `(T, H, W)`.

    The square has the same kind of texture as the background: nothing but its motion tells it. Its speed in the frame
    is half of the camera's, and back.
    """
    rng = np.random.default_rng(seed)
    far = [abs(step) * frames for step in pan]
    ground = texture(rng, (size[0] + 2 * far[0], size[1] + 2 * far[1]))
    square = texture(rng, (24, 24))
    row, column = (int(rng.integers(10, n - 34)) for n in size)
    pictures, labels = np.empty((frames, *size, 3), np.uint8), np.zeros((frames, *size), np.uint8)
    for time in range(frames):
        top, left = (reach + time * step for reach, step in zip(far, pan, strict=True))
        picture = ground[top : top + size[0], left : left + size[1]].copy()
        own = slice(row - time, row - time + 24), slice(column + time, column + time + 24)
        picture[own], labels[time][own] = square, 1
        pictures[time] = picture.clip(0, 255)
    return pictures, labels


def write_panning(root: Path, clips: int = 4, **options) -> Path:
    """`JPEGImages/SEQ/00000.png` with `Annotations/SEQ/00000.png`, values 0 and 255."""
    for seed in range(clips):
        pictures, labels = make_panning(seed, **options)
        for kind, frames in (("JPEGImages", pictures), ("Annotations", 255 * labels)):
            (root / kind / f"clip{seed}").mkdir(parents=True)
            for time, frame in enumerate(frames):
                Image.fromarray(frame).save(root / kind / f"clip{seed}" / f"{time:05d}.png")
    (root / "dataset.toml").write_text(CLASSES + "values = [0, 255]\nvideo = true\n")
    return root
