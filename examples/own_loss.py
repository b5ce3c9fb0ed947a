"""Your own loss and your own metric: plain functions."""

import torch
from torch.nn import functional as F

import atrous

VOID = 255


def focal_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Focal loss (Lin et al. 2017) of logits `(N, K, H, W)` and labels `(N, H, W)`."""
    costs = F.cross_entropy(output.float(), target, ignore_index=VOID, reduction="none")
    return ((1 - torch.exp(-costs)) ** 2 * costs).mean()


def count_error(probabilities: torch.Tensor, target: torch.Tensor) -> float:
    """How many per cent of the image is predicted as class 1 too much (or too little) in one image."""
    predicted = probabilities.argmax(0)[target != VOID] == 1
    return 100 * float(predicted.float().mean() - (target[target != VOID] == 1).float().mean())


def main(data: str, out: str = "runs/own-loss", epochs: float = 20) -> float:
    """Train on a folder with one's own loss; the metric stands in the log, the report and the scores."""
    trained = atrous.train(data, loss=focal_loss, metrics={"count_error": count_error}, epochs=epochs, out=out)
    print(trained.scores.text())
    return trained.scores.own["count_error"]


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
