"""Print the onsets of the waves in a recording: python examples/onsets.py RUN RECORDING RATE.

RATE is the sampling rate in samples per second.
"""

import sys
from pathlib import Path

import numpy as np

import atrous
from atrous.data.formats import read_image


def main(run: Path, recording: Path, rate: float) -> None:
    """Print the time in seconds and the class of every onset; class 0 is the background."""
    prediction = atrous.load(run).predict(read_image(recording))
    starts = np.flatnonzero(np.diff(prediction.labels)) + 1
    for start in starts[prediction.labels[starts] != 0]:
        print(f"{start / rate:8.3f} s  {prediction.classes[prediction.labels[start]]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
