"""What stands in examples/ and on the pages about volumes and signals runs."""

import re
import runpy
from pathlib import Path

import nibabel
import numpy as np
import pytest
import rasterio

from atrous.prediction.predictor import load
from atrous.recipe.build import build_geometry, build_network, build_preparation, build_settings, build_task
from atrous.recipe.run import create_run
from atrous.recipe.schema import override, read_recipe
from atrous.training.checkpoint import write_tensors
from tests.clips import make_clip, write_movie
from tests.conftest import SMALL
from tests.maps import map_transform, write_maps
from tests.volumes import write_volumes

ROOT = Path(__file__).resolve().parents[1]
SMALL_3D = ["model.encoder_width=8", "model.width=8", "train.crop=[16, 16, 16]", "train.batch_size=2"]
CLASSES_3D = ("background", "ball", "cube")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_can_be_built(path):
    recipe = read_recipe(path)
    task = build_task(recipe)
    model = recipe.model.model_copy(update={"pretrained": False})  # the weights are an extra
    assert build_network(model, task.out_channels).ndim == len(build_geometry(recipe).crop)
    assert build_settings(recipe).precision == recipe.train.precision
    assert build_preparation(recipe).intensity == tuple(recipe.input.intensity)


def test_structures_of_a_scan_are_measured_by_a_network(tmp_path, capsys):
    cases = write_volumes(tmp_path / "cases")
    scan = cases / "imagesTr" / "case0_0000.nii.gz"
    found = example("volumes")["main"](cases, scan, tmp_path / "out", 2, SMALL_3D)
    written = nibabel.load(tmp_path / "out" / "labels" / "case0.nii.gz")
    np.testing.assert_array_equal(written.affine, nibabel.load(scan).affine)
    labels = np.asanyarray(written.dataobj)
    assert found == {name: pytest.approx((labels == n).sum() * 2 / 1000) for n, name in enumerate(CLASSES_3D)}
    assert f"ball: {found['ball']:.2f} ml" in capsys.readouterr().out


def test_land_cover_of_a_scene_is_measured_by_a_network(tmp_path, capsys):
    maps = write_maps(tmp_path / "maps")
    scene = maps / "images" / "0.tif"
    found = example("landcover")["main"](maps, scene, tmp_path / "out", 2, SMALL)
    with rasterio.open(tmp_path / "out" / "labels" / "0.tif") as file:
        labels, transform = file.read(1), file.transform
    assert transform == map_transform(0)
    assert (labels == 255).sum() == 160  # the corner without data
    assert found == {
        name: pytest.approx((labels == n).sum() * 0.01) for n, name in enumerate(("ground", "field", "water"))
    }
    assert f"water: {found['water']:.1f} ha" in capsys.readouterr().out


@pytest.mark.slow
def test_a_video_is_labeled_live(tmp_path, capsys):
    changes = [
        "model.encoder=resnet",
        "model.depth=10",
        "model.encoder_width=8",
        "model.width=8",
        "model.pretrained=false",
    ]
    recipe = override(read_recipe(ROOT / "examples" / "davis.toml"), [*changes, "train.precision=32-true"])
    run = create_run(tmp_path / "run", recipe, {}, [])
    write_tensors(run.weights, build_network(recipe.model, 2).state_dict(), {})
    clip = write_movie(tmp_path / "clip.mp4", make_clip(0, frames=5)[0])
    labels = runpy.run_path(str(ROOT / "examples" / "live_video.py"))["main"](run.folder, clip)
    whole = load(run).predict(clip).labels
    assert labels.shape == whole.shape == (5, 48, 64)
    assert (labels == whole).mean() > 0.999  # labels may differ where two logits tie
    assert "latency: 0 frames" in capsys.readouterr().out


def example(name):
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))


def test_arrays_in_memory_are_trained_on(tmp_path, capsys):
    labels = example("arrays")["main"](str(tmp_path / "run"), 2)
    assert labels.shape == (64, 64)
    assert "mean IoU on held-out images" in capsys.readouterr().out


@pytest.mark.slow
def test_torch_data_are_trained_on(tmp_path):
    assert 0 <= example("torch_data")["main"](str(tmp_path / "run"), 1) <= 1


def test_a_network_of_ones_own_is_trained_loaded_and_streamed(squares, tmp_path, capsys):
    labels = example("own_network")["main"](str(squares), str(tmp_path / "run"), 2)
    assert labels.shape == (300, 400)
    share = float(capsys.readouterr().out.split("%")[0])
    assert share == 100


def test_a_loss_and_a_metric_of_ones_own(squares, tmp_path):
    error = example("own_loss")["main"](str(squares), str(tmp_path / "run"), 1)
    assert -100 <= error <= 100
    assert "count_error" in (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert '"count_error"' in (tmp_path / "run" / "scores.json").read_text()


def test_a_tracker_hears_of_steps_and_validations(squares, tmp_path):
    heard = []

    class Client:
        def log_metrics(self, metrics, step):
            heard.append((step, sorted(metrics)))

    example("callbacks")["main"](str(squares), Client(), str(tmp_path / "run"), 2)
    assert (1, ["train_loss"]) in heard
    assert any(names == ["val_loss", "val_miou", "val_pixel_accuracy"] for _, names in heard)


def test_six_forms_of_an_image_give_the_same_labels(trained, digits, tmp_path, capsys):
    image = next((digits / "images" / "test").glob("*.png"))
    labels = example("inputs_and_results")["main"](str(trained), str(image), str(tmp_path))
    assert len(labels) == 6
    for other in labels[1:]:
        np.testing.assert_array_equal(labels[0], other)
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")
    assert "digit" in (tmp_path / "labels.html").read_text(encoding="utf-8")
    assert len(capsys.readouterr().out.splitlines()[0]) < 300


PAGES = [
    "detection.md",
    "doctor.md",
    "python.md",
    "maps.md",
    "medical.md",
    "microscopy.md",
    "motifs.md",
    "signals.md",
    "video.md",
    "genomes.md",
    "counting.md",
    "keypoints.md",
    "edges.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_code_on_pages_runs(page, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {"__name__": page})
    assert capsys.readouterr().out
