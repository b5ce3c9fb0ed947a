"""Learn to segment scans, and measure the structures of a new one: python examples/volumes.py CASES SCAN OUT.

CASES is a folder of labelled scans (nnU-Net's, or images/ and labels/; docs/medical.md), SCAN a NIfTI file, and OUT a
folder for the run and the labels. The labels get the affine of the scan, so that viewers show both at the same place.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import atrous
from atrous.data.formats import read_header, read_label
from atrous.verbs.predict import predict


def main(cases: Path, scan: Path, out: Path, epochs: float = 40, settings: Sequence[str] = ()) -> dict[str, float]:
    """Train a 3-D U-Net, label the scan, and print the volume of each structure in milliliters (or in voxels)."""
    trained = atrous.train(cases, out=out / "run", epochs=epochs, settings=settings)
    print(f"Dice of scans that were held out: {trained.scores.dice:.3f}")

    done = predict(trained.run, [scan], out / "labels", tell=print)
    if done.failed:
        raise SystemExit(done.failed[0][1])

    labels, header = read_label(done.written[0]), read_header(scan)
    voxel, unit = (float(np.prod(header.spacing)) / 1000, "ml") if header.spacing else (1.0, "voxels")
    counts = np.bincount(labels.reshape(-1), minlength=256)
    found = {name: float(counts[number] * voxel) for number, name in enumerate(trained.scores.classes)}
    for name, size in list(found.items())[1:]:  # the first class is the background
        print(f"{name}: {size:.2f} {unit}")
    print(f"labels: {done.written[0]}")
    return found


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
