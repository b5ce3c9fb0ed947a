"""Found objects as GeoJSON in pixels, which QuPath and other viewers of images read: outlines, boxes or points."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from atrous.data.object_files.found import FoundObjects
from atrous.data.object_files.outlines import rings
from atrous.files import write_text


def features(found: FoundObjects, classes: Sequence[str], size: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Return objects of an image as features of GeoJSON; x counts columns and y rows, from the corner of the image.

    Outlines follow the borders of the pixels; an object in several pieces is a `MultiPolygon`, and a piece has its
    holes. Each feature has the number, the class and the score of its object; `objectType` and `classification` are
    the names that QuPath reads. Objects without a pixel on the grid of the file are left out.

    Args:
        found: the objects of an image.
        classes: names.
        size: height and width of the image, where objects were found at another resolution (in a level of a slide).

    >>> found = FoundObjects((4, 4), np.zeros(1, int), np.ones(1, np.float32), points=np.array([[1.5, 2.5]]))
    >>> features(found, ["cell"])[0]["geometry"]
    {'type': 'Point', 'coordinates': [2.5, 1.5]}
    """
    collected = []
    rectangles = found.rectangles()
    step = None if size is None else np.divide(size, found.size)[::-1]  # pixels of the image, along x and y
    for place, window in enumerate(found.windows()):
        kind = int(found.classes[place])
        name = classes[kind] if kind < len(classes) else str(kind)
        if found.points is not None:
            geometry = {"type": "Point", "coordinates": _scaled(found.points[place, ::-1], step)}
        elif rectangles is not None:
            ring = _scaled(rectangles[place, :, ::-1], step)
            geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        elif window is not None and found.numbers is not None:
            geometry = _polygons(found.numbers[window] == place + 1, (window[0].start, window[1].start), step)
        else:
            continue
        about = {"number": place + 1, "class": name, "score": round(float(found.scores[place]), 6)}
        shown = {"objectType": "detection", "classification": {"name": name}}
        collected.append({"type": "Feature", "geometry": geometry, "properties": {**about, **shown}})
    return collected


def _scaled(places: np.ndarray, step: np.ndarray | None) -> list[Any]:
    """x and y, or rows of both, in pixels of the image."""
    return places.tolist() if step is None else (places * step).tolist()


def _polygons(mask: np.ndarray, corner: tuple[int, int], step: np.ndarray | None) -> dict[str, Any]:
    """The outline of a mask `(h, w)` whose first pixel is at `corner` of the grid of the objects."""
    from scipy import ndimage

    pieces, count = cast("tuple[np.ndarray, int]", ndimage.label(mask))  # pixels that touch at corners are apart
    polygons = []
    for number in range(1, count + 1):
        # The ring that begins first goes around the piece, the others go around its holes.
        turned = [_scaled((ring + corner)[:, ::-1], step) for ring in rings(pieces == number)]
        polygons.append([[*ring, ring[0]] for ring in turned])
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def write_geojson(path: Path, found: FoundObjects, classes: Sequence[str], size: Sequence[int] | None = None) -> None:
    """Write objects of an image as a `FeatureCollection`; see `features`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"type": "FeatureCollection", "features": features(found, classes, size)}))
