"""Make the two pictures of docs/streaming.md: `python docs/streaming_pictures.py`."""

from itertools import islice
from pathlib import Path

import matplotlib as mpl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.geometry.program import ProgramWalk, build, full_box
from atrous.stream import prepare, stream

mpl.use("svg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).parent
DROPPED, KEPT, NEW = "#d9d9d9", "#4c78a8", "#f58518"


class SmallUNet(nn.Module):
    """Two levels, one skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.deep, self.deeper = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.join, self.head = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of two classes."""
        skip = self.second(self.first(x).relu()).relu()
        x = self.deeper(self.deep(F.max_pool2d(skip, 4)).relu()).relu()
        x = self.join(torch.cat([F.interpolate(x, scale_factor=4.0), skip], 1)).relu()
        return self.head(x)


def draw_step(network: nn.Module, rows: int = 96, strip: int = 16, step: int = 3) -> None:
    """Draw the rows that every operator has dropped, keeps and computes in one step."""
    ready = prepare(network, (3, rows, 8))
    axes = {0: ready.axes[0]}
    program = build(axes, 0, {ready.graph.output: full_box(axes, ready.graph.output)}, (0,))
    walk = ProgramWalk(program)
    ready_rows = {}
    for _ in islice(walk.finite(strip), step):
        before, ready_rows = ready_rows, dict(walk.done)
    shown = [op for op in program.graph.ops if op.index in program.boxes]
    figure, axis = plt.subplots(figsize=(8, 0.3 * len(shown) + 0.8))
    for line, op in enumerate(shown):
        unit = rows / program.axis.length(op.index)
        first = walk.first_needed(op.index) if op.index != ready.graph.output else ready_rows[op.index]
        start = before.get(op.index, 0)
        axis.barh(line, ready_rows[op.index] * unit, color=DROPPED, height=0.7)
        axis.barh(line, (ready_rows[op.index] - first) * unit, left=first * unit, color=KEPT, height=0.7)
        axis.barh(
            line,
            (ready_rows[op.index] - start) * unit,
            left=start * unit,
            color="none",
            edgecolor=NEW,
            linewidth=2,
            height=0.7,
        )
    names = ["input" if op.kind == "input" else f"{op.module} {op.kind}" for op in shown]
    axis.set_yticks(range(len(shown)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, rows)
    axis.axvline(step * strip, color="black", linestyle=":", linewidth=1)
    axis.set_xlabel("input row (dotted: what has arrived)")
    for color, label in ((DROPPED, "computed, dropped"), (KEPT, "kept")):
        axis.barh(0, 0, color=color, label=label)
    axis.barh(0, 0, facecolor="none", edgecolor=NEW, linewidth=2, label="computed in this step")
    axis.legend(loc="lower right", fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(FOLDER / "streaming_step.svg", metadata={"Date": None})


def tiled(network: nn.Module, x: Tensor, size: int = 96, overlap: float = 0.25) -> Tensor:
    """Return scores computed on overlapping tiles and averaged where they overlap, as most tools do."""
    with torch.inference_mode():
        total = torch.zeros(2, *x.shape[1:])
        count = torch.zeros(x.shape[1:])
        starts = [sorted({*range(0, n - size, int(size * (1 - overlap))), n - size}) for n in x.shape[1:]]
        for top in starts[0]:
            for left in starts[1]:
                box = (slice(top, top + size), slice(left, left + size))
                total[:, *box] += network(x[None, :, *box])[0]
                count[box] += 1
    return total / count


def draw_seams(network: nn.Module, size: int = 384) -> None:
    """Draw the pixels whose labels differ from those of the whole image."""
    coarse = torch.randn(1, 3, size // 8, size // 8)
    x = F.interpolate(coarse, size=(size, size), mode="bicubic")[0] + 0.3 * torch.randn(3, size, size)
    with torch.inference_mode():
        whole = network(x[None])[0].argmax(0).numpy()
    labels_by_method = {
        "tiles of 96, overlap 0.25": tiled(network, x).argmax(0).numpy(),
        "streamed, strips of 16": stream(network, x.numpy(), strip=16, post="argmax"),
    }
    figure, axes = plt.subplots(1, 2, figsize=(8, 4.2))
    for axis, (name, labels) in zip(axes, labels_by_method.items(), strict=True):
        share = float((labels != whole).mean())
        axis.imshow(labels != whole, cmap="gray_r", interpolation="nearest")
        axis.set_title(f"{name}: {share:.2%} differ", fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.tight_layout()
    figure.savefig(FOLDER / "streaming_seams.svg", metadata={"Date": None}, dpi=100)


def main() -> None:
    """Draw both pictures."""
    torch.manual_seed(0)
    mpl.rcParams["svg.hashsalt"] = "atrous"
    network = SmallUNet().eval()
    draw_step(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    draw_seams(network)


if __name__ == "__main__":
    main()
