"""The motifs that a network has learned from sequences: in its first filters, and in what it predicts classes from."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from atrous.analysis.contributions import contributions, require_bases
from atrous.analysis.drawing import INK, panels, save
from atrous.analysis.filters import filters, letter
from atrous.analysis.motif import LETTERS, Motif
from atrous.analysis.probe import Output, evaluating, forward, like
from atrous.analysis.seqlets import find_seqlets, gather
from atrous.analysis.similarity import Match, nearest
from atrous.errors import UserError

METHODS = ("integrated", "gradients", "filters")
SAME = 0.9
"""Similarity to a known motif above which a motif is taken to be that one, and is written on its strand."""
_MOST = 16  # logos in one picture at most


@dataclass(frozen=True)
class Motifs:
    """The motifs of a network and, if they were compared with a database, the most similar known motifs of each.

    Attributes:
        network: name of the network's class.
        method: "filters", "gradients" or "integrated".
        motifs: the motifs, the strongest first.
        matches: for each motif, the most similar known motifs, the best first; empty if there was no comparison.
    """

    network: str
    method: str
    motifs: tuple[Motif, ...]
    matches: tuple[tuple[Match, ...], ...] = field(default=())

    def compared(self, known: Sequence[Motif], most: int = 3) -> "Motifs":
        """Return a copy with the `most` most similar motifs of `known` for each motif (see `similarity.nearest`).

        A motif that was found on both strands is written as the most similar known one is, if that is much like it.
        """
        written, found = [], []
        for motif in self.motifs:
            matches = nearest(motif, known, most)
            if motif.both_strands and matches and matches[0].strand == "-" and matches[0].similarity >= SAME:
                motif = motif.reverse()  # noqa: PLW2901
                matches = nearest(motif, known, most)
            written.append(motif)
            found.append(tuple(matches))
        return replace(self, motifs=tuple(written), matches=tuple(found))

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON."""
        return {
            "network": self.network,
            "method": self.method,
            "motifs": [
                {
                    "name": motif.name,
                    "consensus": motif.consensus,
                    "sites": motif.sites,
                    "bits": float(motif.information.sum()),
                    "frequencies": motif.frequencies.round(4).tolist(),
                    "matches": [
                        {"id": m.target.source, "name": m.target.name, "similarity": m.similarity, "strand": m.strand}
                        for m in matches
                    ],
                }
                for motif, matches in self._rows()
            ],
        }

    def text(self) -> str:
        """Return one line per motif, and one per match."""
        lines = [f"{self.network}: {len(self.motifs)} motifs by {self.method}"]
        for motif, matches in self._rows():
            lines.append(f"  {motif.name}: {motif.consensus}, {motif.sites} sites, {motif.information.sum():.1f} bits")
            lines += [
                f"      {m.similarity:.2f} {m.target.name} {m.target.source} ({m.strand})".rstrip() for m in matches
            ]
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Draw the first 16 motifs as sequence logos, in bits.

        Raises:
            UserError: there is no motif, the suffix of `path` is not that of a picture, or its folder does not exist.
        """
        if not self.motifs:
            raise UserError(f"{path}: no motif was found, so there is nothing to draw: give more or longer sequences")
        shown = list(self._rows())[:_MOST]
        figure, _ = panels(1)
        figure.clear()
        rows = -(-len(shown) // 2)
        figure.set_size_inches(9.0, 1.7 * rows)
        for i, (motif, matches) in enumerate(shown):
            axes = figure.add_subplot(rows, 2, i + 1)
            bits_logo(axes, motif)
            near = f"  ~ {matches[0].target.name} {matches[0].similarity:.2f}" if matches else ""
            axes.set_title(f"{motif.name}, {motif.sites} sites{near}", fontsize=9, color=INK)
        return save(figure, path)

    def _rows(self) -> list[tuple[Motif, tuple[Match, ...]]]:
        return list(zip(self.motifs, self.matches or ((),) * len(self.motifs), strict=True))


def motifs(
    network: nn.Module,
    sequences: Sequence[np.ndarray],
    *,
    method: str = "integrated",
    targets: Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    width: int = 12,
    flank: int = 8,
    output: Output = None,
) -> Motifs:
    """Find the motifs that a network has learned, by what it does with sequences.

    Args:
        network: `(N, 4, L) -> (N, K, L')`.
        sequences: one-hot arrays `(4, L)`, channels A, C, G, T; L may differ.
        method: "filters" counts the letters of the windows that activate each filter of the first convolution most
            (Alipanahi et al. 2015). "gradients" and "integrated" compute how much each base contributes to a class
            (`contributions`), find the intervals that contribute most and cluster them (`find_seqlets`, `gather`).
        targets: output channels to explain; by default all but channel 0, the background.
        classes: names of the output channels.
        width: width of the windows in which contributions are summed, in bases. Choose the width of the shortest motif
            or a little more.
        flank: bases on either side of a window that belong to the interval.
        output: which tensor to use if the network returns several.

    Raises:
        UserError: the method does not exist, there are no sequences, a sequence is not one of bases, or (for "filters")
            the first convolution does not read bases.
    """
    if method not in METHODS:
        raise UserError(f"method {method!r}: choose from {', '.join(METHODS)}")
    for sequence in sequences:
        require_bases(sequence)
    if not sequences:
        raise UserError("no sequences: give at least one, since motifs are found in what the network does with them")
    kind = type(network).__name__
    if method == "filters":
        return Motifs(kind, method, tuple(filter_motifs(network, sequences)))
    if targets is None:
        with evaluating(network), torch.no_grad():
            count = forward(network, _batch(network, sequences[0]), output).shape[1]
        targets = range(1, count)
    class_motifs: list[Motif] = []
    for target in targets:
        scores = [contributions(network, s, target, method=method, output=output) for s in sequences]
        name = classes[target] if classes is not None else f"class {target}"
        class_motifs += gather(find_seqlets(sequences, scores, width=width, flank=flank), name)
    return Motifs(kind, method, tuple(class_motifs))


def filter_motifs(
    network: nn.Module, sequences: Sequence[np.ndarray], *, share: float = 0.5, most: int = 1000
) -> list[Motif]:
    """Count, for each filter of the first convolution, the letters of the windows that activate it most.

    A window counts if its activation a exceeds `mean(a) + share (max(a) - mean(a))`, taken over all windows of all
    sequences, as in Alipanahi et al. 2015 (DeepBind) and Kelley et al. 2016 (Basset). Windows that reach beyond an end
    of their sequence are left out.

    Args:
        network: `(N, 4, L) -> (N, K, L')`.
        sequences: one-hot arrays `(4, L)`.
        share: the threshold, as in the formula.
        most: largest number of windows per filter, the most active ones.

    Returns:
        One motif per filter, sorted by information (bits), largest first.

    Raises:
        UserError: the network has no convolution, or the first one does not read four channels along one axis.
    """
    first = filters(network)
    layer: Any = dict(network.named_modules())[first.layer] if first.layer != type(network).__name__ else network
    if first.weights.shape[1:2] != (4,) or first.ndim != 1:
        raise UserError(f"{first.layer}: the first convolution does not read bases (four channels along one axis)")
    outputs: list[torch.Tensor] = []  # (filters, windows) of each sequence
    handle = layer.register_forward_hook(
        lambda module, inputs, result: outputs.append(result.detach()[0].double().cpu())
    )
    try:
        with evaluating(network), torch.no_grad():
            for sequence in sequences:
                network(_batch(network, sequence))
    finally:
        handle.remove()
    # Window i starts at base `stride * i - pad`; its letters are `dilation` apart and span `reach + 1` bases.
    reach = layer.dilation[0] * (layer.kernel_size[0] - 1)
    pad = layer.padding[0] if not isinstance(layer.padding, str) else (reach // 2 if layer.padding == "same" else 0)
    offsets = layer.dilation[0] * np.arange(layer.kernel_size[0])
    activations, windows = [], []
    for sequence, result in zip(sequences, outputs, strict=True):
        starts = layer.stride[0] * np.arange(result.shape[1]) - pad
        inside = (starts >= 0) & (starts + reach < sequence.shape[1])
        activations.append(result.numpy()[:, inside])
        windows.append(sequence[:, starts[inside][:, None] + offsets])
    values, letters = np.concatenate(activations, 1), np.concatenate(windows, 1)
    motifs_of_filters = []
    for number, row in enumerate(values):  # values (filters, windows), letters (4, windows, kernel)
        limit = row.mean() + share * (row.max() - row.mean())
        chosen = np.flatnonzero(row > limit)
        chosen = chosen[np.argsort(-row[chosen], kind="stable")[:most]]
        counts = letters[:, chosen].sum(1).astype(float) if len(chosen) else np.ones((4, len(offsets)))
        motif = Motif(f"filter {number}", counts, first.layer)
        motifs_of_filters.append(replace(motif, score=float(motif.information.sum())))
    return sorted(motifs_of_filters, key=lambda motif: -motif.score)


def bits_logo(axes: Axes, motif: Motif) -> None:
    """Draw a motif as a sequence logo (Schneider & Stephens 1990).

    The letters of a position are stacked to a height of its information in bits, each in proportion to its frequency.

    >>> from matplotlib.figure import Figure
    >>> bits_logo(Figure().add_subplot(), Motif("ACGT", np.eye(4) * 9))
    """
    for position, (column, bits) in enumerate(zip(motif.frequencies.T, motif.information, strict=True)):
        stacked = 0.0
        for height, base in sorted(zip(column * max(0.0, bits), LETTERS, strict=True)):
            if height > 1e-3:
                letter(axes, base, position, stacked, height)
            stacked += height
    axes.set_xlim(-0.5, motif.width - 0.5)
    axes.set_ylim(0, 2)
    axes.set_yticks([0, 1, 2])
    axes.set_xticks([])
    axes.tick_params(labelsize=8, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "left")


def _batch(network: nn.Module, sequence: np.ndarray) -> torch.Tensor:
    """Return a sequence `(4, L)` as a tensor `(1, 4, L)` of the network's device and number type."""
    return torch.as_tensor(np.ascontiguousarray(sequence)).to(like(network))[None]
