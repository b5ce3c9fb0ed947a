"""Restoration: images from images (denoising, deblurring, super-resolution), measured as the field does."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atrous.tasks.measures import Measures
from atrous.tasks.summed import SummedLoss
from atrous.tasks.task import NotFinite
from atrous.tasks.values import ValueTask

Y_WEIGHTS = (65.481, 128.553, 24.966)
"""Of red, green and blue in 0..1 for Y of BT.601, which runs from 16 to 235."""
NO_WINDOW = 11
"""SSIM looks at windows of so many positions along each axis; smaller images have none."""


@dataclass(frozen=True)
class RestorationTask(ValueTask):
    """Clean values from degraded ones.

    Attributes:
        peak: what the peak signal of PSNR and SSIM is: the range of the values.
        factor: the grid of the output is finer than that of the input by this factor along each axis.
        color: whether three channels are red, green and blue of 8-bit pictures, so that there is a luma.
    """

    peak: float = 255.0
    factor: int = 1  # type: ignore[misc]
    color: bool = False

    pictures = True
    watched = ("psnr",)
    higher_is_better = True

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "RestorationTask":
        """Make the task of the section `task` of a recipe."""
        options = section["options"]
        offset, scale = tuple(options.get("offset", (0.0,))), tuple(options.get("scale", (1.0,)))
        limits = options.get("limits")
        return cls(
            tuple(options.get("outputs", [f"channel {number}" for number in range(1, len(offset) + 1)])),
            offset, scale, options.get("loss", "l1"), None if limits is None else (limits[0], limits[1]),
            peak=float(options.get("peak", 255.0)), factor=section["scale"] or 1, color=bool(options.get("color")),
        )  # fmt: skip

    @property
    def of_bytes(self) -> bool:
        """See `ValueTask.of_bytes`: clean images of other types have another peak."""
        return self.peak == 255.0

    def summed_loss(self) -> SummedLoss:
        """See `SummedTask`."""
        return self.mean_error()

    def metrics(self, *, full: bool = True) -> "RestorationMetrics":
        """See `Task.metrics`; quick ones are PSNR alone."""
        return RestorationMetrics(self, full)


class RestorationMetrics:
    """PSNR, PSNR of the luma, and SSIM: means over the images.

    Args:
        task: gives peak and factor, and makes values of raw output.
        full: whether all are measured, of values; else PSNR alone, of the network's output as it is.
    """

    def __init__(self, task: RestorationTask, full: bool = True) -> None:
        self._task, self._full = task, full
        self._rows: dict[str, dict[str, float]] = {}

    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """Count the values `(K, *S)` of an image against the clean ones, NaN where these are unknown.

        Raises:
            NotFinite: a value is nan or infinite.
        """
        values = probabilities if self._full else self._task.probabilities(probabilities[None])[0]
        known = ~torch.isnan(target)
        if not bool(torch.isfinite(values[known]).all()):
            raise NotFinite(name)
        peak = self._task.peak
        row = {"psnr": psnr(values[known], target[known], peak)}
        if self._full:
            row |= self._further(values.float(), target.float(), known)
        self._rows[name] = row

    def _further(self, values: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> dict[str, float]:
        """PSNR of the luma and SSIM, where they exist: of pictures, and where all positions are known."""
        border = self._task.factor if self._task.factor > 1 else 0
        inside = (slice(None), *(slice(border, n - border) for n in values.shape[1:]))
        whole = bool(known.all())
        row = {"ssim": ssim(values, target, self._task.peak) if whole else math.nan}
        if target.ndim == 3 and (target.shape[0] == 1 or (target.shape[0] == 3 and self._task.color)):
            cut, clean = luma(values[inside], self._task.peak), luma(target[inside], self._task.peak)
            seen = ~torch.isnan(clean)
            row["psnr_y"] = psnr(cut[seen], clean[seen], 255.0 if target.shape[0] == 3 else self._task.peak)
        return row

    def result(self, seconds: float, tta: str = "none") -> Measures:
        """Return the means over the images; PSNR is the first. An image without error has none, also in the ranking."""
        names = list(dict.fromkeys(name for row in self._rows.values() for name in row)) or ["psnr"]
        means = {}
        for name in names:
            numbers = [row[name] for row in self._rows.values() if math.isfinite(row.get(name, math.nan))]
            means[name] = float(np.mean(numbers)) if numbers else math.nan
        per_image = {name: row["psnr"] if math.isfinite(row["psnr"]) else math.nan for name, row in self._rows.items()}
        border = self._task.factor if self._task.factor > 1 else 0
        said = [f"psnr is in dB for a peak of {self._task.peak:g}, the mean over the images"]
        if "psnr_y" in names:
            said.append(f"psnr_y is that of Y (BT.601, 16 to 235) without {border} positions at each border")
        said.append("ssim (Wang et al. 2004) has a window of 11.")
        return Measures(means, per_image, seconds, tta, conventions="; ".join(said))


def psnr(values: torch.Tensor, target: torch.Tensor, peak: float) -> float:
    """Return the peak signal-to-noise ratio in dB, infinity without error, nan without values.

    >>> round(psnr(torch.tensor([10.0, 20.0]), torch.tensor([11.0, 19.0]), 255), 2)
    48.13
    """
    if not target.numel():
        return math.nan
    error = float((values.double() - target.double()).square().mean())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def luma(values: torch.Tensor, peak: float) -> torch.Tensor:
    """Return Y of BT.601 `(1, H, W)` of red, green and blue `(3, H, W)` in 0..peak, 16 to 235; gray as it is.

    >>> luma(torch.full((3, 1, 1), 255.0), 255).item()
    235.0
    """
    if values.shape[0] != 3:
        return values
    weights = torch.tensor(Y_WEIGHTS, dtype=torch.float64).view(3, 1, 1)
    return 16 + (weights * values.double() / peak).sum(dim=0, keepdim=True)


def ssim(values: torch.Tensor, target: torch.Tensor, peak: float) -> float:
    """Return the structural similarity of `(C, *S)` of two or three axes; nan for signals and for images below 11.

    It subtracts squares of means from means of squares: float32 would leave nothing of the variance of values far from
    0.
    """
    if target.ndim < 3 or min(target.shape[1:]) < NO_WINDOW:
        return math.nan
    from torchmetrics.functional.image import structural_similarity_index_measure

    found = structural_similarity_index_measure(values.double()[None], target.double()[None], data_range=peak)
    assert isinstance(found, torch.Tensor)
    return float(found)
