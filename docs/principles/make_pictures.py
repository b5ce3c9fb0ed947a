"""Make the pictures of "FCNs from first principles": python docs/principles/make_pictures.py [name ...]

Each picture is drawn by the function that its page shows. All together take a minute or two and download nothing.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from atrous.analysis import (
    antialias,
    attribute,
    boundary,
    equivariance,
    filters,
    kernel_response,
    receptive_field,
    sharing,
    transfer,
    upsampling,
)
from atrous.analysis.drawing import COLORS, image, legend, outline, panels, save
from atrous.demo.digits import digit_scene
from atrous.nn.blurpool import binomial
from atrous.nn.transposed import linear_upsampling
from atrous.surgery import dilate

HERE = Path(__file__).parent


def resnet(children: int) -> nn.Module:
    """Return the first `children` layers of a ResNet-18 with random weights: 6 give stride 8, 7 give stride 16."""
    torch.manual_seed(0)
    return nn.Sequential(*list(torchvision.models.resnet18(weights=None).children())[:children]).eval()


def fit(network: nn.Module, loss: Callable[[], Tensor], steps: int, rate: float = 0.01) -> None:
    """Minimize `loss` with some steps of Adam."""
    optimizer = torch.optim.Adam(network.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def motif() -> None:
    """Train a convolution over DNA to find TATAAT, and draw its filter as a logo."""
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    letters = generator.integers(0, 4, (64, 200))
    truth = np.zeros((64, 200), np.float32)
    for row in range(64):
        for start in generator.choice(24, 3, replace=False) * 8:
            letters[row, start : start + 6] = [3, 0, 3, 0, 0, 3]  # TATAAT as indices into ACGT
            truth[row, start + 2] = 1
    x, y = F.one_hot(torch.from_numpy(letters), 4).float().mT, torch.from_numpy(truth)
    network = nn.Conv1d(4, 1, 9, padding=4)
    weight = torch.tensor(20.0)
    fit(network, lambda: F.binary_cross_entropy_with_logits(network(x)[:, 0], y, pos_weight=weight), 300, 0.05)
    filters(network).draw(HERE / "motif.png")


def shifts() -> None:
    """Draw the shift errors of the first half of a ResNet and of its anti-aliased copy."""
    network = resnet(6)
    result = equivariance(network, (3, 168, 168), against=antialias(network))
    print(result.text())
    result.draw(HERE / "shifts.png")


def unshared() -> None:
    """Draw the parameters that VGG-16 would have without shared weights."""
    result = sharing(torchvision.models.vgg16(weights=None).features, (3, 224, 224))
    print(result.text())
    result.draw(HERE / "sharing.png")


def slid() -> None:
    """Train a classifier of 8x8 digits, convert it to convolutions, and apply it to a scene."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    images, digits = load_digits(return_X_y=True)
    glyphs = torch.from_numpy(images / 16).float().reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(digits)
    crops, classes = [glyphs[:1500]], [labels[:1500]]
    for down, right in (
        (4, 0),
        (0, 4),
        (3, 3),
        (-3, 3),
        (-4, 0),
        (0, -4),
        (3, -3),
        (-3, -3),
        (0, 3),
        (3, 0),
        (-3, 0),
        (0, -3),
    ):
        moved = F.pad(glyphs[:1500], [4, 4, 4, 4])[..., 4 - down : 12 - down, 4 - right : 12 - right]
        crops.append(moved)
        classes.append(torch.full((1500,), 10))  # digits that are cut off: the eleventh class
    crops.append(torch.zeros(500, 1, 8, 8))
    classes.append(torch.full((500,), 10))
    x, y = torch.cat(crops), torch.cat(classes)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 11))
    fit(classifier, lambda: F.cross_entropy(classifier(x), y), 400, 0.003)
    first, last = nn.Conv2d(1, 96, 8), nn.Conv2d(96, 11, 1)
    first.load_state_dict({"weight": classifier[1].weight.reshape(96, 1, 8, 8), "bias": classifier[1].bias})
    last.load_state_dict({"weight": classifier[3].weight[..., None, None], "bias": classifier[3].bias})
    network = nn.Sequential(first, nn.ReLU(), last)
    scene, truth = torch.zeros(1, 1, 44, 100), {}
    for i, index in enumerate(range(1600, 1616)):
        row, column = 3 + 19 * (i // 8) + (i % 3) * 4, 3 + 12 * (i % 8)
        scene[0, 0, row : row + 8, column : column + 8] = glyphs[index, 0]
        truth[row, column] = int(digits[index])
    with torch.no_grad():
        probability = network(scene).softmax(1)[0, 3]
        torch.testing.assert_close(network(glyphs[:5])[:, :, 0, 0], classifier(glyphs[:5]))
    figure, (left, right) = panels(2, 5.6, 3.0)
    image(left, scene[0, 0].numpy(), color="gray")
    peaks = (probability > 0.5) & (probability == F.max_pool2d(probability[None], 9, 1, 4)[0])
    missed = 0
    for row, column in torch.nonzero(peaks).tolist():
        is_three = any(digit == 3 and abs(r - row) + abs(c - column) < 3 for (r, c), digit in truth.items())
        outline(left, [(row, row + 8), (column, column + 8)], COLORS[2 if is_three else 1])
        missed += not is_three
    wrong = "; orange: so are other digits" if missed else ""
    left.set_title(f"input, 44 x 100; green: taken for a 3{wrong}")
    image(right, probability.numpy(), top=1.0)
    right.set_title("probability of a 3 whose corner is here, 37 x 93")
    save(figure, HERE / "slid.png")


def field() -> None:
    """Draw the theoretical receptive field and the gradients of a ResNet-18 down to stride 16."""
    result = receptive_field(resnet(7), (3, 256, 256))
    print(result.text())
    result.draw(HERE / "field.png")


def checkerboard() -> None:
    """Draw the spectra of a kernel whose size is no multiple of its stride, and of linear interpolation."""
    torch.manual_seed(0)
    network = nn.ModuleDict({"random": nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1)})
    network["linear"] = linear_upsampling(2, 8, 2)
    result = upsampling(network)
    print(result.text())
    result.draw(HERE / "checkerboard.png")


def enlarged() -> None:
    """Draw one signal, a sum of three waves of amplitude 1, enlarged in three ways, and the waves that come out."""
    from scipy.signal import resample

    n = np.arange(32)
    signal = 1 + np.cos(2 * np.pi * 3 * n / 32) + np.cos(2 * np.pi * 10 * n / 32)
    x = torch.from_numpy(np.concatenate([signal[-1:], signal, signal[:1]]))[None, None]  # one period, and its neighbors
    taps = torch.full((1, 1, 3), 2 / 3, dtype=torch.float64)
    tent = torch.tensor([[[0.25, 0.75, 0.75, 0.25]]], dtype=torch.float64)
    frequency = np.arange(257) / 512
    # per way: title, output, gain, and the position of the first output
    ways = (
        (
            "linear interpolation",
            F.interpolate(x, scale_factor=2.0, mode="linear")[0, 0, 2:-2].numpy(),
            kernel_response(tent, 512)[0, 0, :257].abs().numpy() / 2,
            -0.25,
        ),
        ("Fourier zero padding", np.asarray(resample(signal, 64)), (frequency < 0.25).astype(float), 0.0),
        (
            "transposed convolution, kernel 3, stride 2",
            F.conv_transpose1d(x, taps, stride=2)[0, 0, 2:66].numpy(),
            kernel_response(taps, 512)[0, 0, :257].abs().numpy() / 2,
            -0.5,
        ),
    )
    figure, charts = panels(6, 5.0, 2.25, columns=2)
    for (title, values, gain, start), left, right in zip(ways, charts[::2], charts[1::2], strict=True):
        amplitude = np.abs(np.fft.rfft(values)) / len(values) * np.where(np.arange(33) % 32, 2, 1)
        places = np.flatnonzero(amplitude > 1e-9)
        print(title, [(int(i), round(float(amplitude[i]), 3)) for i in places])
        left.set_title(title)
        left.plot(start + np.arange(64) / 2, values, color=COLORS[0], linewidth=1.1, marker=".", markersize=4)
        left.plot(n, signal, "o", color=COLORS[1], markersize=4)
        left.set_ylim(-1.5, 3.7)
        right.plot(frequency, gain, color=COLORS[-1], linewidth=1.0)
        for old, color in ((True, COLORS[0]), (False, COLORS[1])):
            chosen = places[(places <= 16) == old]
            right.vlines(chosen / 64, 0, amplitude[chosen], color=color, linewidth=2.2)
            right.plot(chosen / 64, amplitude[chosen], "o", color=color, markersize=5)
        right.axvline(0.25, color=COLORS[-1], linestyle=":", linewidth=0.9)
        right.set_ylim(0, 1.12)
        right.set_xlim(-0.01, 0.51)
    charts[1].set_title("amplitude of the waves that come out; gray: gain")
    charts[4].set_xlabel("position; orange: the given samples")
    charts[5].set_xlabel("cycles per output position; orange: images")
    save(figure, HERE / "enlarged.png")


def frequency() -> None:
    """Draw the gain of three layers over frequency, and of the network that they are."""
    blur = nn.Conv2d(1, 1, 3, dilation=2, padding=2, bias=False)
    enlarge = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1, bias=False)
    with torch.no_grad():
        blur.weight.copy_(torch.outer(binomial(3), binomial(3)))
        enlarge.weight.fill_(4 / 9)
    result = transfer(nn.Sequential(blur, nn.AvgPool2d(2), enlarge), (1, 32, 32))
    print(result.text())
    result.draw(HERE / "frequency.png")


def dense() -> None:
    """Draw a feature map of one network at stride 8 and, dilated, at stride 1."""
    network = resnet(6)
    scene = torch.from_numpy(digit_scene((128, 128), seed=3)[0]).float()[None] / 64 - 2
    dilated = dilate(network, 1)
    with torch.no_grad():
        coarse, fine = network(scene)[0, 5].numpy(), dilated.network(scene)[0, 5].numpy()
    print(coarse.shape, fine.shape, np.abs(fine[::8, ::8] - coarse).max() / np.abs(coarse).max())
    figure, charts = panels(3, 3.6, 3.7)
    image(charts[0], scene[0].mean(0).numpy() + 2, color="gray")
    for chart, values in ((charts[1], coarse), (charts[2], fine)):
        image(chart, values - coarse.min(), top=float(coarse.max() - coarse.min()))
    for chart, title in zip(charts, ("input", "stride 8: 16 x 16", "dilated: 128 x 128"), strict=True):
        chart.set_title(title)
    save(figure, HERE / "dense.png")


def bottleneck() -> None:
    """Draw the parameters and multiply-adds of a 3x3 convolution of 256 channels, and of a bottleneck."""
    plain = sharing(nn.Conv2d(256, 256, 3, padding=1), (256, 56, 56))
    thin = nn.Sequential(
        nn.Conv2d(256, 64, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 256, 1)
    )
    narrow = sharing(thin, (256, 56, 56))
    figure, (left, right) = panels(2, 4.6, 2.6)
    for chart, title, values in (
        (left, "parameters (thousands)", [[plain.parameters / 1e3], [layer.shared / 1e3 for layer in narrow.layers]]),
        (right, "multiply-adds (millions)", [[plain.macs / 1e6], [layer.macs / 1e6 for layer in narrow.layers]]),
    ):
        chart.barh([1], values[0], color=COLORS[0], height=0.5, label="3x3 convolution")
        for i, (value, color) in enumerate(zip(values[1], (COLORS[1], COLORS[0], COLORS[1]), strict=True)):
            label = "1x1 convolution" if i == 0 else None
            chart.barh([0], [value], left=sum(values[1][:i]), color=color, height=0.5, edgecolor="white", label=label)
        chart.set_yticks([0, 1], ["1x1, 3x3, 1x1", "3x3"])
        chart.set_xlabel(title)
    legend(right, loc="lower right")
    save(figure, HERE / "bottleneck.png")


def borders() -> None:
    """Draw the effects of four kinds of padding, on crops of random images."""
    result = boundary(resnet(6), (3, 248, 248))
    print(result.text())
    result.draw(HERE / "borders.png")


class Tiny(nn.Module):
    """A network of three levels that recovers resolution by "nothing", "skips", "unpooling" or "dilation"."""

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.way = way
        step = (1, 2, 4, 8) if way == "dilation" else (1, 1, 1, 1)
        self.down = nn.ModuleList(
            [nn.Conv2d(a, 16, 3, padding=d, dilation=d) for a, d in zip((1, 16, 16, 16), step, strict=True)]
        )
        self.up = nn.ModuleList([nn.Conv2d(32 if way == "skips" else 16, 16, 3, padding=1) for _ in range(3)])
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept: list[tuple[Tensor, Tensor]] = []
        size = x.shape[2:]
        for i, convolution in enumerate(self.down):
            x = convolution(x).relu()
            if i < 3 and self.way != "dilation":
                skip, (x, places) = x, F.max_pool2d(x, 2, return_indices=True)
                kept.append((skip, places))
        if self.way == "nothing":
            return F.interpolate(self.head(x), size, mode="bilinear")
        for convolution in self.up:
            if self.way == "skips":
                x = torch.cat([F.interpolate(x, scale_factor=2.0), kept.pop()[0]], 1)
            elif self.way == "unpooling":
                x = F.max_unpool2d(x, kept.pop()[1], 2)
            x = convolution(x).relu()
        return self.head(x)


def where() -> None:
    """Train four small networks on one scene, draw their predictions, and draw an attribution of one of them."""
    pixels, labels = digit_scene((96, 96), seed=11, channels=1)
    x, ink = torch.from_numpy(pixels).float()[None] / 128 - 1, torch.from_numpy(labels > 0).float()[None, None]
    ways = ("nothing", "skips", "unpooling", "dilation")
    figure, charts = panels(len(ways) + 2, 2.9, 3.2, columns=3)
    image(charts[0], pixels[0].astype(float), color="gray")
    charts[0].set_title("input")
    image(charts[1], (labels > 0).astype(float), color="gray")
    charts[1].set_title("truth")
    for chart, way in zip(charts[2:], ways, strict=True):
        network = Tiny(way)
        fit(network, lambda net=network: F.binary_cross_entropy_with_logits(net(x), ink), 150, 0.005)
        with torch.no_grad():
            ink_predicted = network(x) > 0
        iou = float((ink_predicted & (ink > 0)).sum() / (ink_predicted | (ink > 0)).sum())
        image(chart, ink_predicted[0, 0].numpy().astype(float), color="gray")
        chart.set_title(f"{'resize only' if way == 'nothing' else way}: IoU {iou:.2f}")
        print(way, round(iou, 3))
        if way == "skips":
            row, column = (int(i) for i in np.argwhere(labels > 0)[len(np.argwhere(labels > 0)) // 2])
            why = attribute(network, x[0], target=0, region=[(row - 2, row + 3), (column - 2, column + 3)])
            why.draw(HERE / "attribution.png")
    for chart in charts:
        chart.set_xticks([])
        chart.set_yticks([])
    save(figure, HERE / "where.png")


PICTURES = (motif, shifts, unshared, slid, field, checkerboard, enlarged, frequency, dense, bottleneck, borders, where)

if __name__ == "__main__":
    for picture in PICTURES:
        if not sys.argv[1:] or picture.__name__ in sys.argv[1:]:
            picture()
