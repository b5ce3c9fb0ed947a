"""Label a scan by a threshold, at its place in the world: python examples/volumes.py SCAN OUT THRESHOLD."""

import sys
from pathlib import Path

import numpy as np

from atrous.data.formats import open_source, read_header, write_label


def main(scan: Path, out: Path, threshold: float) -> None:
    """Read slab by slab, so that a scan of any size will do."""
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
