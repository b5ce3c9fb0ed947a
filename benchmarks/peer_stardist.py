"""StarDist (Schmidt et al., MICCAI 2018) with its defaults, trained for some minutes on exported images.

For `benchmarks.object_peers`; runs in an environment with stardist and tensorflow, and imports nothing of atrous.
Configuration, losses, optimizer and schedule are the defaults of `Config2D` (32 rays, batches of 4 patches of 256 x
256, Adam with 0.0003); normalization to the percentiles 1 and 99.8, filled holes and augmentation are those of
StarDist's example notebook. As there, the weights are those of the least validation loss; it is measured after every
epoch of 100 steps and at the end.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

CHOSEN_ON = 49
"""Training images on which the thresholds are chosen: 15 % of 325, the share of the notebook."""
PERCENTILES = (1, 99.8)


def pairs(data: Path, split: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return name, normalized image and numbers of objects of each exported image of a split."""
    import tifffile
    from csbdeep.utils import normalize  # pyright: ignore[reportMissingImports]
    from stardist import fill_label_holes  # pyright: ignore[reportMissingImports]

    found = []
    for path in sorted((data / "images" / split).glob("*.tif")):
        image = normalize(tifffile.imread(path), *PERCENTILES, axis=(0, 1))
        numbers = tifffile.imread(data / "masks" / split / path.name)
        found.append((path.stem, image, fill_label_holes(numbers) if split == "train" else numbers))
    return found


def augmenter(seed: int) -> Any:
    """Return the notebook's augmentation: transposed and flipped, other intensities, noise."""
    rng = np.random.default_rng(seed)

    def augmented(image: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        axes = tuple(rng.permutation(2))
        image, numbers = image.transpose(axes), numbers.transpose(axes)
        for axis in range(2):
            if rng.random() > 0.5:
                image, numbers = np.flip(image, axis), np.flip(numbers, axis)
        image = image * rng.uniform(0.6, 2) + rng.uniform(-0.2, 0.2)
        return image + 0.02 * rng.uniform() * rng.normal(size=image.shape), numbers

    return augmented


def deadline(end: float) -> Any:
    """Return a Keras callback that counts the steps and stops the training at this time of `time.monotonic`."""
    from csbdeep.utils.tf import keras_import  # pyright: ignore[reportMissingImports]

    class Deadline(keras_import("callbacks", "Callback")):
        steps = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.steps += 1
            if time.monotonic() >= end:
                self.model.stop_training = True

    return Deadline()


def run(data: Path, out: Path, minutes: float, grid: int, seed: int, threads: int) -> dict[str, Any]:
    """Train, choose the thresholds, write `labels/NAME.tif` of val and `facts.json`.

    Args:
        data: folder of `benchmarks.object_peers export`.
        out: new folder.
        minutes: wall time of the training; the validation after the last step comes on top.
        grid: every how many pixels there is a star.
        seed: of patches and augmentation.
        threads: of TensorFlow.
    """
    import tensorflow as tf  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
    import tifffile
    from stardist.models import Config2D, StarDist2D  # pyright: ignore[reportMissingImports]

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.random.set_seed(seed)
    start = time.monotonic()
    train, val = pairs(data, "train"), pairs(data, "val")
    config = Config2D(n_rays=32, grid=(grid, grid), train_tensorboard=False)
    model = StarDist2D(config, name="model", basedir=str(out))
    model.prepare_for_training()
    stop = deadline(start + 60 * minutes)
    model.callbacks.append(stop)
    images, numbers = [image for _, image, _ in train], [masks for _, _, masks in train]
    held_out = [image for _, image, _ in val], [masks for _, _, masks in val]
    model.train(images, numbers, validation_data=held_out, augmenter=augmenter(seed), seed=seed)
    trained = time.monotonic()
    chosen = np.random.default_rng(seed).permutation(len(train))[:CHOSEN_ON]
    thresholds = model.optimize_thresholds([images[i] for i in chosen], [numbers[i] for i in chosen])
    optimized = time.monotonic()
    (out / "labels").mkdir()
    for name, image, _ in val:
        tifffile.imwrite(out / "labels" / f"{name}.tif", model.predict_instances(image)[0].astype(np.uint32))
    packages = ("stardist", "csbdeep", "tensorflow-cpu", "keras", "numpy")
    facts = {
        "method": "StarDist" if grid == 1 else f"StarDist, grid {grid}", "minutes": minutes, "steps": stop.steps,
        "train_seconds": round(trained - start, 1), "choose_seconds": round(optimized - trained, 1),
        "predict_seconds": round(time.monotonic() - optimized, 1), "chosen_on": len(chosen),
        "thresholds": {name: float(value) for name, value in dict(thresholds).items()},
        "versions": {package: version(package) for package in packages} | {"python": sys.version.split()[0]},
    }  # fmt: skip
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    return facts
