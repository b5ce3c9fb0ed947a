"""Run everything once on built-in data: make a data set, check it, train, evaluate and predict a large image."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from atrous.demo.digits import digit_scene, write_digit_scenes, write_picture
from atrous.errors import UserError
from atrous.files import write_text
from atrous.prediction.predictor import load
from atrous.report.page import Measured
from atrous.report.words import headline
from atrous.training.budget import STRETCH
from atrous.verbs.check import check
from atrous.verbs.evaluate import Evaluated, evaluate
from atrous.verbs.kinds import KINDS
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.summary import write_summary
from atrous.verbs.train import Trained, train

SIZE, LARGE = 256, 4096
LARGE_SEED = 4_096
SHOWN = 1024
"""Pixels of the large image's side in the report."""
SETTINGS = (
    "model.depth=10", "model.encoder_width=16", "train.crop=[128, 128]", "train.batch_size=8",
    "train.learning_rate=1.5e-3", "train.validations=6", "augment.flip=[false, false]", "augment.scale=[0.9, 1.2]",
)  # fmt: skip
"""Settings of the demo: a small network that learns in three minutes, and no mirrored digits."""
STEPS_A_MINUTE = 450
"""Steps that the demo takes at least, per minute of its training. Two quiet, fast cores take more; others train on."""


@dataclass(frozen=True)
class Demo:
    """Results of the demo.

    Attributes:
        data: the folder of the data set.
        run: the folder of the run.
        miou: mean IoU on the test scenes.
        large_miou: mean IoU on the 4096x4096 scene.
        seconds: seconds that each part took, by name.
    """

    data: Path
    run: Path
    miou: float
    large_miou: float
    seconds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return numbers and strings for JSON."""
        return {
            "data": str(self.data), "run": str(self.run), "miou": self.miou, "large_miou": self.large_miou,
            "seconds": {k: round(v, 1) for k, v in self.seconds.items()},
        }  # fmt: skip


def demo(
    folder: Path | str = "runs",
    *,
    minutes: float = 3.2,
    say: Callable[[str], None] = lambda text: None,
    command: Sequence[str] = (),
) -> Demo:
    """Run the demo. The data set is written to `folder/demo-data`, the run to `folder/demo`.

    Args:
        folder: folder for both.
        minutes: length of the training on a fast, quiet machine. Others train on until they have taken as many steps
            (`STEPS_A_MINUTE`), `training.budget.STRETCH` times as long at most.
        say: called with lines of text about the progress.
        command: the command line, for the report.

    Raises:
        UserError: one of the two folders exists already.
    """
    folder = Path(folder)
    data, run, seconds = folder / "demo-data", folder / "demo", {}
    for path in (data, run):
        if path.exists():
            raise UserError(f"{path}: exists already: move or remove it, or give another folder with --out")

    def timed(name: str, start: float) -> None:
        seconds[name] = time.monotonic() - start

    def told(step: int, values: dict[str, float]) -> None:
        say(f"  step {step}: loss {values['loss']:.3f}, mean IoU on val {values['miou']:.3f}")

    say("1/5  making a data set of images with digits and their masks: " + str(data))
    start = time.monotonic()
    write_digit_scenes(data, train=240, val=24, test=48, size=(SIZE, SIZE), seed=0, channels=1)
    timed("data", start)

    say("\n2/5  checking the data set, as `atrous check` does")
    start = time.monotonic()
    say(check(data).text())
    timed("check", start)

    say(
        f"\n3/5  training for {minutes:g} minutes, as `atrous train` does; longer (at most {STRETCH} times as long) if "
        "the machine is slow or busy"
    )
    start = time.monotonic()
    settings = [*SETTINGS, f"train.least_steps={max(1, round(STEPS_A_MINUTE * minutes))}"]
    trained = train(data, out=run, minutes=minutes, settings=settings, say=say, on_validation=told, command=command)
    timed("train", start)

    say("\n4/5  evaluating on the test images, whose digits were not used for training")
    start = time.monotonic()
    tested = evaluate(run, data, split="test")
    scores = tested.scores
    write_text(run / "scores-test.json", json.dumps(scores.to_dict(), indent=1))
    say(scores.text())
    timed("evaluate", start)

    say(f"\n5/5  predicting one image of {LARGE} x {LARGE} pixels, 256 times as large as the training images")
    start = time.monotonic()
    large_miou, overlay = _large(run, say)
    _complete_report(trained, tested, large_miou, overlay)
    timed("predict", start)
    return Demo(data, run, scores.miou, large_miou, seconds)


def _complete_report(trained: Trained, tested: Evaluated, large_miou: float, overlay: np.ndarray) -> None:
    """Write the report again, with the metrics on the test scenes and the large scene."""
    run, dataset, split = trained.run, tested.dataset, trained.run.recipe.data.val
    test = tested.scores
    metrics = {"mean IoU": test.miou, "Dice": test.dice, "pixel accuracy": test.pixel_accuracy}
    further = [
        Measured(f"{test.images} test scenes, of digits that no training scene shows", [headline(test)], metrics),
        Measured(
            f"One scene of {LARGE} x {LARGE} pixels",
            ["The network was trained on crops of 128 x 128 pixels. It runs on the whole scene, strip by strip."],
            {"mean IoU": large_miou},
            {"predicted labels over the scene": overlay},
        ),
    ]
    examples = KINDS[dataset.kind].examples(load(run), dataset, split, trained.scores)
    write_summary(run, dataset, split, trained.scores, trained.outcome, examples, further)


def _large(run: Path, say: Callable[[str], None]) -> tuple[float, np.ndarray]:
    """Predict the large image, write its label map and overlay; return its mean IoU and the overlay, shrunk."""
    import torch

    image, label = digit_scene((LARGE, LARGE), LARGE_SEED, channels=1, split="test")
    folder = run / "pictures"
    folder.mkdir(exist_ok=True)
    source = folder / "large.png"
    write_picture(source, image)
    target = folder / "labels" / source.name
    result = predict(run, [source], target.parent, PredictOptions(overlay=True), tell=say)
    if result.failed:
        raise UserError(result.failed[0][1])
    predictor = load(run)
    metrics = predictor.task.metrics(full=False)
    predicted = torch.from_numpy(np.asarray(Image.open(target)).copy()).long()
    one_hot = torch.nn.functional.one_hot(predicted, len(predictor.classes)).permute(2, 0, 1)
    metrics.update("large", one_hot.to(torch.uint8), torch.from_numpy(label))
    miou = metrics.result(0.0).watched()["miou"]
    say(f"mean IoU {miou:.3f}: {target} and its overlay beside it")
    with Image.open(target.with_name("large_overlay.png")) as overlay:
        return miou, np.asarray(overlay.convert("RGB").reduce(max(1, max(overlay.size) // SHOWN)))
