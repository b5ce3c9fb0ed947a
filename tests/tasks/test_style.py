"""Style transfer as a task: options, the range of colors, the loss and its metrics."""

import math
from dataclasses import replace

import pytest
import torch

from atrous.errors import UserError
from atrous.tasks.perceptual import PerceptualLoss
from atrous.tasks.style import StyleTask
from atrous.tasks.task import NotFinite


def task(**options):
    style = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    built = StyleTask.build({"options": {"content_weight": 1, "style_weight": 2, "variation_weight": 3} | options})
    return replace(
        built, perceptual=lambda: PerceptualLoss(lambda x: [x / 255, (x / 255)[..., ::2, ::2]], style, [1], [0])
    )


def test_colors_lie_between_black_and_white():
    output = torch.tensor([-100.0, 0.0, 100.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert task().probabilities(output)[0, 0, 0].tolist() == [0, 127.5, 255]
    deep = task(limits=[100, 300]).probabilities(output)
    assert deep[0, 0, 0].tolist() == [100, 200, 300]


def test_the_loss_is_the_weighted_sum_and_the_metrics_are_its_parts():
    found, output = task(), torch.randn(2, 3, 12, 10)
    images = torch.rand(2, 3, 12, 10) * 255
    metrics = found.metrics()
    for number, picture in enumerate(found.probabilities(output)):
        metrics.update(str(number), picture, images[number])
    result = metrics.result(1.0)
    values = result.to_dict()
    assert list(result.watched()) == list(found.watched)
    terms = found.terms(found.probabilities(output), images)
    assert values["content_loss"] == pytest.approx(float(terms.content.mean()), rel=1e-5)
    assert values["style_loss"] == pytest.approx(float(terms.style.mean()), rel=1e-5)
    assert values["perceptual_loss"] == pytest.approx(float(found.loss(output, images)), rel=1e-5)
    wanted = float(terms.content[0] + 2 * terms.style[0] + 3 * terms.variation[0])
    assert result.per_image["0"] == pytest.approx(wanted, rel=1e-5)
    assert not result.higher_is_better
    quick = found.metrics(full=False)
    quick.update("0", output[0], images[0])
    assert quick.result(1.0).per_image["0"] == pytest.approx(wanted, rel=1e-5)


def test_units_do_not_matter():
    images, output = torch.rand(1, 3, 8, 8) * 255, torch.randn(1, 3, 8, 8)
    deep = task(limits=[1000, 1000 + 2 * 255])
    torch.testing.assert_close(task().loss(output, images), deep.loss(output, 1000 + 2 * images))


def test_gray_images_and_positions_without_data():
    output = torch.randn(1, 3, 8, 8, requires_grad=True)
    gray = torch.rand(1, 1, 8, 8) * 255
    torch.testing.assert_close(task().loss(output, gray), task().loss(output, gray.expand(1, 3, 8, 8)))
    gray[..., :4] = torch.nan
    loss = task().loss(output, gray)
    loss.backward()
    assert math.isfinite(loss.detach())
    assert bool(torch.isfinite(output.grad).all())


def test_a_few_steps_lower_the_loss():
    found, output = task(), torch.zeros(1, 3, 16, 16, requires_grad=True)
    images = torch.rand(1, 3, 16, 16) * 255
    optimizer, losses = torch.optim.Adam([output], 0.1), []
    for _ in range(30):
        loss = found.loss(output, images)
        (output.grad,) = torch.autograd.grad(loss, [output])
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"style_wieght": 3}, "task.options.style_wieght is not an option of style: known are content_weight"),
        ({"style_weight": -1}, "task.options.style_weight = -1: give a number of at least 0"),
        ({"content_weight": "much"}, "task.options.content_weight = 'much'"),
        ({"style_side": 20}, "task.options.style_side = 20: give a number of pixels, at least 64"),
        ({"limits": [3, 3]}, "task.options.limits"),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(UserError, match=said):
        StyleTask.build({"options": options})


def test_what_cannot_be_measured_is_said():
    found = StyleTask.build({"options": {}})
    with pytest.raises(UserError, match=r"task\.style"):
        found.prepare()
    with pytest.raises(NotFinite, match="a"):
        task().metrics().update("a", torch.full((3, 8, 8), torch.nan), torch.zeros(3, 8, 8))
    with pytest.raises(UserError, match="one or three channels"):
        task().terms(torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 8, 8))
    assert math.isnan(task().metrics().result(0.0).to_dict()["style_loss"] or math.nan)
