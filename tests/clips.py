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
