"""A picture that is cut into regions."""

from functools import partial

import numpy as np
import pytest
import tifffile

from atrous.prediction import regions, remote
from atrous.stream.units import cut_units


@pytest.fixture
def scan(tmp_path, digits, monkeypatch):
    """A picture of 3 x 3 scenes that is streamed, in regions of 64 positions."""
    from PIL import Image

    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 0)
    monkeypatch.setattr(regions, "cut_units", partial(cut_units, side=64))
    monkeypatch.setattr(remote, "cut_units", partial(cut_units, side=64))
    scenes = [np.asarray(Image.open(path)) for path in sorted((digits / "images" / "train").iterdir())]
    rows = [np.concatenate([scenes[(3 * i + k) % len(scenes)] for k in range(3)], 1) for i in range(3)]
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, np.concatenate(rows, 0), tile=(64, 64))
    return path
