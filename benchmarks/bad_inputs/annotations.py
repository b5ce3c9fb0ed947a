"""Mistakes in annotation files of objects: Pascal VOC, COCO, YOLO and tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import Spoil, spoiled

SIZE = (48, 80)
CLASSES = ("cell", "nucleus")
COUNT = 6
BOXES = ((6, 8, 20, 30), (24, 40, 40, 50), (8, 60, 12, 66))
"""Top, left, bottom and right of the objects of every image; the first one is a cell, the others are nuclei."""


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


def enlarged(fields: list[str]) -> list[str]:
    """A row whose coordinates are those of an image three times as large."""
    name, *box, kind = fields
    return [name, *(str(3 * int(side)) for side in box), kind]


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


def bad(row: str, write: Spoil, change: Spoil, level: str, says: str, task: str = "detection") -> Mistake:
    """Return the mistake that `change` makes in what `write` writes; see `Mistake` for the rest."""
    return Mistake(row, spoiled(change, write), level, (says,), task)


def lists(root: Path) -> None:
    """Name one image in the lists of two splits."""
    folder = root / "ImageSets" / "Main"
    folder.mkdir(parents=True)
    for split, names in (("train", "0123"), ("val", "34"), ("test", "5")):
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")


VOC, COCO, YOLO = "Annotations/0.xml", "coco.json", "labels/0.txt"
MISREAD = "Objects: x and y are exchanged"
SIZES = "An annotation is for an image of another size"
DAMAGED = "An annotation file is empty, damaged"
IMAGE = "The image of an annotation is not there"
NAMELESS = "An object has no class name"
IDS = "COCO: ids occur twice"
OUTLINE = "A polygon has fewer than three points"
LINE = "YOLO: a line has a wrong count of numbers"
SPLIT = "YOLO: a folder that `data.yaml` names as a split"
EMPTY = "An object has no width or height"
ODD = "An object reaches out of the image"
HIDDEN = "An object lies partly under others"
BARE = "An object has no outline"
ALONE = "An image of a folder of annotations has none"

MISTAKES = (
    bad(MISREAD, write_coco, coco(exchange), "error", "x and y are exchanged"),
    bad(MISREAD, write_coco, coco(as_corners), "error", "boxes are two corners"),
    bad(MISREAD, write_csv, rows(sizes), "error", "boxes are x, y, width"),
    bad(MISREAD, write_csv, rows(fractions), "error", "lie between 0 and 1"),
    bad(MISREAD, write_yolo, yolo_pixels, "error", "coordinates are in pixels"),
    bad(MISREAD, write_csv, rows(enlarged), "error", "do not fit their images, and in no other way that is known"),
    bad(
        SIZES, write_voc, text(VOC, ("<width>80", "<width>160"), ("<height>48", "<height>96")), "error",
        "for an image of 96 x 160",
    ),
    bad(
        SIZES, write_voc, text(VOC, ("<width>80", "<width>48"), ("<height>48", "<height>80")), "error",
        "exchanged sides come from EXIF",
    ),
    bad(DAMAGED, write_voc, lambda root: (root / VOC).write_text(""), "error", "is empty"),
    bad(DAMAGED, write_voc, text(VOC, ("</annotation>", "")), "error", "is no valid XML"),
    bad(
        DAMAGED, write_voc, text(VOC, ("<annotation>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>')), "error",
        "declares a document type",
    ),
    bad(DAMAGED, write_coco, text(COCO, ("]}", "]")), "refused", "is no valid JSON"),
    bad(IMAGE, write_voc, lambda root: (root / "JPEGImages/0.png").unlink(), "error", "its image is not there"),
    bad(
        IMAGE, write_coco, coco(lambda c: c["images"][0].update(file_name="../../../etc/passwd")), "error",
        "is not there",
    ),
    bad(
        IMAGE, write_coco, coco(lambda c: c["images"][1].update(file_name="0.png")), "error",
        "the image 0.png is twice in it",
    ),
    bad(NAMELESS, write_voc, text(VOC, ("<name>cell</name>", "")), "error", "has no name"),
    bad(NAMELESS, write_voc, text(VOC, ("<xmin>9", "<xmin>left")), "error", "has no box of four numbers"),
    bad(NAMELESS, write_csv, text("boxes.csv", ("0.png,8,", "0.png,left,")), "error", "are not numbers"),
    bad(IDS, write_coco, first(category_id=77), "error", "which is not in `categories`"),
    bad(IDS, write_coco, coco(lambda c: c["images"][1].update(id=0)), "error", "occur more than once: 0"),
    bad(IDS, write_coco, first(image_id=77), "error", "the image is not in its list"),
    bad(OUTLINE, write_coco, first(segmentation=[[1, 2, 3, 4]]), "error", "a polygon of 2 points"),
    bad(
        OUTLINE, write_coco, first(segmentation={"size": [*SIZE], "counts": [9, 9]}), "error",
        "add up to 18, but 48 x 80 pixels are 3840",
    ),
    bad(
        OUTLINE, write_coco, first(segmentation={"size": [40, 80], "counts": [100, 3100]}), "error",
        "its mask is 40 x 80", "instances",
    ),
    bad(LINE, write_yolo, text(YOLO, ("\n", " 0.9\n")), "error", "has six numbers"),
    bad(LINE, write_yolo, text(YOLO, ("0 0.", "7 0.")), "error", "has the class 7, but data.yaml names 2"),
    bad(
        SPLIT, write_yolo, text("data.yaml", ("names", "train: images\nval: images/held_out\nnames")), "warning",
        "'images/held_out' of `val` is not there",
    ),
    bad(
        SPLIT, write_yolo, text("data.yaml", ("names", "train: images\nval: /\nnames")), "warning",
        "lies outside of the data set and is not read",
    ),
    bad(
        SPLIT, write_yolo, text("data.yaml", ("names", "train: images\nval: images\nnames")), "warning",
        "`val` names the images of `train` again",
    ),
    bad("An image is in two lists of splits", write_voc, lists, "error", "the lists of train and val both name 3"),
    bad(
        "where annotations are boxes", write_voc, lambda root: None, "refused", 'task = "instances" needs outlines',
        "instances",
    ),
    bad(EMPTY, write_voc, text(VOC, ("<xmin>9", "<xmin>31")), "warning", "has no width or height"),
    bad(EMPTY, write_voc, text(VOC, ("<xmax>30", "<xmax>3")), "warning", "has no width or height"),
    bad(
        EMPTY, write_voc, text(VOC, ("<xmin>9", "<xmin>90"), ("<xmax>30", "<xmax>99")), "warning",
        "center outside of the image",
    ),
    bad(
        EMPTY, write_coco, coco(lambda c: c["categories"].append({"id": 9, "name": "virus"})), "warning",
        "no object of the class 'virus'",
    ),
    bad(ODD, write_voc, text(VOC, ("<xmax>66", "<xmax>88")), "warning", "reaches out of the image"),
    bad(ODD, write_voc, text(VOC, ("<xmax>30", "<xmax>9"), ("<ymax>20", "<ymax>7")), "warning", "is one pixel wide"),
    bad(
        ODD, write_coco, coco(lambda c: c["annotations"].append(c["annotations"][0] | {"id": 99})), "warning",
        "is there twice",
    ),
    bad(ODD, write_coco, first(bbox=[50, 30, 9, 9]), "warning", "has a box that is not that of its outline"),
    bad(HIDDEN, write_coco, coco(cover), "warning", "lies partly under others", "instances"),
    bad(
        HIDDEN, write_coco, first(segmentation=[[41, 25, 49, 25, 49, 39, 41, 39]], bbox=[41, 25, 8, 14], id=0),
        "warning", "lies partly under others", "instances",
    ),
    bad(BARE, write_coco, first(segmentation=[]), "warning", "has no outline", "instances"),
    bad(BARE, write_coco, coco(crowds), "warning", "all of its 3 objects count for nothing"),
    bad("One number stands for several pieces", write_masks, split_mask, "warning", "several pieces", "instances"),
    bad(ALONE, write_voc, lambda root: (root / VOC).unlink(), "warning", "has no annotation and is left out"),
    bad(
        "has no object, where objects", write_voc, lambda root: (root / VOC).write_text("<annotation></annotation>"),
        "warning", "it has no object",
    ),
    bad(
        "Two classes differ by capital letters", write_voc, text(VOC, (">cell<", ">Cell<")), "warning",
        'the classes "Cell" and "cell" differ by capital letters or spaces alone',
    ),
)  # fmt: skip
