"""Label a video live: frames go in one by one, labels come out with a known latency.

    python examples/live_video.py runs/davis-causal clip.mp4

Any source of frames `(H, W, 3)` will do in place of the file: a camera by way of PyAV or OpenCV, say.
"""

import sys
import time
from pathlib import Path

import numpy as np

from atrous.data.formats import open_source
from atrous.prediction.predictor import load
from atrous.stream.session import Session


def main(run: Path | str, video: Path | str) -> np.ndarray:
    """Labels `(T, H, W)` of a video, by a session; prints how long frames took."""
    source = open_source(video)
    session = Session(load(run).network, (source.shape[0], None, *source.shape[2:]), post="argmax")
    print(f"latency: {session.latency} frames")
    found, start = [], time.monotonic()
    for frame in source.frames(range(source.shape[1])):  # one at a time, as a camera gives them
        found.append(session.push(frame[:, None].astype(np.float32)))
    found.append(session.close())
    print(f"{source.shape[1] / (time.monotonic() - start):.1f} frames per second")
    return np.concatenate(found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
