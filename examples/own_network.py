"""Train your own `nn.Module` with the loop of atrous; save, load, predict and stream it."""

import numpy as np
import torch
from torch import nn

import atrous
from atrous.stream import stream


class Small(nn.Module):
    """Three convolutions, `(N, 1, H, W)` normalized values to `(N, 2, H, W)` logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 2, 1),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


def main(data: str, out: str = "runs/own", epochs: float = 20) -> np.ndarray:
    """Train on a folder of images with one channel and two classes, and label an image that is larger."""
    atrous.train(data, network=Small(), epochs=epochs, out=out)

    # The weights come from the run; float32, since bfloat16 decides otherwise where two logits nearly tie.
    predictor = atrous.load(out, network=Small(), dtype=torch.float32)
    image = np.random.default_rng(0).integers(0, 256, (1, 300, 400)).astype(np.uint8)
    labels = predictor.predict(image).labels
    streamed = stream(predictor.network, image.astype(np.float32), strip=64, post="argmax")
    print(f"{(streamed == labels).mean():.2%} of the labels are the same, streamed in strips of 64 rows")
    return labels


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
