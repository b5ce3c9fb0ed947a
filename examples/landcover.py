"""Map the water in a scene: python examples/landcover.py SCENE OUT GREEN NIR.

GREEN and NIR are the numbers of these bands, counted from 1. A pixel is water if the normalized difference water index
(green - nir) / (green + nir) is positive (S. K. McFeeters, 1996, doi.org/10.1080/01431169608948714).
"""

import sys
from pathlib import Path

import numpy as np

from atrous.data.formats import open_labels, open_source, open_valid, read_header

ROWS = 512
CLASSES = ("land", "water")


def main(scene: Path, out: Path, green: int, near_infrared: int) -> None:
    """Read, label and write the scene strip by strip, so that it may be larger than memory."""
    source, valid, header = open_source(scene), open_valid(scene), read_header(scene)
    sink = open_labels(out, header.size, on_disk=True)
    counts = np.zeros(256, int)
    for start in range(0, header.size[0], ROWS):
        rows = slice(start, start + ROWS)
        a, b = (source[band - 1, rows].astype(np.float32) for band in (green, near_infrared))
        labels = (a > b).astype(np.uint8)  # the same as (a - b) / (a + b) > 0
        if valid is not None:
            labels[~valid[rows]] = 255
        counts += np.bincount(labels.reshape(-1), minlength=256)
        sink.array[rows] = labels
    sink.finish(like=scene, classes=CLASSES, palette=((200, 180, 120), (30, 90, 200)), void=255)
    area = float(np.prod(header.spacing)) / 1e4 if header.spacing and header.unit == "m" else None
    for name, count in zip(CLASSES, counts, strict=False):
        print(f"{name}: {count} pixels" if area is None else f"{name}: {count * area:.1f} ha")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
