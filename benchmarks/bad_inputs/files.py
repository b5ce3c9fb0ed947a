"""Mistakes in files of any kind: damaged, of another format, too large, with code in them, or linked from elsewhere."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import TWO, data_set, photo, put, spoiled


def cut(folder: Path) -> None:
    path = folder / "images/3.png"
    path.write_bytes(path.read_bytes()[:300])


def random(folder: Path) -> None:
    (folder / "masks/3.png").write_bytes(np.random.default_rng(0).bytes(900))


def empty(folder: Path) -> None:
    (folder / "images/3.png").write_bytes(b"")


def odd_name(folder: Path) -> None:
    for name in ("images", "masks"):
        (folder / name / "3.png").rename(folder / name / os.fsdecode(b"M\xfcller.png"))


def web_page(folder: Path) -> None:
    (folder / "images/3.png").write_text("<!DOCTYPE html>\n<html><body>404: not found</body></html>\n")


def pointer(folder: Path) -> None:
    (folder / "masks/3.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def huge(folder: Path) -> None:
    """Write a PNG of a few bytes that declares a million times a million pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 10**6, 10**6, 8, 0, 0, 0, 0))
    data = head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    (folder / "images/3.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def link(folder: Path) -> None:
    put(folder.parent / "elsewhere.png", photo(3))
    (folder / "images/3.png").unlink()
    (folder / "images/3.png").symlink_to(folder.parent / "elsewhere.png")


def broken_link(folder: Path) -> None:
    (folder / "images/3.png").unlink()
    (folder / "images/3.png").symlink_to(folder / "moved.png")


def half_tiff(folder: Path) -> None:
    (folder / "images/3.png").unlink()
    path = folder / "images/3.tif"
    tifffile.imwrite(path, photo(3))
    path.write_bytes(path.read_bytes()[:1700])


def pickled(folder: Path) -> None:
    (folder / "images/3.png").unlink()
    np.save(folder / "images/3.npy", np.array([{"a": 1}], object), allow_pickle=True)


MISTAKES = (
    Mistake(
        "A file is damaged", spoiled(cut), "error",
        ("images/3.png", "cannot be read, it is damaged, cut short or not a png file", "copy it again"),
    ),
    Mistake("A file is damaged", spoiled(random), "error", ("masks/3.png", "damaged, cut short or not a png file")),
    Mistake(
        "A file is damaged", spoiled(empty), "error",
        ("images/3.png", "cannot be read, it is empty (0 bytes)", "copy it again"),
    ),
    Mistake(
        "A file is damaged", spoiled(half_tiff), "error",
        ("images/3.tif", "cut short", "its pixels at byte", "copy it again"),
    ),
    Mistake(
        "A link leads to a file", spoiled(broken_link), "error",
        ("images/3.png", "a link to a file that is not there", "copy the file itself"),
    ),
    Mistake("A file name is not UTF-8", spoiled(odd_name), "error", ("ller.png", "its name is not UTF-8", "rename it")),
    Mistake(
        "text instead of an image", spoiled(web_page), "error",
        ("images/3.png", "it is text, not a png file", "get the file itself"),
    ),
    Mistake("text instead of an image", spoiled(pointer), "error", ("masks/3.png", "it is text, not a png file")),
    Mistake(
        "declares more than the memory", spoiled(huge), "error",
        ("images/3.png", "declares 1 x 1000000 x 1000000", "this process may use", "cut it into smaller files"),
    ),
    Mistake(
        "leads out of the folder", spoiled(link), "refused",
        ("images/3.png", "is a link that leaves the folder", "copy the files into it, or set ATROUS_ALLOW=links"),
    ),
    Mistake(
        "leads out of the folder", data_set(toml=TWO + '[splits]\nval = "../names.txt"\n'), "refused",
        ("dataset.toml", "'../names.txt', outside of its folder", "put it beside dataset.toml"),
    ),
    Mistake(
        "leads out of the folder", spoiled(lambda folder: (folder / "images/all").symlink_to(folder)), "refused",
        ("images/all", "is a link to a folder that it lies in", "remove it"),
    ),
    Mistake(
        "holds Python objects", spoiled(pickled), "error",
        ("images/3.npy", "Python objects", "save"),
    ),
)  # fmt: skip
