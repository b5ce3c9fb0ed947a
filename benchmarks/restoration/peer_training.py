"""Train plain DnCNN and FSRCNN for some minutes: patches, squared error, Adam with a falling rate."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from atrous.data.restoration import Degradation
from benchmarks.restoration.images import Picture
from benchmarks.restoration.networks import FSRCNN, DnCNN

RATE, FALL = 1e-3, 100.0
"""The rate of Adam at the beginning, and by what it is divided at the end; it falls exponentially."""
DNCNN_PATCH = 40
FSRCNN_PATCH = 48
"""Sides of the patches that the networks are given. FSRCNN's paper has 10 and less, which are mostly borders."""

Draw = Callable[[np.random.Generator, int], tuple[torch.Tensor, torch.Tensor]]
"""Draws a number of patches: given and clean ones `(N, 1, H, W)` float32, 0 to 1."""


@dataclass(frozen=True)
class Recipe:
    """How the peers are trained.

    Attributes:
        minutes: of training; reading images and measuring are not counted.
        batch: patches in a step.
        seed: of weights and patches.
        bfloat16: whether convolutions run in bfloat16 (autocast) instead of float32.
    """

    minutes: float
    batch: int
    seed: int = 0
    bfloat16: bool = False


def train_dncnn(clean: Sequence[np.ndarray], sigma: float, recipe: Recipe) -> tuple[nn.Module, int]:
    """Train a DnCNN on clean gray images `(1, H, W)`; return it and the steps that it took."""

    def draw(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        patches = [_patch(rng, [clean[int(rng.integers(len(clean)))]], DNCNN_PATCH, (1,))[0] for _ in range(count)]
        target = np.stack(patches).astype(np.float32)
        noisy = target + sigma * rng.standard_normal(target.shape, dtype=np.float32)
        return torch.from_numpy(noisy) / 255, torch.from_numpy(target) / 255

    torch.manual_seed(recipe.seed)
    network = DnCNN()
    return network, _fit(network, [{"params": network.parameters(), "factor": 1.0}], draw, recipe)


def train_fsrcnn(clean: Sequence[np.ndarray], factor: int, recipe: Recipe) -> tuple[nn.Module, int]:
    """Train an FSRCNN on clean gray images `(1, H, W)`; return it and the steps that it took."""
    pairs, down, nobody = [], Degradation(scale=factor, greatest=255.0), np.random.default_rng(0)
    for image in clean:
        whole = image[:, : image.shape[1] // factor * factor, : image.shape[2] // factor * factor]
        pairs.append((down(whole, nobody), whole))

    side = min(FSRCNN_PATCH, *(length for coarse, _ in pairs for length in coarse.shape[1:]))

    def draw(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = [_patch(rng, pairs[int(rng.integers(len(pairs)))], side, (1, factor)) for _ in range(count)]
        given, target = (np.stack(part).astype(np.float32) for part in zip(*chosen, strict=True))
        return torch.from_numpy(given) / 255, torch.from_numpy(target) / 255

    torch.manual_seed(recipe.seed)
    network = FSRCNN(factor)
    groups = [
        {"params": network.features.parameters(), "factor": 1.0},
        {"params": network.enlarge.parameters(), "factor": 0.1},  # section 4.1 of the paper
    ]
    return network, _fit(network, groups, draw, recipe)


def apply(network: nn.Module, picture: Picture) -> np.ndarray:
    """Return the restored gray values `(1, H, W)` of a picture, which goes through the network whole."""
    with torch.inference_mode():
        x = torch.from_numpy(picture.given)[None] / 255
        return (network.eval()(x.contiguous(memory_format=torch.channels_last))[0] * 255).numpy()


def _patch(
    rng: np.random.Generator, images: Sequence[np.ndarray], side: int, factors: Sequence[int]
) -> list[np.ndarray]:
    """The same patch of an image on several grids, of `side` positions on the first, mirrored and turned alike."""
    top, left = (int(rng.integers(n - side + 1)) for n in images[0].shape[1:])
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    patches = []
    for image, factor in zip(images, factors, strict=True):
        rows, columns = (slice(start * factor, (start + side) * factor) for start in (top, left))
        patch = np.rot90(image[:, rows, columns], turns, axes=(1, 2))
        patches.append(patch[:, :, ::-1] if mirror else patch)
    return patches


def _fit(network: nn.Module, groups: list[dict], draw: Draw, recipe: Recipe) -> int:
    """Train until the minutes are over; return the steps."""
    torch.set_flush_denormal(True)
    network.to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.Adam([{"params": list(group["params"])} for group in groups], lr=RATE)
    rng, start, step = np.random.default_rng(recipe.seed), time.monotonic(), 0
    while (progress := (time.monotonic() - start) / (60 * recipe.minutes)) < 1:
        for mine, group in zip(optimizer.param_groups, groups, strict=True):
            mine["lr"] = group["factor"] * RATE * FALL**-progress
        given, target = (part.contiguous(memory_format=torch.channels_last) for part in draw(rng, recipe.batch))
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            output = network(given)
        loss = F.mse_loss(output.float(), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 100 == 1:
            print(f"step {step}: {progress:.0%} of {recipe.minutes:g} minutes, loss {loss.item():.3g}", flush=True)
    return step
