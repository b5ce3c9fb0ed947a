"""The perceptual loss against its formula in float64, and where its gradients go."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.tasks.perceptual import PerceptualLoss, gram, variation


class Seen(nn.Module):
    """Two maps of a picture."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fine, self.coarse = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, stride=2)
        self.requires_grad_(False)

    def forward(self, x):
        fine = torch.relu(self.fine(x / 255))
        return [fine, torch.relu(self.coarse(fine))]


def pictures(*sizes):
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.uniform(0, 255, (3, *size)).astype(np.float32)) for size in sizes]


def test_the_terms_are_those_of_the_formula():
    encoder = Seen()
    style, picture, image = pictures((12, 9), (10, 8), (10, 8))
    terms = PerceptualLoss(encoder, style, [1], [0, 1])(torch.stack([picture, image]), torch.stack([image, image]))

    def maps(x):
        return [part[0].double().numpy().reshape(part.shape[1], -1) for part in encoder(x[None])]

    s, p, a = maps(style), maps(picture), maps(image)
    content = ((p[1] - a[1]) ** 2).mean() / (s[1] ** 2).mean()
    grams = [[m @ m.T / m.shape[1] for m in three] for three in (s, p, a)]
    of_style = [
        np.mean([((g - t) ** 2).sum() / (t**2).sum() for g, t in zip(found, grams[0], strict=True)])
        for found in grams[1:]
    ]
    x = picture.double().numpy() / 255
    rough = (np.diff(x, axis=1) ** 2).mean() + (np.diff(x, axis=2) ** 2).mean()
    assert float(terms.content[0]) == pytest.approx(content, rel=1e-4)
    assert float(terms.content[1]) == 0
    assert terms.style.tolist() == pytest.approx(of_style, rel=1e-4)
    assert float(terms.variation[0]) == pytest.approx(rough, rel=1e-4)


def test_the_style_has_its_own_style():
    (style,) = pictures((16, 16))
    assert float(PerceptualLoss(Seen(), style, [1], [0, 1])(style[None], style[None]).style) < 1e-9


def test_gradients_go_to_the_picture_alone():
    style, picture, image = pictures((12, 12), (8, 8), (8, 8))
    with torch.inference_mode(), torch.inference_mode(False):
        loss = PerceptualLoss(Seen(), style, [1], [0])
    picture, image = picture[None].requires_grad_(True), image[None].requires_grad_(True)
    sum(loss(picture, image)).sum().backward()
    assert float(picture.grad.abs().sum()) > 0
    assert image.grad is None
    assert all(weight.grad is None for weight in loss.parameters())


def test_it_is_computed_in_float32_whatever_surrounds_it():
    style, picture, image = pictures((12, 12), (8, 8), (8, 8))
    loss = PerceptualLoss(Seen(), style, [1], [0, 1])
    plain = loss(picture[None], image[None])
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(picture[None], image[None])
    assert all(torch.equal(one, other) for one, other in zip(plain, inside, strict=True))


def test_a_style_in_which_nothing_is_seen_gives_numbers():
    _, picture, image = pictures((12, 12), (8, 8), (8, 8))
    loss = PerceptualLoss(lambda x: [torch.relu(x)], torch.zeros(3, 9, 9), [0], [0])
    assert all(bool(torch.isfinite(term).all()) for term in loss(picture[None], image[None]))


def test_gram_and_variation():
    features = torch.randn(2, 3, 4, 5)
    wanted = torch.einsum("nchw,ndhw->ncd", features, features) / 20
    torch.testing.assert_close(gram(features), wanted)
    assert variation(torch.ones(2, 3, 1, 1)).tolist() == [0, 0]
    assert variation(torch.arange(4.0).view(1, 1, 1, 4)).tolist() == [1]
