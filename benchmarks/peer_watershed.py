"""Objects by a watershed of what a semantic U-Net calls foreground, as in scikit-image's example of the watershed.

For `benchmarks.object_peers`. The network is trained by `atrous train` with `model.name=unet` and its own defaults. The
foreground is where its probability exceeds a threshold. The distance to the background (or the probability) is
smoothed, each of its peaks is a marker, and the watershed from the markers divides the foreground. Threshold, surface,
smoothing and the least distance of two markers are those with the greatest `ap_mean` on some training images.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from scipy import ndimage

from atrous.data.dataset import Dataset
from atrous.prediction.predictor import load
from atrous.tasks.instance_metrics import InstanceScores
from atrous.verbs.train import train

try:
    from skimage.feature import peak_local_max  # pyright: ignore[reportMissingImports]
    from skimage.segmentation import watershed  # pyright: ignore[reportMissingImports]
except ImportError:
    raise SystemExit("the watershed is that of scikit-image: pip install scikit-image") from None

CHOSEN_ON = 49
"""Training images on which the parameters are chosen, as many as for StarDist's thresholds."""


class Parameters(NamedTuple):
    """What the watershed depends on.

    Attributes:
        threshold: probability from which a pixel is foreground.
        surface: what the watershed floods: "distance" or "probability".
        smooth: standard deviation of the Gaussian that smooths the surface; 0 for none.
        apart: least distance of two markers, in pixels.
    """

    threshold: float
    surface: str
    smooth: float
    apart: int


CHOICES = [
    Parameters(*chosen)
    for chosen in itertools.product((0.4, 0.5, 0.6), ("distance", "probability"), (0.0, 1.0, 2.0), (2, 4, 7, 10))
]


def train_unet(out: Path, minutes: float, settings: list[str], seed: int) -> int:
    """Train on the images and masks in `out/semantic`; the run is `out/run`. Return the number of steps."""
    data = out / "semantic"
    (data / "dataset.toml").write_text('classes = ["background", "object"]\n', encoding="utf-8")
    chosen = ["model.name=unet", *settings]
    return train(data, out=out / "run", minutes=minutes, settings=chosen, seed=seed, say=print).outcome.step


def divided(probability: np.ndarray, chosen: Parameters) -> np.ndarray:
    """Return the numbers of objects `(H, W)` for the probability of the foreground `(H, W)`."""
    inside = probability > chosen.threshold
    surface = np.asarray(ndimage.distance_transform_edt(inside)) if chosen.surface == "distance" else probability
    if chosen.smooth:
        surface = ndimage.gaussian_filter(surface, chosen.smooth)
    pieces = np.asarray(ndimage.label(inside)[0])  # pyright: ignore[reportIndexIssue]
    peaks = peak_local_max(surface, min_distance=chosen.apart, labels=pieces, exclude_border=False)
    markers = np.zeros(inside.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-surface, markers, mask=inside).astype(np.uint32)


def best_parameters(probabilities: list[np.ndarray], truths: list[np.ndarray]) -> Parameters:
    """Return the choice with the greatest `ap_mean` on some images; the first one of equals."""

    def quality(chosen: Parameters) -> float:
        scores = InstanceScores()
        for index, (probability, truth) in enumerate(zip(probabilities, truths, strict=True)):
            found = divided(probability, chosen)
            scores.add(str(index), truth, found, np.ones(int(found.max(initial=0))))
        return scores.result(0.0).values["ap_mean"]

    return max(CHOICES, key=quality)


def divide(dataset: Dataset, out: Path, file_name: Callable[[str], str]) -> dict[str, Any]:
    """Choose the parameters on training images, and write `labels/NAME.tif` of val.

    Args:
        dataset: of instances.
        out: folder with the run of `train_unet`.
        file_name: gives the name of a file for that of a sample.
    """
    predictor, start = load(out / "run"), time.monotonic()
    order = np.random.default_rng(0).permutation(len(dataset.splits["train"]))[:CHOSEN_ON]
    samples = [dataset.splits["train"][index] for index in order]
    probabilities = [_foreground(predictor, sample) for sample in samples]
    chosen = best_parameters(probabilities, [sample.target.read() for sample in samples if sample.target is not None])
    optimized = time.monotonic()
    (out / "labels").mkdir()
    for sample in dataset.splits["val"]:
        tifffile.imwrite(
            out / "labels" / f"{file_name(sample.name)}.tif", divided(_foreground(predictor, sample), chosen)
        )
    return {
        "parameters": chosen._asdict(), "chosen_on": len(samples), "choose_seconds": round(optimized - start, 1),
        "predict_seconds": round(time.monotonic() - optimized, 1),
    }  # fmt: skip


def _foreground(predictor: Any, sample: Any) -> np.ndarray:
    """The probability of the foreground `(H, W)`."""
    return predictor.predict(sample.image.load(), probabilities=True).probabilities[1]
