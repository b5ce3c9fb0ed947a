"""Features on the two strands of a sequence: any number of them at a position."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from atrous.errors import UserError
from atrous.labels import FRAME_BITS, IGNORE, MOST_BITS
from atrous.objects.genes import SHORTEST, GeneRules
from atrous.objects.genetic_code import require_codes
from atrous.objects.orfs import ENDS, FRAMES
from atrous.ranks import total, totals
from atrous.tasks.gene_ends import end_loss
from atrous.tasks.losses import dice_of_sums
from atrous.tasks.stranded_metrics import StrandedMetrics

CODING = ("CDS+", "CDS-")
"""Classes of coding sequence."""

PRIOR = math.log(0.01 / 0.99)
"""Log-odds of an end of a gene where the network's output is 0: of a hundred start or stop codons one is such an end. A
fresh network then says what is true of most, and its first steps are not spent on that (Lin et al. 2017, "Focal loss
for dense object detection", section 4.1)."""


@dataclass(frozen=True)
class Stranded:
    """One yes or no per feature and strand at every base, by sigmoid.

    A label is a set of bits, bit k for channel k, in its low byte, 255 where nothing counts; so is what `decode`
    gives. With `frames` the network has six channels more while it trains: whether a base is the first, second or
    third of a codon on either strand, which the high byte of the labels says. They teach it to keep the frames apart,
    and are dropped by `decode` and `probabilities`.

    With genetic codes it also finds genes with their ends. Four more channels say whether a base is the first or the
    last one of a gene on either strand; `probabilities` keeps them and those of the frame, after those of the classes,
    since genes are decoded from them (`objects/genes.py`).

    Attributes:
        classes: names of the channels, `CDS+`, `CDS-` and so on: strands alternate.
        dice: weight of the soft Dice loss beside the binary cross-entropy.
        threshold: probability from which a base has a feature, before calibration.
        frames: whether there are channels of the reading frame.
        temperature: what outputs are divided by before the sigmoid (`atrous.tasks.temperature`). Labels do not depend
            on it.
        genetic_codes: NCBI's numbers of the codes by which genes are read; none: no genes are decoded.
        ends: weight of the loss of starts and stops.
        overlap: greatest number of bases by which neighboring genes may overlap.
        shortest: per class, bases of the shortest interval or gene that is written; empty: any.

    >>> task = Stranded(("CDS+", "CDS-"))
    >>> task.decode(torch.tensor([[[3.0, -3.0, 2.0], [-1.0, 1.0, 2.0]]])).tolist()
    [[1, 2, 3]]
    """

    classes: tuple[str, ...]
    dice: float = 1.0
    threshold: float = 0.5
    frames: bool = False
    temperature: float = 1.0
    genetic_codes: tuple[int, ...] = ()
    ends: float = 4.0
    overlap: int = 60
    shortest: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < len(self.classes) <= MOST_BITS:
            raise ValueError(f"{len(self.classes)} channels: 1 to {MOST_BITS} fit a byte with {IGNORE} for void")
        if not self.genetic_codes:
            return
        if not self.frames or not set(CODING) <= set(self.classes):
            raise ValueError("genetic_codes are for genes: they need frames = true and the classes CDS+ and CDS-")
        try:
            require_codes(self.genetic_codes)
        except UserError as error:
            raise ValueError(f"genetic_codes: {error}") from None

    watched = ("miou", "pixel_accuracy")
    higher_is_better = True
    joint_loss = True
    bits = True
    """Labels are sets of classes, one bit per class."""

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "Stranded":
        """Make the task from the section `task` of a recipe."""
        return cls(
            tuple(section["classes"]), section["dice"], section["threshold"], section["frames"],
            genetic_codes=tuple(section["genetic_codes"]), ends=section["ends"], overlap=section["overlap"],
            shortest=tuple(section["shortest"]),
        )  # fmt: skip

    @property
    def out_channels(self) -> int:
        """One channel per class, and those of the reading frame and of the ends of genes."""
        return len(self.classes) + (FRAMES if self.frames else 0) + (ENDS if self.genetic_codes else 0)

    @property
    def evidence(self) -> int:
        """Channels that `probabilities` gives beyond those of the classes."""
        return FRAMES + ENDS if self.genetic_codes else 0

    @property
    def gene_rules(self) -> GeneRules | None:
        """What genes must fulfil; None if none are decoded."""
        if not self.genetic_codes:
            return None
        lengths = [length for name, length in zip(self.classes, self.shortest, strict=False) if name in CODING]
        return GeneRules(self.genetic_codes, min(lengths, default=SHORTEST), self.overlap)

    @property
    def level(self) -> float:
        """The threshold as a calibrated probability: the same outputs reach it."""
        if self.temperature == 1:
            return self.threshold
        return 1 / (1 + (1 / self.threshold - 1) ** (1 / self.temperature))

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy of all channels plus soft Dice of the classes; void left out.

        That of the ends of genes is the mean over the codons at which a gene may begin or end (`end_loss`).
        """
        output, count = output.float(), len(self.classes)
        if self.genetic_codes:
            output, ends = output[:, :-ENDS], output[:, -ENDS:] + PRIOR
            return self._loss(output, target, count) + self.ends * end_loss(ends, target, self.genetic_codes)
        return self._loss(output, target, count)

    def _loss(self, output: torch.Tensor, target: torch.Tensor, count: int) -> torch.Tensor:
        """The loss without that of the ends of genes."""
        counted = ((target & 0xFF) != IGNORE).unsqueeze(1)
        truth = self._bits(target)
        if self.frames:
            truth = torch.cat([truth, _frame_truth(target)], dim=1)
        costs = F.binary_cross_entropy_with_logits(output, truth, reduction="none") * counted
        cost, mass = totals(costs.sum(), counted.sum())
        loss = cost / mass.clamp(min=1)
        if self.dice > 0:
            loss = loss + self.dice * soft_dice(output[:, :count].sigmoid() * counted, truth[:, :count] * counted)
        return loss

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """The set of each base's classes as bits, `(N, *S)` uint8."""
        present = output[:, : len(self.classes)].float().sigmoid() >= self.threshold
        weights = 2 ** torch.arange(len(self.classes), device=output.device, dtype=torch.uint8)
        return (present.to(torch.uint8) * weights.view(1, -1, *[1] * (output.ndim - 2))).sum(1, dtype=torch.uint8)

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Sigmoid of the channels of the classes, at the temperature, and then of the `evidence` for genes."""
        count, output = len(self.classes), output.float()
        classes = output[:, :count] / self.temperature
        if not self.genetic_codes:
            return classes.sigmoid()
        return torch.cat([classes, output[:, count:-ENDS], output[:, -ENDS:] + PRIOR], dim=1).sigmoid()

    def metrics(self, *, full: bool = True) -> StrandedMetrics:
        """Counts per base, feature and strand; of probabilities and with genes when `full`, of logits otherwise."""
        threshold, rules = (self.level, self.gene_rules) if full else (self.threshold, None)
        return StrandedMetrics(self.classes, threshold, logits=not full, rules=rules)

    def _bits(self, target: torch.Tensor) -> torch.Tensor:
        """Labels `(N, *S)` as zeros and ones `(N, K, *S)` float32."""
        shifts = torch.arange(len(self.classes), device=target.device).view(1, -1, *[1] * (target.ndim - 1))
        return ((target.unsqueeze(1) >> shifts) & 1).float()


def _frame_truth(target: torch.Tensor) -> torch.Tensor:
    """Zeros and ones `(N, 6, *S)`: first base of a codon on `+`, on `-`, second base on `+`, and so on."""
    codes = [(target >> (8 + FRAME_BITS * strand)) & 3 for strand in (0, 1)]
    return torch.stack([codes[row % 2] == row // 2 + 1 for row in range(FRAMES)], dim=1).float()


def soft_dice(probabilities: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """One minus the soft Dice coefficient, averaged over the channels that occur in the batch; both `(N, K, *S)`.

    >>> soft_dice(torch.ones(1, 1, 4), torch.ones(1, 1, 4)).item()
    0.0
    """
    axes = [0, *range(2, truth.ndim)]
    parts = (probabilities * truth).sum(axes), probabilities.sum(axes), truth.sum(axes)
    return dice_of_sums(total(torch.stack(parts)))
