"""One small data set of objects, written in every format of annotations."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (40, 60)
CLASSES = ("cell", "nucleus")
OBJECTS = (
    ("cell", (4, 6, 20, 18)),
    ("nucleus", (10, 30, 15, 36)),
    ("cell", (22, 40, 38, 58)),
)
"""Class, then top, left, bottom and right of each object; whole pixels, so that every format can hold them."""
COUNT = 5
"""Images; each is moved by its number along x."""


def moved(number: int) -> list[tuple[str, tuple[int, int, int, int]]]:
    """The objects of one image."""
    return [
        (name, (top, left + number % 2, bottom, right + number % 2)) for name, (top, left, bottom, right) in OBJECTS
    ]


def picture(number: int) -> np.ndarray:
    pixels = np.random.default_rng(number).integers(0, 60, SIZE, dtype=np.uint8)
    for name, (top, left, bottom, right) in moved(number):
        pixels[top:bottom, left:right] += 100 if name == "cell" else 180
    return pixels


def write_images(folder: Path, suffix: str = ".png") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}{suffix}" for number in range(COUNT)]
    for number, path in enumerate(paths):
        Image.fromarray(picture(number)).save(path)
    return paths


def corners(box: tuple[int, int, int, int]) -> list[float]:
    """x, y in turn of the corners of a box."""
    top, left, bottom, right = box
    return [left, top, right, top, right, bottom, left, bottom]


def voc_text(number: int, objects=None) -> str:
    lines = [
        f"<annotation><filename>{number}.png</filename>"
        f"<size><width>{SIZE[1]}</width><height>{SIZE[0]}</height><depth>1</depth></size>"
    ]
    for name, (top, left, bottom, right) in moved(number) if objects is None else objects:
        box = f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
        lines.append(f"<object><name>{name}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>")
    return "\n".join([*lines, "</annotation>"])


def write_voc(root: Path) -> Path:
    for path in write_images(root / "JPEGImages"):
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{path.stem}.xml").write_text(voc_text(int(path.stem)))
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("0\n1\n2\n")
    (root / "ImageSets" / "Main" / "val.txt").write_text("3\n4\n")
    return root


def coco(numbers=range(COUNT), outlines: str = "polygons", folder: str = "") -> dict:
    """The content of a COCO file; ids of categories have gaps."""
    content = {
        "categories": [{"id": 3 + 4 * place, "name": name} for place, name in enumerate(CLASSES)],
        "images": [],
        "annotations": [],
    }
    for number in numbers:
        name = f"{folder}{number}.png"
        content["images"].append({"id": 100 + number, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        for name, box in moved(number):
            top, left, bottom, right = box
            record = {
                "id": len(content["annotations"]) + 1,
                "image_id": 100 + number,
                "iscrowd": 0,
                "category_id": 3 + 4 * CLASSES.index(name),
                "bbox": [left, top, right - left, bottom - top],
                "area": (bottom - top) * (right - left),
            }
            if outlines == "polygons":
                record["segmentation"] = [corners(box)]
            elif outlines == "runs":
                before = left * SIZE[0] + top
                runs = [before, bottom - top, *([SIZE[0] - bottom + top, bottom - top] * (right - left - 1))]
                runs.append(SIZE[0] * SIZE[1] - sum(runs))
                record["segmentation"] = {"size": list(SIZE), "counts": runs}
            content["annotations"].append(record)
    return content


def write_coco(root: Path, outlines: str = "polygons") -> Path:
    write_images(root / "images")
    (root / "annotations").mkdir()
    for split, numbers in (("train2017", range(3)), ("val2017", range(3, COUNT))):
        text = json.dumps(coco(numbers, outlines))
        (root / "annotations" / f"instances_{split}.json").write_text(text)
    return root


def write_roboflow(root: Path) -> Path:
    for split, numbers in (("train", range(3)), ("valid", range(3, COUNT))):
        for path in write_images(root / split):
            if int(path.stem) not in numbers:
                path.unlink()
        content = coco(numbers)
        content["categories"].insert(0, {"id": 0, "name": "things", "supercategory": "none"})
        for category in content["categories"][1:]:
            category["supercategory"] = "things"
        (root / split / "_annotations.coco.json").write_text(json.dumps(content))
    return root


def yolo_line(name: str, box: tuple[int, int, int, int], outline: bool) -> str:
    top, left, bottom, right = box
    scale = np.array([SIZE[1], SIZE[0]])
    values = [
        (left + right) / 2 / SIZE[1],
        (top + bottom) / 2 / SIZE[0],
        (right - left) / SIZE[1],
        (bottom - top) / SIZE[0],
    ]
    if outline:
        values = (np.array(corners(box)).reshape(-1, 2) / scale).reshape(-1).tolist()
    return " ".join([str(CLASSES.index(name)), *(f"{value:.12g}" for value in values)])


def write_yolo(root: Path, outline: bool = False) -> Path:
    for path in write_images(root / "images"):
        split = "train" if int(path.stem) < 3 else "val"
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        path.rename(root / "images" / split / path.name)
        lines = [yolo_line(name, box, outline) for name, box in moved(int(path.stem))]
        (root / "labels" / split / f"{path.stem}.txt").write_text("\n".join(lines) + "\n")
    names = "".join(f"  {place}: {name}\n" for place, name in enumerate(CLASSES))
    (root / "data.yaml").write_text(f"path: ../somewhere\ntrain: images/train\nval: images/val\nnames:\n{names}")
    return root


def labelme(number: int, kind: str = "polygon") -> dict:
    shapes = []
    for name, box in moved(number):
        points = np.array(corners(box), float).reshape(-1, 2)
        points = points if kind == "polygon" else points[[0, 2]] if kind == "rectangle" else points.mean(0)[None]
        shapes.append({"label": name, "points": points.tolist(), "shape_type": kind, "group_id": None})
    return {
        "version": "5", "shapes": shapes, "imagePath": f"..\\elsewhere\\{number}.png", "imageData": None,
        "imageHeight": SIZE[0], "imageWidth": SIZE[1],
    }  # fmt: skip


def write_labelme(root: Path, kind: str = "polygon") -> Path:
    for path in write_images(root):
        path.with_suffix(".json").write_text(json.dumps(labelme(int(path.stem), kind)))
    return root


def write_csv(root: Path, kind: str = "corners") -> Path:
    lines = {
        "corners": ["filename,width,height,class,xmin,ymin,xmax,ymax"], "bare": [],
        "points": ["filename;x;y;class"], "bbox": ["image_id,bbox,class"],
    }[kind]  # fmt: skip
    for path in write_images(root / "images"):
        for name, (top, left, bottom, right) in moved(int(path.stem)):
            lines.append(
                {
                    "corners": f"{path.name},{SIZE[1]},{SIZE[0]},{name},{left},{top},{right},{bottom}",
                    "bare": f"images/{path.name},{left},{top},{right},{bottom},{name}",
                    "points": f"{path.name};{(left + right) / 2};{(top + bottom) / 2};{name}",
                    "bbox": f'{path.stem},"[{left}, {top}, {right - left}, {bottom - top}]",{name}',
                }[kind]
            )
    (root / "objects.csv").write_text("\n".join(lines) + "\n")
    return root


FORMATS = {
    "voc": write_voc,
    "coco": write_coco,
    "coco runs": lambda root: write_coco(root, "runs"),
    "roboflow": write_roboflow,
    "yolo": write_yolo,
    "yolo outlines": lambda root: write_yolo(root, True),
    "labelme": write_labelme,
    "labelme rectangles": lambda root: write_labelme(root, "rectangle"),
    "csv": write_csv,
    "csv without header": lambda root: write_csv(root, "bare"),
    "csv bbox": lambda root: write_csv(root, "bbox"),
}
OUTLINED = ("coco", "coco runs", "roboflow", "yolo outlines", "labelme")
POINTS = {
    "labelme points": lambda root: write_labelme(root, "point"),
    "csv points": lambda root: write_csv(root, "points"),
}
