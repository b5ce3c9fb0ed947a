"""What all outputs have in common."""

import numpy as np
import pytest

from atrous.prediction.features import FeatureFile
from atrous.prediction.frames import FrameLabels
from atrous.prediction.labels import LabelFile
from atrous.prediction.output import Output, SeveralSinks
from atrous.prediction.overlay import OverlayPicture
from atrous.prediction.overlay_video import OverlayVideo
from atrous.prediction.probabilities import ProbabilityFile

PALETTE = ((0, 0, 0), (255, 0, 0))


def outputs(folder):
    source = folder / "in" / "a.npy"
    labels, frames = (
        LabelFile(folder / "a.npy", source, ("no", "yes"), PALETTE),
        FrameLabels(folder / "a", source, PALETTE),
    )
    return [
        labels,
        ProbabilityFile(folder / "a.zarr", source, ("no", "yes")),
        OverlayPicture(folder / "a.png", labels, PALETTE),
        frames,
        OverlayVideo(folder / "a.mp4", frames, source, PALETTE),
        FeatureFile(folder / "a.gff3", source, ("CDS+", "CDS-"), 0.5, (1, 1)),
        FeatureFile(folder / "a.bw", source, ("CDS+", "CDS-"), 0.5, (1, 1)),
    ]


@pytest.mark.parametrize("index", range(7))
def test_every_output_follows_the_protocol(index, tmp_path):
    output = outputs(tmp_path)[index]
    assert isinstance(output, Output)
    assert output.paths
    assert output.values in ("labels", "probabilities", "none")
    assert (output.values == "none") == (output.drawn_from is not None)
    assert output.sink is None  # nothing has begun
    assert not output.resumes
    output.discard()
    assert not list(tmp_path.iterdir())


def test_a_bigwig_has_a_file_per_class(tmp_path):
    assert [path.name for path in outputs(tmp_path)[-1].paths] == ["a.CDS+.bw", "a.CDS-.bw"]


def test_several_sinks_get_the_same_values():
    sinks = [np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8)]
    SeveralSinks(sinks)[1:] = np.array([[1, 2, 3]], np.uint8)
    assert sinks[0].tolist() == sinks[1].tolist() == [[0, 0, 0], [1, 2, 3]]
