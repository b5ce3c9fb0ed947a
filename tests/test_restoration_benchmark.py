"""The peers of `benchmarks/restoration`: layers as in the papers, interpolation as in torch, tiny trainings."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks.restoration import classic, images, ours, peer_training
from benchmarks.restoration.__main__ import main
from benchmarks.restoration.networks import FSRCNN, DnCNN

SQUARES = np.kron(np.arange(48).reshape(6, 8) * 37 % 256, np.ones((12, 12)))[None].astype(np.uint8)


def test_dncnn_has_the_layers_of_its_paper():
    network = DnCNN()
    kernels = [part for part in network.modules() if isinstance(part, torch.nn.Conv2d)]
    assert len(kernels) == 17
    assert sum(part.weight.numel() for part in kernels) == 2 * 9 * 64 + 15 * 9 * 64**2
    assert network(torch.zeros(1, 1, 20, 23)).shape == (1, 1, 20, 23)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_fsrcnn_has_the_weights_of_its_paper(factor):
    network = FSRCNN(factor)
    weights = sum(part.numel() for part in network.parameters() if part.ndim == 4)
    assert weights == 12_464  # section 3.3 of the paper
    assert network(torch.zeros(1, 1, 9, 11)).shape == (1, 1, 9 * factor, 11 * factor)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_upscaling_is_bicubic_interpolation_by_keys_kernel(factor):
    values = np.random.default_rng(0).normal(size=(1, 13, 17)).astype(np.float32)
    # torch's antialiased form has a = -1/2 as MATLAB has; it differs at the borders, where it does not mirror
    truth = F.interpolate(torch.from_numpy(values)[None], scale_factor=factor, mode="bicubic", antialias=True)[
        0
    ].numpy()
    inside = (slice(None), slice(2 * factor, -2 * factor), slice(2 * factor, -2 * factor))
    assert images.upscaled(values, factor)[inside] == pytest.approx(truth[inside], abs=1e-5)
    assert images.upscaled(np.full((2, 3, 4), 7.0), factor) == pytest.approx(7.0)


def test_psnr_of_super_resolution_is_that_of_y_without_borders():
    clean = np.full((1, 12, 12), 100, np.uint8)
    wrong = clean + np.float32(2)
    assert images.quality(wrong, clean) == pytest.approx(20 * np.log10(255 / 2))
    wrong[:, :3] = 200
    assert images.quality(wrong, clean, factor=3) == pytest.approx(20 * np.log10(255 / (2 * 219 / 255)))


def test_peers_learn():
    recipe = peer_training.Recipe(minutes=0.02, batch=2)
    network, steps = peer_training.train_dncnn([SQUARES], 25.0, recipe)
    assert steps > 0
    noisy = images.Picture("a", SQUARES, SQUARES.astype(np.float32))
    assert peer_training.apply(network, noisy).shape == SQUARES.shape


def test_patches_of_two_grids_show_the_same():
    fine = np.arange(60 * 60, dtype=np.float32).reshape(1, 60, 60)
    coarse = fine.reshape(1, 30, 2, 30, 2).mean((2, 4))
    small, large = peer_training._patch(np.random.default_rng(3), (coarse, fine), 10, (1, 2))
    assert large.reshape(1, 10, 2, 10, 2).mean((2, 4)) == pytest.approx(small)


def test_the_best_parameters_are_chosen():
    picture = images.Picture("a", SQUARES, SQUARES + np.float32(5))
    value, parameters = classic.best(lambda given, shift: given + shift, {"shift": (0, -5, 3)}, [picture])
    assert (value, parameters) == (float("inf"), {"shift": -5})


def test_training_images_are_held_out_by_copying(tmp_path):
    (tmp_path / "given").mkdir()
    paths = [tmp_path / "given" / f"{number:02d}.png" for number in range(50)]
    for path in paths:
        path.write_bytes(b"image")
    data = ours.dataset(paths, tmp_path / "data")
    assert sorted(path.name for path in (data / "val").iterdir()) == ["12.png", "37.png"]
    assert len(list((data / "train").iterdir())) == 48
    with pytest.raises(SystemExit, match="other training images"):
        ours.dataset(paths[1:], tmp_path / "data")


def test_classic_methods_restore():
    pytest.importorskip("skimage")
    pytest.importorskip("pywt")
    rng = np.random.default_rng(0)
    noisy = SQUARES[0] + rng.normal(0, 25, SQUARES.shape[1:]).astype(np.float32)
    before = images.quality(noisy[None], SQUARES)
    for method, grid in classic.denoisers(25.0).values():
        found = method(noisy, **classic.combinations(grid)[0])
        assert images.quality(found[None], SQUARES) > before + 1


def test_kept_rows_are_printed_and_not_measured_again(tmp_path, monkeypatch, capsys):
    Image.fromarray(SQUARES[0]).save(tmp_path / "a.png")
    keep = tmp_path / "rows.jsonl"
    row = {"name": "denoise sigma 25: ours", "psnr": 29.5, "steps": 7, "parameters": 10, "minutes": 30.0, "images": 1}
    keep.write_text(json.dumps(row) + "\n")
    folders = ["--train", str(tmp_path), "--images", str(tmp_path), "--keep", str(keep)]
    command = ["x", "denoise", "--sigma", "25", "--only", "ours", *folders, "--threads", str(torch.get_num_threads())]
    monkeypatch.setattr("sys.argv", command)
    main()
    printed = capsys.readouterr().out.splitlines()
    assert "29.50" in printed[1]
    assert json.loads(printed[-1])["rows"] == [row]
    monkeypatch.setattr("sys.argv", [*command, "--minutes", "10"])
    with pytest.raises(SystemExit, match="has other minutes"):
        main()
