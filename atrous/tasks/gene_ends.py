"""Where genes may begin and end, and where they do: what the channels of starts and stops learn."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from atrous.labels import BASE_BIT, IGNORE, START_BIT
from atrous.objects.genetic_code import codon_table, genetic_code
from atrous.objects.orfs import ENDS
from atrous.ranks import totals


def bases_of(labels: torch.Tensor) -> torch.Tensor:
    """Return the bases that labels of a sequence hold: 1 to 4 for A, C, G, T, and 0 where they are not known."""
    return labels >> BASE_BIT & 7


def true_ends(labels: torch.Tensor) -> torch.Tensor:
    """Return `(N, 4, L)` bool for labels `(N, L)`: starts on `+` and `-`, stops on `+` and `-`.

    A start is the first base of a gene in the direction of reading, a stop the last one.
    """
    shifts = torch.arange(START_BIT, START_BIT + ENDS, device=labels.device).view(1, -1, 1)
    return (labels.unsqueeze(1) >> shifts & 1).bool()


def possible_ends(labels: torch.Tensor, codes: Sequence[int]) -> torch.Tensor:
    """Return where a start or a stop codon of the genetic codes stands: `(N, 4, L)` bool, as `true_ends`.

    >>> labels = torch.tensor([["ACGT".index(letter) + 1 << BASE_BIT for letter in "CATGATAAC"]])
    >>> possible_ends(labels, [11])[0].int().argmax(-1).tolist()  # ATG, CAT, TGA, none
    [1, 2, 4, 0]
    """
    bases = F.pad(bases_of(labels), (0, 2))
    length = labels.shape[-1]
    codons = 25 * bases[:, :length] + 5 * bases[:, 1 : length + 1] + bases[:, 2:]
    known = [genetic_code(number) for number in codes]
    places = []
    for kind, late in (("starts", (False, True)), ("stops", (True, False))):
        found = sorted({codon for code in known for codon in getattr(code, kind)})
        for reverse in (False, True):
            table = torch.from_numpy(np.ascontiguousarray(codon_table(found, reverse=reverse))).to(labels.device)
            here = table[codons]
            # what is read first on `-`, and last on `+`, is the third base of the codon
            places.append(F.pad(here, (2, 0))[:, :length] if late[reverse] else here)
    return torch.stack(places, dim=1)


def end_loss(output: torch.Tensor, labels: torch.Tensor, codes: Sequence[int]) -> torch.Tensor:
    """Return the binary cross-entropy of starts and stops, the mean over the codons at which a gene may begin or end.

    Only these are ever asked for, and of these one in a hundred is true instead of one base in two thousand: none
    needs a weight of its own, and the probabilities stay calibrated. Void counts for nothing.

    Args:
        output: logits `(N, 4, L)`, as `true_ends`.
        labels: `(N, L)` with the bases.
        codes: genetic codes; a codon counts if it is a start or stop codon of one of them.
    """
    counted = possible_ends(labels, codes) & ((labels & 0xFF) != IGNORE).unsqueeze(1)
    costs = F.binary_cross_entropy_with_logits(output, true_ends(labels).float(), reduction="none") * counted
    cost, count = totals(costs.sum(), counted.sum())
    return cost / count.clamp(min=1)
