"""torchvision's `fcos_resnet50_fpn` (Tian et al., "FCOS", ICCV 2019), trained for some minutes by its recipe.

For `benchmarks.object_peers`. From random weights: torchvision downloads its weights (COCO's, and ImageNet's of the
backbone) from a host of its own, and no package has them. The recipe is that of torchvision's references: SGD with
momentum 0.9 and weight decay 0.0001, a rate of 0.01 for 16 images and in proportion for others, warm-up, a tenth of the
rate from 16/26 and again from 22/26 of the training on, mixed precision. What was changed: progress is that of the
clock; the warm-up of 1000 steps takes a twentieth of the time at most; images are also flipped upside down, since blood
has no up; detections from a score of 0.05 on count (instead of 0.2), since average precision needs them.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchvision.models.detection import fcos_resnet50_fpn

from atrous.data.dataset import Dataset
from atrous.data.sample import Sample
from atrous.data.targets.places import Places
from atrous.tasks.detection_metrics import DetectionScores
from atrous.tasks.measures import Measures

WARM_UP, WARM_SHARE = 1000, 1 / 20
FALLS = (16 / 26, 22 / 26)
"""Parts of the training from which the rate is a tenth of what it was."""


@dataclass(frozen=True)
class Recipe:
    """How FCOS is trained.

    Attributes:
        minutes: wall time.
        size: smaller side that images are resized to; torchvision's is 800.
        batch: images in a batch.
        lr: learning rate; None for 0.01 x batch / 16.
        seed: of weights, order and flips.
    """

    minutes: float
    size: int
    batch: int
    lr: float | None
    seed: int


def read(sample: Sample) -> tuple[torch.Tensor, Places]:
    """Return an image `(3, H, W)` uint8 and its boxes."""
    assert sample.target is not None
    return torch.from_numpy(np.asarray(sample.image.load())), sample.target.read()


def inputs(
    image: torch.Tensor, truth: Places, flips: tuple[bool, bool]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return what torchvision is given: values from 0 to 1, boxes (x0, y0, x1, y1), classes from 1.

    Args:
        image: `(3, H, W)` uint8.
        truth: boxes (y0, x0, y1, x1); those of class -1 are left out.
        flips: whether rows and columns are mirrored.
    """
    known = truth.classes >= 0
    low, high = np.split(truth.places[known], 2, axis=1)
    for axis, (flipped, length) in enumerate(zip(flips, truth.size, strict=True)):
        if flipped:
            low[:, axis], high[:, axis] = length - high[:, axis], length - low[:, axis]
            image = image.flip(axis + 1)
    boxes = torch.from_numpy(np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1).astype(np.float32))
    labels = torch.from_numpy(truth.classes[known] + 1)
    return image.float() / 255, {"boxes": boxes, "labels": labels}


def batches(data: list[tuple[torch.Tensor, Places]], recipe: Recipe) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield batches without end: every image once in an epoch, in another order and flipped anew."""
    rng = np.random.default_rng(recipe.seed)
    while True:
        order = rng.permutation(len(data))
        for first in range(0, len(order) - recipe.batch + 1, recipe.batch):
            drawn = [data[index] for index in order[first : first + recipe.batch]]
            pairs = [inputs(image, truth, (rng.random() < 0.5, rng.random() < 0.5)) for image, truth in drawn]
            yield [image for image, _ in pairs], [target for _, target in pairs]


def factor(step: int, share: float) -> float:
    """Return the part of the learning rate at a step and share of the time."""
    warm = min(1.0, max((step + 1) / WARM_UP, share / WARM_SHARE))
    return warm * 0.1 ** sum(share >= fall for fall in FALLS)


def fit(model: torch.nn.Module, data: list[tuple[torch.Tensor, Places]], recipe: Recipe, start: float) -> int:
    """Train until the minutes are over, counted from `start`; return the number of steps."""
    rate = 0.01 * recipe.batch / 16 if recipe.lr is None else recipe.lr
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=1e-4)
    model.train()
    told, step = start, 0
    for images, targets in batches(data, recipe):
        now = time.monotonic()
        share = (now - start) / (60 * recipe.minutes)
        if share >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * factor(step, share)
        with torch.autocast("cpu", torch.bfloat16):
            losses = model(images, targets)
        loss = torch.stack([value.float() for value in losses.values()]).sum()
        if not torch.isfinite(loss):
            raise SystemExit(f"the loss is {loss.item()} at step {step}: give a lower --lr")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step == 1 or now - told > 30:
            told = now
            print(f"step {step}: loss {loss.item():.3f}, {(now - start) / 60:.1f} minutes", flush=True)
    return step


def measured(model: torch.nn.Module, dataset: Dataset) -> Measures:
    """Return the metrics on val, in float32."""
    model.eval()
    scores, start = DetectionScores(dataset.classes, 2), time.monotonic()
    for sample in dataset.splits["val"]:
        image, truth = read(sample)
        with torch.inference_mode():
            found = {name: values.numpy() for name, values in model([image.float() / 255])[0].items()}
        corners = found["boxes"][:, [1, 0, 3, 2]].astype(np.float64)
        scores.add(sample.name, (corners, found["labels"] - 1, found["scores"]), (truth.places, truth.classes))
    return scores.result(time.monotonic() - start)


def run(dataset: Dataset, recipe: Recipe) -> tuple[Measures, dict[str, Any]]:
    """Train and measure; return the metrics, and steps and seconds."""
    torch.manual_seed(recipe.seed)
    start = time.monotonic()
    data = [read(sample) for sample in dataset.splits["train"]]
    classes = len(dataset.classes) + 1  # torchvision counts the background
    made = fcos_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=classes, min_size=recipe.size, score_thresh=0.05
    )
    model = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Losses are computed in float32, as torchvision's autocast does on a GPU.
    model.head.register_forward_hook(lambda _, __, output: {name: value.float() for name, value in output.items()})
    steps = fit(model, data, recipe, start)
    trained = time.monotonic()
    scores = measured(model, dataset)
    return scores, {
        "steps": steps, "train_seconds": round(trained - start, 1),
        "predict_seconds": round(scores.seconds, 1), "size": recipe.size, "batch": recipe.batch,
        "images_seen": steps * recipe.batch,
    }  # fmt: skip
