"""What the report shows of edges: the input, what was found, and which edges were found, missed and invented."""

import numpy as np

from atrous.data.dataset import Dataset
from atrous.labels import IGNORE
from atrous.prediction.predictor import Predictor
from atrous.report.page import Example
from atrous.report.pictures import colorize, resized, to_rgb
from atrous.tasks.edge_matching import match_edges
from atrous.tasks.edge_metrics import pixels_apart
from atrous.tasks.edges import EdgeTask
from atrous.tasks.task import EvaluationResult
from atrous.tasks.thinning import suppress, thin
from atrous.verbs.evaluate import read_ahead
from atrous.verbs.found import probabilities
from atrous.verbs.object_examples import LEGEND, PALETTE, extremes

LIMIT = 960
"""Pixels of the longer side of a picture."""


def edge_examples(
    predictor: Predictor, task: EdgeTask, dataset: Dataset, split: str, result: EvaluationResult
) -> list[Example]:
    """Return the images with the highest and the lowest F, the best first, each with its edges at the threshold of ODS.

    A slider shows the image and the edges one over the other.
    """
    kinds, threshold = extremes(result), result.watched()["ods_threshold"]
    examples = []
    samples = [sample for sample in dataset.splits[split] if sample.name in kinds]
    for sample, image, truth in read_ahead(predictor, samples):
        spacing = dataset.spacing_of(sample)
        found = probabilities(predictor, image, spacing, sample.image.header().affine).cpu().numpy()
        judged = judged_edges(suppress(found[0]), truth, task, threshold)
        pictures = {
            "input": to_rgb(np.asarray(image)),
            "edges": to_rgb(np.rint(255 * found).astype(np.uint8)),
            "truth": dataset.target.draw(np.asarray(image), truth, PALETTE),
            f"edges at the threshold {threshold:.2f}": colorize(judged, PALETTE),
        }
        blank = np.zeros((1, 1), np.uint8)
        examples.append(
            Example(
                sample.name, image, blank, blank, result.per_image[sample.name], kinds[sample.name], spacing, PALETTE,
                "F", {name: resized(picture, LIMIT) for name, picture in pictures.items()}, {"edges": (0.0, 1.0)},
                compared=True, legend=LEGEND,
            )
        )  # fmt: skip
    order = list(kinds)
    return sorted(examples, key=lambda example: order.index(example.name))


def judged_edges(strength: np.ndarray, truth: np.ndarray, task: EdgeTask, threshold: float) -> np.ndarray:
    """Return the edges of an image as places in `object_examples.PALETTE`, `(H, W)` uint8.

    1 is a found pixel that matches an edge of an annotator, 3 one that matches none, and 2 a pixel that was not found
    and that more than `task.eta` of the annotators marked. Where nothing is known, nothing that is found counts, as in
    the metrics.

    Args:
        strength: `(H, W)` from 0 to 1, suppressed beside its maxima.
        truth: what each annotator marked, `(A, H, W)` uint8: 1 for an edge, 0 for none, `IGNORE` where unknown.
        task: says how far matched pixels may be apart.
        threshold: strength from which a pixel is an edge.

    >>> strength, marked = np.zeros((2, 5, 40))
    >>> strength[2, :20] = marked[2, 10:] = 1
    >>> judged_edges(strength, marked[None], EdgeTask.build({"dice": 0, "options": {}}), 0.5)[2, [0, 15, 30]].tolist()
    [3, 1, 2]
    """
    known, annotators = (truth != IGNORE).all(axis=0), truth == 1
    edges, distance = thin((strength >= threshold) & known), pixels_apart(strength.shape, task.max_distance)
    matched, missed = np.zeros(np.count_nonzero(edges), bool), np.zeros(strength.shape)
    for marked in annotators:
        found, true = match_edges(edges, marked, distance)
        matched[found] = True
        alone = np.ones(np.count_nonzero(marked), bool)
        alone[true] = False
        missed[marked] += alone / len(annotators)
    judged = np.where(missed > task.eta, 2, 0).astype(np.uint8)
    judged[edges] = np.where(matched, 1, 3)
    return judged
