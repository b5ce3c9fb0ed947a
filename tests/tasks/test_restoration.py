"""PSNR and SSIM against torchmetrics, Y against Pillow-free BT.601, and what has none."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from atrous.tasks.restoration import RestorationTask, luma, psnr, ssim
from atrous.tasks.task import NotFinite


def task(channels=3, factor=1, color=True):
    names, offset, scale = tuple("rgb"[:channels]), (100.0,) * channels, (50.0,) * channels
    return RestorationTask(names, offset, scale, peak=255.0, factor=factor, color=color)


def pair(channels=3, size=(24, 30)):
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(channels, *size, generator=generator) * 255
    return clean + torch.randn(clean.shape, generator=generator) * 10, clean


def test_they_are_those_of_torchmetrics():
    values, clean = pair()
    gathered = task().metrics()
    gathered.update("a", values, clean)
    found = gathered.result(0.0)
    assert found.values["psnr"] == pytest.approx(float(peak_signal_noise_ratio(values, clean, data_range=255.0)))
    wanted = structural_similarity_index_measure(values[None], clean[None], data_range=255.0)
    assert found.values["ssim"] == pytest.approx(float(wanted))
    assert found.higher_is_better
    assert "BT.601" in found.conventions


def test_y_runs_from_16_to_235_and_leaves_the_border_out():
    """MATLAB's rgb2ycbcr: black 16, white 235, pure red 16 + 65.481."""
    colors = torch.tensor([[0.0, 255.0, 255.0], [0.0, 255.0, 0.0], [0.0, 255.0, 0.0]]).view(3, 1, 3)
    np.testing.assert_allclose(luma(colors, 255.0).numpy()[0, 0], [16, 235, 81.481], atol=1e-3)
    values, clean = pair()
    damaged = values.clone()
    damaged[:, :2] = 0
    found = []
    for one in (values, damaged):
        gathered = task(factor=2).metrics()
        gathered.update("a", one, clean)
        found.append(gathered.result(0.0).values)
    assert found[0]["psnr_y"] == found[1]["psnr_y"]
    assert found[0]["psnr"] > found[1]["psnr"]
    inner = (slice(None), slice(2, -2), slice(2, -2))
    wanted = psnr(luma(values[inner], 255.0), luma(clean[inner], 255.0), 255.0)
    assert found[0]["psnr_y"] == pytest.approx(wanted)


def test_gray_is_its_own_y():
    values, clean = pair(1)
    gathered = task(1).metrics()
    gathered.update("a", values, clean)
    found = gathered.result(0.0).values
    assert found["psnr_y"] == pytest.approx(found["psnr"])


def test_three_channels_that_are_no_colors_have_no_y():
    """Three stains, or bands of 16 bits."""
    gathered = task(color=False).metrics()
    gathered.update("a", *pair())
    found = gathered.result(0.0)
    assert set(found.values) == {"psnr", "ssim"}
    assert "psnr_y" not in found.conventions


def test_means_are_over_images_and_a_perfect_one_has_none():
    values, clean = pair()
    gathered = task().metrics()
    gathered.update("a", values, clean)
    gathered.update("b", clean, clean)
    gathered.update("c", clean + 1, clean)
    found = gathered.result(0.0)
    assert math.isnan(found.per_image["b"])  # infinity would stand in scores.json, which JSON cannot hold
    assert set(found.ranking()) == {"a", "c"}
    assert found.values["psnr"] == pytest.approx((found.per_image["a"] + found.per_image["c"]) / 2)


def test_positions_that_are_unknown_count_for_nothing():
    values, clean = pair()
    clean[:, 5:] = torch.nan
    gathered = task().metrics()
    gathered.update("a", values, clean)
    found = gathered.result(0.0).values
    assert found["psnr"] == pytest.approx(psnr(values[:, :5], clean[:, :5], 255.0))
    assert math.isnan(found["ssim"])


def test_quick_metrics_take_raw_output():
    _, clean = pair()
    quick = task().metrics(full=False)
    quick.update("a", (clean + 1 - 100) / 50, clean)
    assert quick.result(0.0).values == {"psnr": pytest.approx(20 * math.log10(255), abs=1e-3)}
    with pytest.raises(NotFinite, match="b"):
        quick.update("b", torch.full_like(clean, math.nan), clean)


def test_small_images_and_signals_have_no_ssim():
    assert math.isnan(ssim(torch.zeros(1, 40), torch.zeros(1, 40), 1.0))
    assert math.isnan(ssim(torch.zeros(1, 9, 40), torch.zeros(1, 9, 40), 1.0))
    assert math.isnan(psnr(torch.zeros(0), torch.zeros(0), 1.0))


def test_ssim_of_values_far_from_0_keeps_its_digits():
    """In float32 it was -117 here."""
    generator = torch.Generator().manual_seed(0)
    clean = 10 * torch.rand(1, 32, 32, generator=generator) + 20_000
    noisy = clean + torch.randn(1, 32, 32, generator=generator)
    wanted = structural_similarity_index_measure(noisy.double()[None], clean.double()[None], data_range=10.0)
    assert ssim(noisy, clean, 10.0) == pytest.approx(float(wanted))
    assert 0.9 < ssim(noisy, clean, 10.0) < 1
