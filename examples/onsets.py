"""Onsets of the waves that a trained network finds in a recording: python examples/onsets.py RUN RECORDING RATE."""

import sys
from pathlib import Path

import numpy as np

import atrous
from atrous.data.formats import read_image


def main(run: Path, recording: Path, rate: float) -> None:
    """Print the time and class of every onset."""
    found = atrous.load(run).predict(read_image(recording))
    starts = np.flatnonzero(np.diff(found.labels)) + 1
    for start in starts[found.labels[starts] != 0]:
        print(f"{start / rate:8.3f} s  {found.classes[found.labels[start]]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
