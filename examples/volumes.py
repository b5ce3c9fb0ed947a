"""Label the voxels of a scan above a threshold: python examples/volumes.py SCAN OUT THRESHOLD.

The labels get the affine of the scan, so that viewers show both at the same place.
"""

import sys
from pathlib import Path

import numpy as np

from atrous.data.formats import open_source, read_header, write_label


def main(scan: Path, out: Path, threshold: float) -> None:
    """Read and label 16 slices at a time, write the labels, and print the labeled volume in milliliters."""
    source, header = open_source(scan), read_header(scan)
    label = np.empty(source.shape[1:], np.uint8)
    for start in range(0, len(label), 16):
        label[start : start + 16] = source[0, start : start + 16] > threshold
    write_label(out, label, like=scan)
    voxel = np.prod(header.spacing) if header.spacing else 1.0
    volume = label.sum() * voxel / 1000
    print(f"{scan.name}: {label.shape} voxels of {header.spacing} mm, {volume:.1f} ml above {threshold:g}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
