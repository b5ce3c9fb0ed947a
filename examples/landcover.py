"""Learn land cover from labelled maps, and measure it in a scene: python examples/landcover.py MAPS SCENE OUT.

MAPS is a folder with images/*.tif and masks/*.tif (docs/maps.md), SCENE a GeoTIFF with the same bands, of any size, and
OUT a folder for the run and the labels. The labels have the projection and the pixels of the scene.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import atrous
from atrous.data.formats import read_header, read_label
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions

VOID = 255


def main(maps: Path, scene: Path, out: Path, epochs: float = 40, settings: Sequence[str] = ()) -> dict[str, float]:
    """Train a network, label the scene in at most 1 GB of memory, and print hectares (or pixels) per class."""
    trained = atrous.train(maps, out=out / "run", epochs=epochs, settings=settings)
    print(f"mean IoU on maps that were held out: {trained.scores.miou:.3f}")

    done = predict(trained.run, [scene], out / "labels", PredictOptions(memory="1GB"), tell=print)
    if done.failed:
        raise SystemExit(done.failed[0][1])

    header = read_header(scene)
    counts = np.bincount(read_label(done.written[0]).reshape(-1), minlength=256)
    metric = header.spacing is not None and header.unit == "m"
    area, unit = (float(np.prod(header.spacing)) / 1e4, "ha") if metric else (1.0, "pixels")
    found = {name: float(counts[number] * area) for number, name in enumerate(trained.scores.classes)}
    for name, size in found.items():
        print(f"{name}: {size:.1f} {unit}")
    print(f"without data: {counts[VOID]} pixels; labels: {done.written[0]}")
    return found


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
