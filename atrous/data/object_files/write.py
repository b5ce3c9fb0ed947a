"""Found objects as files: COCO's results and a COCO file of several images, ROIs of ImageJ, DOTA, and Parquet."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import Library
from atrous.data.object_files.found import FoundObjects, Window
from atrous.data.object_files.outlines import outline
from atrous.data.object_files.runs import compress
from atrous.files import replacing, write_text
from atrous.objects.rotated import boxes_of

roifile: Any = Library("roifile", 'ROIs of ImageJ need roifile: pip install "atrous[imagej]"')
pyarrow: Any = Library("pyarrow", 'Parquet files need pyarrow: pip install "atrous[parquet]"')
parquet: Any = Library("pyarrow.parquet", 'Parquet files need pyarrow: pip install "atrous[parquet]"')


def coco_results(found: FoundObjects, image: str) -> list[dict[str, Any]]:
    """Return objects of an image as COCO's results: box, score, category and, of numbered objects, run lengths.

    Numbered objects that lost their last pixel when they were brought to the grid of the file are left out. A point is
    a box without an extent; the key points of one object are one result. A rotated box is the upright box around it,
    with its corners as a polygon.

    Args:
        found: the objects.
        image: the name of the image, which stands for its id.
    """
    if found.parts:
        return _key_points(found, image)
    results = []
    for place, window in enumerate(found.windows()):
        kind, score = int(found.classes[place]) + 1, round(float(found.scores[place]), 6)
        record: dict[str, Any] = {"image_id": image, "category_id": kind, "score": score}
        if found.points is not None:
            row, column = found.points[place].tolist()
            record["bbox"] = [round(column, 4), round(row, 4), 0, 0]
        elif found.boxes is not None:
            top, left, bottom, right = found.boxes[place].tolist()
            record["bbox"] = [round(value, 4) for value in (left, top, right - left, bottom - top)]
            if found.polygons is not None:
                record["segmentation"] = [found.polygons[place, :, ::-1].round(4).ravel().tolist()]
                record["area"] = round(float(boxes_of(found.polygons[place])[0, 2:4].prod()), 4)
        elif window is not None and found.numbers is not None:
            rows, columns = window
            record["bbox"] = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
            mask = found.numbers[window] == place + 1
            record["area"] = int(np.count_nonzero(mask))
            counts = compress(_runs(mask, window, found.size))
            record["segmentation"] = {"size": list(found.size), "counts": counts}
        else:
            continue  # without a pixel on the grid of the file it has no place
        results.append(record)
    return results


def _key_points(found: FoundObjects, image: str) -> list[dict[str, Any]]:
    """The key points of one object, x, y and visibility in the order of their names; 0 for one that was not found."""
    if found.points is None or not len(found.points):
        return []
    triples = np.zeros((found.parts, 3))
    triples[found.classes] = np.column_stack([found.points[:, ::-1], np.full(len(found.points), 2)])
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    box = [*low[::-1].tolist(), *(high - low)[::-1].tolist()]
    return [
        {
            "image_id": image,
            "category_id": 1,
            "score": round(float(found.scores.mean()), 6),
            "bbox": [round(value, 4) for value in box],
            "keypoints": triples.round(4).reshape(-1).tolist(),
            "num_keypoints": len(found.points),
        }
    ]


def _runs(mask: np.ndarray, window: Window, size: Sequence[int]) -> list[int]:
    """Run lengths of an image of this size that shows a mask in a window, down its columns."""
    columns, rows = np.nonzero(mask.T)
    flat = (columns + window[1].start) * size[0] + rows + window[0].start
    breaks = np.flatnonzero(np.diff(flat) > 1)
    starts = flat[np.concatenate([[0], breaks + 1])]
    stops = flat[np.concatenate([breaks, [len(flat) - 1]])] + 1
    ends = np.stack([starts, stops], axis=1).reshape(-1)
    return [*np.diff(ends, prepend=0).tolist(), int(size[0] * size[1] - ends[-1])]


def write_results(path: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """Write COCO's results as a JSON list."""
    write_text(path, json.dumps(results))


def merge_results(
    path: Path, files: Mapping[str, Path], sizes: Mapping[str, Sequence[int]], classes: Sequence[str]
) -> None:
    """Write one COCO file of the results of several images.

    Args:
        path: the file.
        files: the results of each image, by its name.
        sizes: height and width of each image.
        classes: names.
    """
    images, annotations = [], []
    for number, (name, file) in enumerate(files.items(), 1):
        height, width = sizes[name]
        images.append({"id": number, "file_name": name, "height": int(height), "width": int(width)})
        for record in json.loads(file.read_text(encoding="utf-8")):
            about = {"id": len(annotations) + 1, "image_id": number, "iscrowd": 0}
            area = record["bbox"][2] * record["bbox"][3]
            annotations.append({**record, **about, "area": record.get("area", area)})
    categories: list[dict[str, Any]] = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    if any("keypoints" in record for record in annotations):
        categories = [{"id": 1, "name": "object", "keypoints": list(classes), "skeleton": []}]
    content = {"info": {"description": "objects found by atrous"}, "images": images, "categories": categories}
    write_text(path, json.dumps({**content, "annotations": annotations}))


def write_rois(path: Path, found: FoundObjects, classes: Sequence[str]) -> None:
    """Write objects as a zip file of ROIs for ImageJ's ROI Manager: their outlines, boxes or points.

    Outlines follow the borders of the pixels. Objects of volumes have a ROI in each slice. A ROI is named by the number
    of its object, and its group is the class.

    Raises:
        UserError: roifile is not installed.
    """
    rois, rectangles = [], found.rectangles()
    for place, window in enumerate(found.windows()):
        name, kind = f"{place + 1:05d}", int(found.classes[place])
        about = f"class: {classes[kind] if kind < len(classes) else kind}\nscore: {float(found.scores[place]):.4f}\n"
        if found.points is not None:
            rois.append(_roi(found.points[place : place + 1], name, kind, about, point=True))
        elif rectangles is not None:
            rois.append(_roi(rectangles[place], name, kind, about))
        elif window is not None and found.numbers is not None:
            mask = found.numbers[window] == place + 1
            corner = [part.start for part in window]
            for number, plane in enumerate(mask if mask.ndim == 3 else mask[None]):
                points = outline(plane) + corner[-2:]
                if len(points):
                    z = corner[0] + number if mask.ndim == 3 else None
                    rois.append(_roi(points, name if z is None else f"{name}-{z + 1:04d}", kind, about, z))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.unlink(missing_ok=True)
        roifile.roiwrite(beside, rois)


def _roi(points: np.ndarray, name: str, kind: int, about: str, z: int | None = None, *, point: bool = False) -> Any:
    roi = roifile.ImagejRoi.frompoints(points[:, ::-1], name=name, position=z)
    roi.roitype = roifile.ROI_TYPE.POINT if point else roifile.ROI_TYPE.POLYGON
    roi.group, roi.props = min(kind + 1, 255), about
    return roi


def write_dota(path: Path, found: FoundObjects, classes: Sequence[str]) -> None:
    """Write the boxes of an image as annotations of DOTA: `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`.

    The format has no place for scores, nor for blanks in the names of classes, which become hyphens.
    """
    rectangles, lines = found.rectangles(), []
    assert rectangles is not None
    for ring, kind in zip(rectangles, found.classes.tolist(), strict=True):
        name = "-".join(classes[int(kind)].split()) if kind < len(classes) else str(kind)
        lines.append(f"{' '.join(f'{value:.2f}' for value in ring[:, ::-1].ravel())} {name} 0\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(lines))


def write_parquet(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write a table as Parquet.

    Raises:
        UserError: pyarrow is not installed.
    """
    table = pyarrow.table({name: np.asarray(values) for name, values in columns.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        parquet.write_table(table, beside)
