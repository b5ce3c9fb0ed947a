"""Mistakes in annotation files of rotated boxes."""

from pathlib import Path

from benchmarks.bad_inputs.annotations import COUNT, bad, first, text, write_coco, write_images

BOXES = ((25, 13, 10, 22, 7, 17, 22, 8, "ship"), (44, 24, 50, 32, 46, 35, 40, 27, "plane"))
"""The corners x1 y1 ... x4 y4 and the class of the objects of every image."""
LINE = "DOTA: a line has no eight numbers"
NAMELESS = "An object has no class name"
ODD = "A rotated box has no area"
FILE = "labelTxt/0.txt"
SHIP = "25 13 10 22 7 17 22 8 ship 0"


def write_dota(root: Path) -> None:
    """Write images with text files of DOTA."""
    write_images(root / "images")
    (root / "labelTxt").mkdir()
    for index in range(COUNT):
        lines = ["imagesource:GoogleEarth", "gsd:0.15"]
        lines += [f"{' '.join(map(str, row))} 0" for row in BOXES]
        (root / "labelTxt" / f"{index}.txt").write_text("\n".join(lines) + "\n")


def _classes(root: Path) -> None:
    (root / "dataset.toml").write_text('classes = ["ship"]\n')


def _three_corners(root: Path) -> None:
    first(segmentation=[[8, 6, 30, 9, 20, 20]])(root)
    (root / "dataset.toml").write_text("rotated = true\n")


MISTAKES = (
    bad(LINE, write_dota, text(FILE, (SHIP, "25 13 10 22 7 17 22 ship")), "error", "has 8 fields, but a rotated box"),
    bad(LINE, write_dota, text(FILE, (SHIP, "25 13 10 22 7 17 22 o ship 0")), "error", "which are no eight numbers"),
    bad(NAMELESS, write_dota, _classes, "error", "is of the class 'plane', which is not in `classes`"),
    bad(ODD, write_dota, text(FILE, (SHIP, "5 5 10 10 20 20 15 15 ship 0")), "warning", "has no area and is left out"),
    bad(
        ODD, write_dota, text(FILE, (SHIP, "79 5 89 15 84 20 74 10 ship 0")), "warning",
        "has its center outside of the image and is left out",
    ),
    bad(ODD, write_dota, text(FILE, (SHIP, "25 13 7 17 10 22 22 8 ship 0")), "warning", "has sides that cross"),
    bad(ODD, write_dota, text(FILE, (SHIP, "9 -3 19 7 14 12 4 2 ship 0")), "warning", "reaches out of the image"),
    bad(ODD, write_dota, text(FILE, (SHIP, f"{SHIP}\n{SHIP}")), "warning", "is there twice"),
    bad(ODD, write_coco, _three_corners, "warning", "has three corners"),
)  # fmt: skip
