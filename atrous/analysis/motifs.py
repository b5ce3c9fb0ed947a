"""The motifs that a network trained on sequences has learned: of its first filters, and of what speaks for a class."""

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
_MOST = 16  # logos in one picture


@dataclass(frozen=True)
class Motifs:
    """Motifs found in a network, and for each the nearest ones of a database where one was given.

    Attributes:
        network: class of the network.
        method: "filters", "gradients" or "integrated".
        motifs: the strongest first.
        matches: for each motif, the nearest known ones, the best first.
    """

    network: str
    method: str
    motifs: tuple[Motif, ...]
    matches: tuple[tuple[Match, ...], ...] = field(default=())

    def compared(self, known: Sequence[Motif], most: int = 3) -> "Motifs":
        """With the nearest of `known` for each motif (`similarity.nearest`)."""
        return replace(self, matches=tuple(tuple(nearest(motif, known, most)) for motif in self.motifs))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
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
        """One line per motif."""
        lines = [f"{self.network}: {len(self.motifs)} motifs by {self.method}"]
        for motif, matches in self._rows():
            lines.append(f"  {motif.name}: {motif.consensus}, {motif.sites} sites, {motif.information.sum():.1f} bits")
            lines += [
                f"      {m.similarity:.2f} {m.target.name} {m.target.source} ({m.strand})".rstrip() for m in matches
            ]
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Write the first 16 motifs as sequence logos, in bits.

        Raises:
            UserError: there are none, or the suffix or folder is wrong.
        """
        if not self.motifs:
            raise UserError(f"{path}: no motif was found, so there is nothing to draw")
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
    """Find motifs in what a network does with sequences.

    Args:
        network: `(N, 4, L) -> (N, K, L')`.
        sequences: one-hot `(4, L)` each, channels A, C, G, T.
        method: "filters": the windows that activate each filter of the first convolution most (Alipanahi et al. 2015);
            "gradients" or "integrated": the stretches that contribute most to a class (`contributions.py`), gathered
            (`seqlets.py`).
        targets: output channels to explain; all but channel 0, the background, when None.
        classes: names of the output channels.
        width: of the windows in which contributions are summed: about that of the shortest motif, or a little more.
        flank: positions that are looked at on either side of a window.
        output: which tensor, when the network returns several.

    Raises:
        UserError: an unknown method, values that are no bases, or no convolution that reads them.
    """
    if method not in METHODS:
        raise UserError(f"method {method!r}: choose of {', '.join(METHODS)}")
    for sequence in sequences:
        require_bases(sequence)
    if not sequences:
        raise UserError("no sequences: motifs are found in what the network does with some")
    kind = type(network).__name__
    if method == "filters":
        return Motifs(kind, method, tuple(filter_motifs(network, sequences)))
    if targets is None:
        with evaluating(network), torch.no_grad():
            count = forward(network, _batch(network, sequences[0]), output).shape[1]
        targets = range(1, count)
    found: list[Motif] = []
    for target in targets:
        scores = [contributions(network, s, target, method=method, output=output) for s in sequences]
        name = classes[target] if classes is not None else f"class {target}"
        found += gather(find_seqlets(sequences, scores, width=width, flank=flank), name)
    return Motifs(kind, method, tuple(found))


def filter_motifs(
    network: nn.Module, sequences: Sequence[np.ndarray], *, share: float = 0.5, most: int = 1000
) -> list[Motif]:
    """For each filter of the first convolution, the letters under the windows that activate it most.

    Windows count whose activation is beyond `share` of the way from the mean to the greatest one, at most `most` of
    them, as Alipanahi et al. 2015 (DeepBind) and Kelley et al. 2016 (Basset) do. Windows that reach beyond an end of
    their sequence are left out. Filters are sorted by the bits of their motif.

    Raises:
        UserError: the network has no convolution, or the first one does not read four channels.
    """
    first = filters(network)
    layer: Any = dict(network.named_modules())[first.layer] if first.layer != type(network).__name__ else network
    if first.weights.shape[1:2] != (4,) or first.ndim != 1:
        raise UserError(f"{first.layer}: the first convolution does not read bases (four channels along one axis)")
    taken: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda module, given, result: taken.append(result.detach()[0].double().cpu()))
    try:
        with evaluating(network), torch.no_grad():
            for sequence in sequences:
                network(_batch(network, sequence))
    finally:
        handle.remove()
    reach = layer.dilation[0] * (layer.kernel_size[0] - 1)
    pad = layer.padding[0] if not isinstance(layer.padding, str) else (reach // 2 if layer.padding == "same" else 0)
    offsets = layer.dilation[0] * np.arange(layer.kernel_size[0])
    activations, windows = [], []
    for sequence, result in zip(sequences, taken, strict=True):
        starts = layer.stride[0] * np.arange(result.shape[1]) - pad
        inside = (starts >= 0) & (starts + reach < sequence.shape[1])
        activations.append(result.numpy()[:, inside])
        windows.append(sequence[:, starts[inside][:, None] + offsets])
    values, letters = np.concatenate(activations, 1), np.concatenate(windows, 1)
    found = []
    for number, row in enumerate(values):
        limit = row.mean() + share * (row.max() - row.mean())
        chosen = np.flatnonzero(row > limit)
        chosen = chosen[np.argsort(-row[chosen], kind="stable")[:most]]
        counts = letters[:, chosen].sum(1).astype(float) if len(chosen) else np.ones((4, len(offsets)))
        motif = Motif(f"filter {number}", counts, first.layer)
        found.append(replace(motif, score=float(motif.information.sum())))
    return sorted(found, key=lambda motif: -motif.score)


def bits_logo(axes: Axes, motif: Motif) -> None:
    """Draw a motif as a sequence logo (Schneider & Stephens 1990): a stack is as high as its position has bits.

    >>> from matplotlib.figure import Figure
    >>> bits_logo(Figure().add_subplot(), Motif("ACGT", np.eye(4) * 9))
    """
    for position, (column, bits) in enumerate(zip(motif.frequencies.T, motif.information, strict=True)):
        at = 0.0
        for height, base in sorted(zip(column * max(0.0, bits), LETTERS, strict=True)):
            if height > 1e-3:
                letter(axes, base, position, at, height)
            at += height
    axes.set_xlim(-0.5, motif.width - 0.5)
    axes.set_ylim(0, 2)
    axes.set_yticks([0, 1, 2])
    axes.set_xticks([])
    axes.tick_params(labelsize=8, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "left")


def _batch(network: nn.Module, sequence: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(sequence)).to(like(network))[None]
