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
from tests.maps import map_transform, write_map

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_can_be_built(path):
    recipe = read_recipe(path)
    task = build_task(recipe)
    model = recipe.model.model_copy(update={"pretrained": False})  # the weights are an extra
    assert build_network(model, task.out_channels).ndim == len(build_geometry(recipe).crop)
    assert build_settings(recipe).precision == recipe.train.precision
    assert build_preparation(recipe).intensity == tuple(recipe.input.intensity)


def test_a_scan_is_labeled_slab_by_slab(tmp_path, capsys):
    data = np.random.default_rng(0).normal(size=(5, 6, 40)).astype(np.float32)
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "scan.nii.gz")
    main = runpy.run_path(str(ROOT / "examples" / "volumes.py"))["main"]
    main(tmp_path / "scan.nii.gz", tmp_path / "out.nii.gz", 0.5)
    written = nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), data > 0.5)
    np.testing.assert_array_equal(written.affine, affine)
    assert f"{(data > 0.5).sum() * 0.02:.1f} ml" in capsys.readouterr().out


def test_water_of_a_scene_is_written_where_it_lies(tmp_path, capsys):
    bands = np.random.default_rng(0).integers(1, 3000, (3, 600, 70)).astype(np.int16)
    bands[:, :20] = -9999
    write_map(tmp_path / "scene.tif", bands, map_transform(0), nodata=-9999)
    main = runpy.run_path(str(ROOT / "examples" / "landcover.py"))["main"]
    main(tmp_path / "scene.tif", tmp_path / "out.tif", 1, 3)
    with rasterio.open(tmp_path / "out.tif") as file:
        truth = np.where(bands[0] == -9999, 255, bands[0] > bands[2])
        np.testing.assert_array_equal(file.read(1), truth)
        assert file.transform == map_transform(0)
    assert f"water: {(truth == 1).sum() * 0.01:.1f} ha" in capsys.readouterr().out


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


PAGES = ["python.md", "maps.md", "medical.md", "microscopy.md", "motifs.md", "signals.md", "video.md", "genomes.md"]


@pytest.mark.parametrize("page", PAGES)
def test_code_on_pages_runs(page, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {"__name__": page})
    assert capsys.readouterr().out
