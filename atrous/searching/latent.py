"""An autoencoder of points: a small network whose latent space has similar points near each other.

A point is given as one-hot codes of its labels. The autoencoder is trained on random points of the space to give the
labels back through a few numbers, so that a small change of these numbers changes few labels, and every place of the
latent space decodes to a point of the space. Searches in such a space are those of Luo et al. 2018 ("Neural
architecture optimization", arXiv:1808.07233), here without a predictor of the result.
"""

import json
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from atrous.searching.space import Labels, Space

LATENT, HIDDEN = 8, 64
STEPS, BATCH, POINTS = 400, 128, 1024
"""Of the training: about half a second."""


class PointAutoencoder(nn.Module):
    """Labels to `LATENT` numbers and back.

    Attributes:
        spread: standard deviation of each latent number over random points, `(LATENT,)`; set by `autoencoder_of`.
    """

    spread: np.ndarray

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self.counts = [len(variable.labels) for variable in space.variables]
        width = sum(self.counts)
        self.encoder = nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width))

    def one_hot(self, labels: Mapping[str, str]) -> torch.Tensor:
        """Return the codes of a point, one after the other, `(sum of labels,)`."""
        point = self.space.canonical(labels)
        parts = [torch.zeros(count) for count in self.counts]
        for part, variable in zip(parts, self.space.variables, strict=True):
            part[variable.labels.index(point[variable.name])] = 1.0
        return torch.cat(parts)

    def encode(self, labels: Mapping[str, str]) -> np.ndarray:
        """Return the latent numbers of a point, `(LATENT,)`."""
        with torch.no_grad():
            return self.encoder(self.one_hot(labels)).double().numpy()

    def decode(self, latent: np.ndarray) -> Labels:
        """Return the point of latent numbers: the likeliest label of each variable."""
        with torch.no_grad():
            parts = self.decoder(torch.from_numpy(latent).float()).split(self.counts)
        return {v.name: v.labels[int(part.argmax())] for v, part in zip(self.space.variables, parts, strict=True)}

    def loss(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of the labels that come back of codes `(N, sum of labels)`."""
        latent = self.encoder(codes)
        # Noise on the way keeps points that decode differently apart, as in a denoising autoencoder.
        noisy = latent + 0.1 * latent.detach().std(0) * torch.randn_like(latent)
        outputs = self.decoder(noisy).split(self.counts, dim=1)
        wanted = codes.split(self.counts, dim=1)
        return torch.stack([F.cross_entropy(o, w) for o, w in zip(outputs, wanted, strict=True)]).mean()


def autoencoder_of(space: Space, seed: int) -> PointAutoencoder:
    """Return the autoencoder of a space, trained once in a process; the same seed gives the same one."""
    return _trained(json.dumps(space.to_dict()), seed)


@lru_cache(maxsize=4)
def _trained(content: str, seed: int) -> PointAutoencoder:
    space, generator = Space.from_dict(json.loads(content)), np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        coder = PointAutoencoder(space)
        codes = torch.stack([coder.one_hot(space.random(generator)) for _ in range(POINTS)])
        optimizer = torch.optim.Adam(coder.parameters(), lr=5e-3)
        for _ in range(STEPS):
            batch = codes[torch.from_numpy(generator.integers(len(codes), size=BATCH))]
            optimizer.zero_grad()
            coder.loss(batch).backward()
            optimizer.step()
        with torch.no_grad():
            coder.spread = coder.encoder(codes).std(0).double().numpy()
    return coder.eval()
