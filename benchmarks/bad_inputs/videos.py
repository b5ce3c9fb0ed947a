"""Mistakes in videos."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import RNG, put, spoiled
from tests.clips import CLASSES, make_clip, write_frames, write_movie


def smaller_frame(folder: Path) -> None:
    (folder / "dataset.toml").write_text(CLASSES + "values = [0, 255]\nvideo = true\n")
    path = folder / "JPEGImages/clip1/00003.jpg"
    with Image.open(path) as frame:
        frame.resize((32, 24)).save(path)


def movies(folder: Path) -> None:
    """Write video files with masks; that of the last one changes its size at frame 5."""
    for seed in range(4):
        pictures, labels = make_clip(seed)
        for time, label in enumerate(labels):
            put(folder / f"masks/shot{seed}/{time:05d}.png", label)
        if seed < 3:
            write_movie(folder / f"clips/shot{seed}.mp4", pictures)
    (folder / "dataset.toml").write_text(CLASSES)
    pictures, _ = make_clip(3)
    with av.open(str(folder / "clips/shot3.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 48, "yuvj420p", Fraction(1, 25)
        for time, picture in enumerate(pictures):
            content = io.BytesIO()
            frame = Image.fromarray(picture)
            (frame if time < 5 else frame.resize((32, 24))).save(content, "JPEG")
            packet = av.Packet(content.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, time, time, Fraction(1, 25)
            packet.is_keyframe = True
            container.mux(packet)


def cover(folder: Path) -> None:
    put(folder / "JPEGImages/cover.jpg", RNG.integers(0, 255, (48, 64, 3)).astype(np.uint8))


def patches(folder: Path) -> None:
    """Write numbered patches in a folder for each patient."""
    for patient in ("P1", "P2", "P3"):
        for number in range(6):
            pixels = RNG.integers(0, 255, (32, 32, 3)).astype(np.uint8)
            put(folder / f"images/{patient}/{number:04d}.png", pixels)
            put(folder / f"masks/{patient}/{number:04d}.png", (pixels[..., 0] > 99).astype(np.uint8))


def lonely(folder: Path) -> None:
    write_movie(folder / "a.mp4", make_clip(0, frames=3)[0])


MISTAKES = (
    Mistake(
        "A video changes its size", movies, "error",
        ("clips/shot3.mkv", "frame 5 is 24 x 32, the first 48 x 64", "ffmpeg -i shot3.mkv -vf scale=64:48 new.mp4"),
    ),
    Mistake(
        "A video changes its size", spoiled(smaller_frame, write_frames), "error",
        ("JPEGImages/clip1/00003.jpg", "it is 24 x 32, 00000.jpg 48 x 64", "one size"),
    ),
    Mistake(
        "among data of another kind", spoiled(cover, write_frames), "warning",
        ("JPEGImages/cover.jpg", "an image file among videos, which is left out", 'write kind = "images"'),
    ),
    Mistake(
        "read as frames of videos", write_frames, "note",
        ("numbered images", "are read as the frames of videos", "write video = false in dataset.toml"),
    ),
    Mistake(
        "may be frames", patches, "refused",
        ("images/P1", "may be frames of videos or images of their own",
         "video = true or video = false in dataset.toml"),
    ),
    Mistake(
        "no masks for any video", lonely, "refused",
        ("a.mp4", "no masks for any video", "masks/NAME/*.png", "video = false"),
    ),
)  # fmt: skip
