"""What `atrous check` reports for every kind of bad annotation of objects: each is made in a temporary folder.

python -m benchmarks.bad_objects
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.data.description import Description
from atrous.data.layouts.table import find_layout
from atrous.errors import UserError
from atrous.verbs.check import check_layout

SIZE = (48, 80)
CLASSES = ("cell", "nucleus")
COUNT = 6
BOXES = ((6, 8, 20, 30), (24, 40, 40, 50), (8, 60, 12, 66))
"""Top, left, bottom and right of the objects of every image; the first one is a cell, the others are nuclei."""
Spoil = Callable[[Path], object]


def write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for index in range(COUNT):
        pixels = rng.integers(0, 60, SIZE, dtype=np.uint8)
        for top, left, bottom, right in BOXES:
            pixels[top:bottom, left:right] += 120
        Image.fromarray(pixels).save(folder / f"{index}.png")


def write_voc(root: Path) -> None:
    """Write images with Pascal VOC annotations."""
    write_images(root / "JPEGImages")
    (root / "Annotations").mkdir()
    for index in range(COUNT):
        lines = [f"<annotation><size><width>{SIZE[1]}</width><height>{SIZE[0]}</height></size>"]
        for place, (top, left, bottom, right) in enumerate(BOXES):
            sides = f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
            lines.append(f"<object><name>{CLASSES[place > 0]}</name><bndbox>{sides}</bndbox></object>")
        (root / "Annotations" / f"{index}.xml").write_text("\n".join([*lines, "</annotation>"]))


def write_coco(root: Path) -> None:
    """Write images with one COCO file of boxes and polygons."""
    write_images(root / "images")
    images = [{"id": n, "file_name": f"{n}.png", "height": SIZE[0], "width": SIZE[1]} for n in range(COUNT)]
    categories = [{"id": n + 1, "name": name} for n, name in enumerate(CLASSES)]
    annotations = [
        {
            "id": len(BOXES) * n + place + 1,
            "image_id": n,
            "category_id": 1 + (place > 0),
            "bbox": [left, top, right - left, bottom - top],
            "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
            "iscrowd": 0,
        }
        for n in range(COUNT)
        for place, (top, left, bottom, right) in enumerate(BOXES)
    ]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (root / "coco.json").write_text(json.dumps(content))


def write_yolo(root: Path) -> None:
    """Write images with YOLO text files and their data.yaml."""
    write_images(root / "images")
    (root / "labels").mkdir()
    (root / "data.yaml").write_text(f"names: [{', '.join(CLASSES)}]\n")
    for index in range(COUNT):
        lines = []
        for place, (top, left, bottom, right) in enumerate(BOXES):
            x, y = (left + right) / 2 / SIZE[1], (top + bottom) / 2 / SIZE[0]
            lines.append(
                f"{int(place > 0)} {x:.6f} {y:.6f} {(right - left) / SIZE[1]:.6f} {(bottom - top) / SIZE[0]:.6f}"
            )
        (root / "labels" / f"{index}.txt").write_text("\n".join(lines) + "\n")


def write_csv(root: Path) -> None:
    """Write images with one table of boxes."""
    write_images(root / "images")
    rows = ["filename,xmin,ymin,xmax,ymax,class"]
    for index in range(COUNT):
        for place, (top, left, bottom, right) in enumerate(BOXES):
            rows.append(f"{index}.png,{left},{top},{right},{bottom},{CLASSES[place > 0]}")
    (root / "boxes.csv").write_text("\n".join(rows) + "\n")


def write_masks(root: Path) -> None:
    """Write images with masks that number the objects."""
    write_images(root / "images")
    (root / "masks").mkdir()
    numbers = np.zeros(SIZE, np.uint16)
    for place, (top, left, bottom, right) in enumerate(BOXES, 1):
        numbers[top:bottom, left:right] = place
    for index in range(COUNT):
        Image.fromarray(numbers).save(root / "masks" / f"{index}.png")


def text(name: str, *changes: tuple[str, str], every: bool = False) -> Spoil:
    """Replace text in a file, or in every file beside it; each change must be possible."""

    def spoil(root: Path) -> None:
        for path in (root / name).parent.glob(f"*{Path(name).suffix}") if every else [root / name]:
            content = path.read_text()
            for old, new in changes:
                assert old in content, (path, old)
                content = content.replace(old, new)
            path.write_text(content)

    return spoil


def coco(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Change the content of the COCO file."""

    def spoil(root: Path) -> None:
        content = json.loads((root / "coco.json").read_text())
        change(content)
        (root / "coco.json").write_text(json.dumps(content))

    return spoil


def rows(change: Callable[[list[str]], list[str]]) -> Spoil:
    """Change the fields of every row of the table."""

    def spoil(root: Path) -> None:
        head, *lines = (root / "boxes.csv").read_text().splitlines()
        changed = [",".join(change(line.split(","))) for line in lines]
        (root / "boxes.csv").write_text("\n".join([head, *changed]) + "\n")

    return spoil


def sizes(fields: list[str]) -> list[str]:
    """A row with width and height in place of the second corner."""
    name, *box, kind = fields
    left, top, right, bottom = map(int, box)
    return [name, *map(str, (left, top, right - left, bottom - top)), kind]


def fractions(fields: list[str]) -> list[str]:
    name, left, top, right, bottom, kind = fields
    width, height = SIZE[1], SIZE[0]
    return [
        name,
        *(f"{int(a) / b:.5f}" for a, b in ((left, width), (top, height), (right, width), (bottom, height))),
        kind,
    ]


def yolo_pixels(root: Path) -> None:
    for path in (root / "labels").iterdir():
        lines = [line.split() for line in path.read_text().splitlines()]
        scale = (SIZE[1], SIZE[0], SIZE[1], SIZE[0])
        changed = [[kind, *(f"{float(a) * b:.1f}" for a, b in zip(rest, scale, strict=True))] for kind, *rest in lines]
        path.write_text("\n".join(" ".join(line) for line in changed) + "\n")


def exchange(content: dict[str, Any]) -> None:
    for record in content["annotations"]:
        x, y, width, height = record["bbox"]
        record["bbox"] = [y, x, height, width]
        record["segmentation"] = []


def as_corners(content: dict[str, Any]) -> None:
    for record in content["annotations"]:
        x, y, width, height = record["bbox"]
        record["bbox"] = [x, y, x + width, y + height]
        record["segmentation"] = []


def cover(content: dict[str, Any]) -> None:
    """Put the third object of the first image onto a part of the first one."""
    content["annotations"][2]["segmentation"] = [[8, 6, 30, 6, 30, 15, 8, 15]]
    content["annotations"][2]["bbox"] = [8, 6, 22, 9]


def crowds(content: dict[str, Any]) -> None:
    for record in content["annotations"][: len(BOXES)]:
        record["iscrowd"] = 1


def split_mask(root: Path) -> None:
    with Image.open(root / "masks" / "0.png") as opened:
        numbers = np.array(opened)
    numbers[30, :] = 0
    Image.fromarray(numbers).save(root / "masks" / "0.png")


def first(**values: Any) -> Spoil:
    """Change the first annotation of the COCO file."""
    return coco(lambda content: content["annotations"][0].update(values))


@dataclass(frozen=True)
class BadObjects:
    """A bad data set.

    Attributes:
        write: makes the healthy one.
        spoil: makes it bad.
        says: what a line of the report must say.
        task: what is to be learned.
    """

    write: Spoil
    spoil: Spoil
    says: str
    task: str = "detection"


VOC, COCO = "Annotations/0.xml", "coco.json"
BAD: dict[str, BadObjects] = {
    "a box without width": BadObjects(write_voc, text(VOC, ("<xmin>9", "<xmin>31")), "has no width or height"),
    "a box that ends before it starts": BadObjects(write_voc, text(VOC, ("<xmax>30", "<xmax>3")), "no width or height"),
    "a box outside of the image": BadObjects(
        write_voc, text(VOC, ("<xmin>9", "<xmin>90"), ("<xmax>30", "<xmax>99")), "center outside of the image"
    ),
    "a box that reaches out": BadObjects(write_voc, text(VOC, ("<xmax>66", "<xmax>88")), "reaches out of the image"),
    "x and y exchanged": BadObjects(write_coco, coco(exchange), "x and y are exchanged"),
    "fractions where pixels are expected": BadObjects(write_csv, rows(fractions), "lie between 0 and 1"),
    "pixels where fractions are expected": BadObjects(write_yolo, yolo_pixels, "coordinates are in pixels"),
    "corners where width and height are expected": BadObjects(write_coco, coco(as_corners), "boxes are two corners"),
    "width and height where corners are expected": BadObjects(write_csv, rows(sizes), "boxes are x, y, width"),
    "an object of one pixel": BadObjects(
        write_voc, text(VOC, ("<xmax>30", "<xmax>9"), ("<ymax>20", "<ymax>7")), "is one pixel wide or high"
    ),
    "another size than the image": BadObjects(
        write_voc, text(VOC, ("<width>80", "<width>160"), ("<height>48", "<height>96")), "for an image of 96 x 160"
    ),
    "height and width exchanged": BadObjects(
        write_voc, text(VOC, ("<width>80", "<width>48"), ("<height>48", "<height>80")), "EXIF"
    ),
    "an image without annotation": BadObjects(
        write_voc, lambda root: (root / VOC).unlink(), "has no annotation and is left out"
    ),
    "an annotation without image": BadObjects(
        write_voc, lambda root: (root / "JPEGImages" / "0.png").unlink(), "its image is not there"
    ),
    "an empty annotation file": BadObjects(write_voc, lambda root: (root / VOC).write_text(""), "is empty"),
    "no object in an image": BadObjects(
        write_voc, lambda root: (root / VOC).write_text("<annotation></annotation>"), "it has no object"
    ),
    "XML with entities": BadObjects(
        write_voc, text(VOC, ("<annotation>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>')), "declares a document type"
    ),
    "damaged XML": BadObjects(write_voc, text(VOC, ("</annotation>", "")), "is no valid XML"),
    "an object without a name": BadObjects(write_voc, text(VOC, ("<name>cell</name>", "")), "has no name"),
    "a box of words": BadObjects(write_voc, text(VOC, ("<xmin>9", "<xmin>left")), "has no box of four numbers"),
    "an object twice": BadObjects(
        write_coco, coco(lambda c: c["annotations"].append(c["annotations"][0] | {"id": 99})), "is there twice"
    ),
    "classes that differ in case alone": BadObjects(write_voc, text(VOC, (">cell<", ">Cell<")), "differ in case or"),
    "a class never seen in train": BadObjects(
        write_coco, coco(lambda c: c["categories"].append({"id": 9, "name": "virus"})), "no object of the class 'virus'"
    ),
    "an unknown class number": BadObjects(
        write_yolo, text("labels/0.txt", ("0 0.", "7 0.")), "has the class 7, but data.yaml names 2"
    ),
    "an unknown category": BadObjects(write_coco, first(category_id=77), "which is not in `categories`"),
    "an id of images twice": BadObjects(
        write_coco, coco(lambda c: c["images"][1].update(id=0)), "occur more than once: 0"
    ),
    "an image listed twice": BadObjects(
        write_coco, coco(lambda c: c["images"][1].update(file_name="0.png")), "the image 0.png is twice in it"
    ),
    "an annotation of no image": BadObjects(write_coco, first(image_id=77), "the image is not in its list"),
    "a name that leaves the folder": BadObjects(
        write_coco, coco(lambda c: c["images"][0].update(file_name="../../../etc/passwd")), "is not there"
    ),
    "a polygon of two points": BadObjects(write_coco, first(segmentation=[[1, 2, 3, 4]]), "a polygon of 2 points"),
    "run lengths of a wrong sum": BadObjects(
        write_coco, first(segmentation={"size": [*SIZE], "counts": [9, 9]}), "add up to 18, but 48 x 80 pixels are 3840"
    ),
    "run lengths of another size": BadObjects(
        write_coco, first(segmentation={"size": [40, 80], "counts": [100, 3100]}), "its mask is 40 x 80", "instances"
    ),
    "crowds alone": BadObjects(write_coco, coco(crowds), "all of its 3 objects count for nothing"),
    "a box that is not that of its polygon": BadObjects(write_coco, first(bbox=[50, 30, 9, 9]), "not that of its"),
    "objects that overlap": BadObjects(write_coco, coco(cover), "lies partly under others", "instances"),
    "an object under others": BadObjects(
        write_coco, first(segmentation=[[41, 25, 49, 25, 49, 39, 41, 39]], bbox=[41, 25, 8, 14], id=0),
        "lies partly under others", "instances",
    ),
    "objects without outline": BadObjects(write_coco, first(segmentation=[]), "has no outline", "instances"),
    "boxes for instances": BadObjects(write_voc, lambda root: None, 'task = "instances" needs outlines', "instances"),
    "one number for several pieces": BadObjects(write_masks, split_mask, "several pieces", "instances"),
    "damaged JSON": BadObjects(write_coco, text(COCO, ("]}", "]")), "is no valid JSON"),
    "a confidence in the line": BadObjects(write_yolo, text("labels/0.txt", ("\n", " 0.9\n")), "has six numbers"),
    "words in a table": BadObjects(write_csv, text("boxes.csv", ("0.png,8,", "0.png,left,")), "are not numbers"),
}  # fmt: skip


def report_of(bad: BadObjects) -> tuple[str, list[str]]:
    """Spoil a healthy data set and check it: return "accepted" or "refused", and the lines of the report."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "data"
        bad.write(root)
        bad.spoil(root)
        description = Description(task=bad.task)
        try:
            report = check_layout(root, description, find_layout(root, description))
        except UserError as error:
            return "refused", [str(error).replace(scratch + "/", "")]
    lines = [fault.line().replace(scratch + "/", "") for fault in report.faults]
    return ("accepted" if report.ok else "refused"), lines


def main() -> None:
    known = 0
    for name, bad in BAD.items():
        verdict, lines = report_of(bad)
        known += any(bad.says in line for line in lines)
        print(f"\n{name}: {verdict}")
        for line in lines or ["(nothing is reported)"]:
            print(f"  {line}")
    print(json.dumps({"bad": len(BAD), "reported": known}))


if __name__ == "__main__":
    main()
