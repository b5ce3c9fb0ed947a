"""Found objects as files: COCO's results and a COCO file of several images, ROIs of ImageJ, and Parquet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from atrous.data.formats.base import Library
from atrous.data.object_files.outlines import outline
from atrous.data.object_files.runs import compress
from atrous.files import replacing, write_text

roifile: Any = Library("roifile", 'ROIs of ImageJ need roifile: pip install "atrous[imagej]"')
pyarrow: Any = Library("pyarrow", 'Parquet files need pyarrow: pip install "atrous[parquet]"')
parquet: Any = Library("pyarrow.parquet", 'Parquet files need pyarrow: pip install "atrous[parquet]"')

Window = tuple[slice, ...]


@dataclass(frozen=True)
class FoundObjects:
    """The objects of one input, in the order of their numbers.

    Attributes:
        size: of the input's grid, `S`.
        classes: `(n,)` int64.
        scores: `(n,)` float32.
        numbers: `(*S)`, the number of the object at each position from 1 on; None where objects are boxes alone.
        boxes: `(n, 2 * ndim)`, where each starts along every axis, then where it stops; None where numbers say it.
    """

    size: tuple[int, ...]
    classes: np.ndarray
    scores: np.ndarray
    numbers: np.ndarray | None = None
    boxes: np.ndarray | None = None

    def windows(self) -> list[Window | None]:
        """Return the box of each object as a window of the numbers; None for an object without a position."""
        if self.numbers is None:
            return [None] * len(self.classes)
        return list(ndimage.find_objects(self.numbers.astype(np.int32), len(self.classes)))


def coco_results(found: FoundObjects, image: str) -> list[dict[str, Any]]:
    """Return objects of an image as COCO's results: box, score, category and, of numbered objects, run lengths.

    Numbered objects that lost their last pixel when they were brought to the grid of the file are left out.

    Args:
        found: the objects.
        image: the name of the image, which stands for its id.
    """
    results = []
    for place, window in enumerate(found.windows()):
        kind, score = int(found.classes[place]) + 1, round(float(found.scores[place]), 6)
        record: dict[str, Any] = {"image_id": image, "category_id": kind, "score": score}
        if found.boxes is not None:
            top, left, bottom, right = found.boxes[place].tolist()
            record["bbox"] = [round(value, 4) for value in (left, top, right - left, bottom - top)]
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
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    content = {"info": {"description": "objects found by atrous"}, "images": images, "categories": categories}
    write_text(path, json.dumps({**content, "annotations": annotations}))


def write_rois(path: Path, found: FoundObjects, classes: Sequence[str]) -> None:
    """Write objects as a zip file of ROIs for ImageJ's ROI Manager: their outlines, or their boxes.

    Outlines follow the borders of the pixels. Objects of volumes have a ROI in each slice. A ROI is named by the number
    of its object, and its group is the class.

    Raises:
        UserError: roifile is not installed.
    """
    rois = []
    for place, window in enumerate(found.windows()):
        name, kind = f"{place + 1:05d}", int(found.classes[place])
        about = f"class: {classes[kind] if kind < len(classes) else kind}\nscore: {float(found.scores[place]):.4f}\n"
        if found.boxes is not None:
            top, left, bottom, right = found.boxes[place].tolist()
            rois.append(_roi(np.array([[top, left], [top, right], [bottom, right], [bottom, left]]), name, kind, about))
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


def _roi(points: np.ndarray, name: str, kind: int, about: str, z: int | None = None) -> Any:
    roi = roifile.ImagejRoi.frompoints(points[:, ::-1], name=name, position=z)
    roi.roitype = roifile.ROI_TYPE.POLYGON
    roi.group, roi.props = min(kind + 1, 255), about
    return roi


def write_parquet(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write a table as Parquet.

    Raises:
        UserError: pyarrow is not installed.
    """
    table = pyarrow.table({name: np.asarray(values) for name, values in columns.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        parquet.write_table(table, beside)
