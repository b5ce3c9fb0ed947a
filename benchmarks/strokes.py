"""Strokes to answer: a few strokes on two images, minutes of live training, and what it then says of other images.

    python -m benchmarks.strokes shared/data/camvid --minutes 5

Two images of `train` are chosen for their classes. A script draws 20 strokes on each: the center lines of the largest
region of every class, and of the next largest ones. Then

- ours: the process of `atrous serve --paint` trains on them for the minutes, is stopped, and its run labels images of
  `val` (pretrained weights are used where the extra `pretrained` is installed);
- the peer: a random forest of 100 trees on the filters that ilastik computes for each channel (Gaussian, Laplacian of
  Gaussian, gradient magnitude, difference of Gaussians, eigenvalues of structure tensor and Hessian matrix, at the
  scales 0.3 to 10), with the same strokes (scikit-learn, SciPy and scikit-image; Berg et al. 2019, "ilastik:
  interactive machine learning for (bio)image analysis").

Prints the mean IoU of both over all pixels of the images, over the classes that occur in them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
import torch
from scipy import ndimage
from skimage.feature import hessian_matrix, hessian_matrix_eigvals, structure_tensor, structure_tensor_eigenvalues
from skimage.morphology import skeletonize
from sklearn.ensemble import RandomForestClassifier

from atrous.data.dataset import Dataset, open_dataset
from atrous.data.sample import Sample
from atrous.labels import IGNORE
from atrous.prediction.predictor import load
from atrous.serve.found import find_files
from atrous.serve.paint_folder import PaintClass, PaintedFolder, live_folder
from atrous.serve.paint_strokes import Stroke
from atrous.serve.paint_trainer import PaintTrainer, training_command

SCALES = (0.3, 0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
"""Of the filters, in pixels; at the first one, only the Gaussian."""
TREES = 100
LEAST = 40
"""Pixels of the smallest region that gets a stroke."""
RADIUS = 1.5
STEP = 5
"""Pixels of a center line between two points of a stroke."""


def regions(labels: np.ndarray, strokes: int) -> list[tuple[int, np.ndarray]]:
    """Class and pixels `(h, w)` bool of the regions that get a stroke: the largest of every class, then others."""
    found: list[tuple[int, int, int, np.ndarray]] = []
    for value in np.unique(labels):
        if value == IGNORE:
            continue
        labeled: Any = ndimage.label(labels == value)
        pieces, _ = labeled
        sizes = np.bincount(pieces.ravel())[1:]
        for rank, piece in enumerate(np.argsort(-sizes)):
            if sizes[piece] >= LEAST:
                found.append((min(rank, 1), -int(sizes[piece]), int(value), pieces == piece + 1))
    found.sort(key=lambda one: one[:3])
    return [(value, inside) for _, _, value, inside in found[:strokes]]


def center_line(inside: np.ndarray) -> list[tuple[float, float]]:
    """The longest way along the skeleton of a region, as points (row, column)."""
    skeleton = skeletonize(np.pad(inside, 1))[1:-1, 1:-1]
    places = np.argwhere(skeleton if skeleton.any() else inside)
    order, _ = _walk(places, 0)
    order, before = _walk(places, order[-1])
    way, at = [], order[-1]
    while at >= 0:
        way.append(at)
        at = before[at]
    chosen = places[way[::STEP]] + 0.5
    return [(float(row), float(column)) for row, column in chosen]


def _walk(places: np.ndarray, start: int) -> tuple[list[int], np.ndarray]:
    """Positions in breadth-first order from one of them, and which one each was reached from; -1 for the first."""
    number = {(int(row), int(column)): n for n, (row, column) in enumerate(places)}
    before, order, seen = np.full(len(places), -1), [start], {start}
    for at in order:
        row, column = (int(n) for n in places[at])
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                other = number.get((row + down, column + across))
                if other is not None and other not in seen:
                    seen.add(other)
                    before[other] = at
                    order.append(other)
    return order, before


def choose(samples: tuple[Sample, ...], images: int, classes: int) -> list[Sample]:
    """The images that together show most classes well: one after the other, each adds most."""
    counts = np.array(
        [np.bincount(one.target.read().ravel(), minlength=256)[:classes] for one in samples if one.target]
    )
    seen, chosen = np.zeros(classes), list[int]()
    for _ in range(images):
        gain = [np.sqrt(np.minimum(seen + row, 5000)).sum() if n not in chosen else -1 for n, row in enumerate(counts)]
        chosen.append(int(np.argmax(gain)))
        seen += counts[chosen[-1]]
    return [samples[n] for n in chosen]


def paint(folder: PaintedFolder, dataset: Dataset, chosen: list[Sample], strokes: int) -> int:
    """Paint the strokes; return how many positions they cover."""
    folder.set_classes([PaintClass(name, color) for name, color in zip(dataset.classes, dataset.palette, strict=True)])
    for sample in chosen:
        assert sample.target is not None
        labels = sample.target.read()
        image = folder.image(find_files([sample.image.path], None, print)[0], labels.shape)
        for value, inside in regions(labels, strokes):
            image.paint((0, 0), Stroke("brush", center_line(inside), RADIUS), value)
    return int(folder.counts().sum())


def features(image: np.ndarray) -> np.ndarray:
    """The filters of an image `(C, H, W)`, `(H, W, F)` float32."""
    found = []
    scales: Any = SCALES
    for channel in image.astype(np.float32):
        for sigma in scales:
            smooth = ndimage.gaussian_filter(channel, sigma)
            found.append(smooth)
            if sigma == SCALES[0]:
                continue
            found.append(ndimage.gaussian_laplace(channel, sigma))
            found.append(ndimage.gaussian_gradient_magnitude(channel, sigma))
            found.append(smooth - ndimage.gaussian_filter(channel, 0.66 * sigma))
            found += list(structure_tensor_eigenvalues(structure_tensor(channel, sigma, order="rc")))
            hessian = hessian_matrix(channel, sigma, order="rc", use_gaussian_derivatives=False)
            found += list(hessian_matrix_eigvals(hessian))
    return np.stack(found, -1).astype(np.float32)


def peer(root: Path, chosen: list[Sample], held_out: list[Sample]) -> tuple[Iterator[np.ndarray], float]:
    """Train the forest on what is painted; return its labels of other images, and the seconds of the training."""
    begin = time.perf_counter()
    rows, labels = [], []
    for sample in chosen:
        mask = open_dataset(root).samples
        painted = next(one for one in mask if one.image.path.name == sample.image.path.name)
        assert painted.target is not None
        values = painted.target.read()
        rows.append(features(sample.image.load())[values != IGNORE])
        labels.append(values[values != IGNORE])
    forest: Any = RandomForestClassifier(TREES, n_jobs=torch.get_num_threads(), random_state=0)
    forest.fit(np.concatenate(rows), np.concatenate(labels))
    seconds = time.perf_counter() - begin

    def predict() -> Iterator[np.ndarray]:
        for sample in held_out:
            image = sample.image.load()
            yield forest.predict(features(image).reshape(-1, forest.n_features_in_)).reshape(image.shape[1:])

    return predict(), seconds


def train(folder: PaintedFolder, minutes: float) -> None:
    """Train as the page does, for some minutes after the first step."""
    trainer = PaintTrainer(training_command(folder.root, "cpu", None), folder.own / "training.log", lambda: None)
    trainer.start()
    begin = None
    for tick in count():
        time.sleep(0.5)
        if trainer.state == "off":
            raise SystemExit(f"the training has ended: {trainer.problem}")
        if begin is None and trainer.step:
            begin = time.perf_counter()
        if begin is not None and time.perf_counter() - begin >= 60 * minutes:
            break
        if tick % 60 == 59:
            last = trainer.accuracy.points[-1][1] if trainer.accuracy.points else float("nan")
            print(f"step {trainer.step}, {trainer.seconds:.0f} s, held-out strokes right {last:.3f}", flush=True)
    trainer.close()


def mean_iou(predicted: Iterator[np.ndarray], samples: list[Sample], classes: int) -> tuple[float, list[float]]:
    """Mean IoU over all positions of the images, over the classes that occur in them; and the IoU of each class."""
    confusion = np.zeros((classes, classes), np.int64)
    for labels, sample in zip(predicted, samples, strict=True):
        assert sample.target is not None
        truth = sample.target.read()
        counts = truth != IGNORE
        pairs = truth[counts].astype(np.int64) * classes + np.minimum(labels[counts], classes - 1)
        confusion += np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    hit, truth, said = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    iou = hit / np.maximum(truth + said - hit, 1)
    return float(iou[truth > 0].mean()), [round(float(value), 3) for value in iou]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data set with the splits train and val")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--strokes", type=int, default=20, help="on each image")
    parser.add_argument("--val", type=int, default=20, help="images of val, evenly spread")
    parser.add_argument("--folder", type=Path, help="where the painted data set is kept; a new folder")
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    k, val = len(dataset.classes), dataset.splits["val"]
    places = np.linspace(0, len(val) - 1, min(options.val, len(val))).round().astype(int)
    held_out = [val[int(place)] for place in places]
    chosen = choose(dataset.splits["train"], options.images, k)
    folder = PaintedFolder(options.folder or Path(tempfile.mkdtemp()) / "painted")
    pixels = paint(folder, dataset, chosen, options.strokes)
    print(f"{[one.name for one in chosen]}: {options.strokes} strokes each, {pixels} pixels painted", flush=True)

    predicted, seconds = peer(folder.root, chosen, held_out)
    theirs, their_ious = mean_iou(predicted, held_out, k)
    print(f"random forest on filters   mIoU {theirs:.3f}   trained in {seconds:.1f} s", flush=True)
    train(folder, options.minutes)
    predictor = load(live_folder(folder.root))
    ours, our_ious = mean_iou((predictor.predict(one.image.path).labels for one in held_out), held_out, k)
    model = predictor.run.recipe.model
    print(f"live training              mIoU {ours:.3f}   trained for {60 * options.minutes:.0f} s")
    for name, one, other in zip(dataset.classes, our_ious, their_ious, strict=True):
        print(f"  {name:<12} {one:.3f}   {other:.3f}")
    facts = {
        "ours": round(ours, 4), "forest": round(theirs, 4), "minutes": options.minutes, "strokes": options.strokes,
        "images": [one.name for one in chosen], "val": len(held_out), "pixels": pixels, "encoder": model.encoder,
        "pretrained": model.pretrained, "threads": torch.get_num_threads(), "sklearn": sklearn.__version__,
        "skimage": version("scikit-image"), "scipy": scipy.__version__, "torch": torch.__version__,
    }  # fmt: skip
    print(json.dumps(facts))
    folder.close()


if __name__ == "__main__":
    main()
