"""Label a video live: push frames one by one, and get labels with a known latency.

    python examples/live_video.py runs/davis-causal clip.mp4

Instead of a file, any source of frames works, for example a camera read with PyAV or OpenCV.
"""

import sys
import time
from pathlib import Path

import numpy as np

from atrous.data.formats import open_source
from atrous.prediction.predictor import load
from atrous.stream.session import Session


def main(run: Path | str, video: Path | str) -> np.ndarray:
    """Return the labels `(T, H, W)` of a video, computed by a session; print the latency and the frame rate."""
    source = open_source(video)
    session = Session(load(run).network, (source.shape[0], None, *source.shape[2:]), post="argmax")
    print(f"latency: {session.latency} frames")
    labels, start = [], time.monotonic()
    for frame in source.frames(range(source.shape[1])):  # one at a time, like a camera
        labels.append(session.push(frame[:, None].astype(np.float32)))
    labels.append(session.close())
    print(f"{source.shape[1] / (time.monotonic() - start):.1f} frames per second")
    return np.concatenate(labels)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
