"""Prediction of files: what is written, skipped, refused and resumed."""

import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

from atrous.errors import UserError
from atrous.prediction.failures import LOG_NAME
from atrous.prediction.jobs import (
    OUTPUTS,
    find_jobs,
    grid_outputs,
    run_jobs,
)
from atrous.prediction.output import Companions
from atrous.prediction.predictor import load


@pytest.fixture
def scenes(tmp_path, digits):
    folder = tmp_path / "scenes"
    (folder / "deep").mkdir(parents=True)
    sources = sorted((digits / "images" / "test").iterdir())
    Image.open(sources[0]).save(folder / "a.png")
    Image.open(sources[1]).save(folder / "deep" / "b.jpg")
    tifffile.imwrite(folder / "c.tif", np.asarray(Image.open(sources[0])))
    return folder


def test_files_folders_and_globs(trained, scenes, tmp_path):
    predictor, out = load(trained), tmp_path / "out"
    (scenes / "broken.png").write_bytes(b"no picture")
    companions = Companions(overlay=True, probabilities="zarr")
    done = run_jobs(predictor, find_jobs(predictor, [scenes], out, companions), out)
    assert {p.relative_to(out).as_posix() for p in done.written} == {"a.png", "deep/b.png", "c.tif"}
    assert [source.name for source, why in done.failed] == ["broken.png"]
    assert "broken.png" in done.failed[0][1]
    labels = np.asarray(Image.open(out / "a.png"))
    np.testing.assert_array_equal(labels, tifffile.imread(out / "c.tif"))
    np.testing.assert_array_equal(labels, predictor.predict(scenes / "a.png").labels)
    stored = zarr.open_array(out / "a_probabilities.zarr", mode="r")
    np.testing.assert_array_equal(stored[:].argmax(0), labels)
    assert list(stored.attrs["classes"])[:2] == ["background", "digit 0"]
    with Image.open(out / "a_overlay.png") as picture:
        assert picture.mode == "RGB"
    assert not list(out.rglob(".*"))
    assert not (out / LOG_NAME).exists()
    again = run_jobs(predictor, find_jobs(predictor, [scenes], out, companions), out)
    assert len(again.skipped) == 3
    assert again.written == ()


def test_probabilities_as_tiff(trained, scenes, tmp_path):
    predictor = load(trained)
    jobs = find_jobs(predictor, [str(scenes / "*.png")], tmp_path, Companions(probabilities="tiff"))
    run_jobs(predictor, jobs, tmp_path)
    stored = tifffile.imread(tmp_path / "a_probabilities.tif")
    np.testing.assert_allclose(stored, predictor.predict(scenes / "a.png", probabilities=True).probabilities)


def test_inputs_that_are_not_there_or_collide(trained, scenes, tmp_path):
    predictor = load(trained)
    with pytest.raises(UserError, match="no such file"):
        find_jobs(predictor, ["nowhere/*.png"], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no inputs in it"):
        find_jobs(predictor, [tmp_path / "empty"], tmp_path)
    (scenes / "a.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="would both be written"):
        find_jobs(predictor, [scenes], tmp_path)


def test_no_output_takes_the_place_of_an_input_or_of_another_output(trained, scenes, tmp_path):
    predictor = load(trained)
    with pytest.raises(UserError, match=r"a\.png: would be written over an input: give another folder with -o"):
        find_jobs(predictor, [scenes / "a.png"], scenes)
    with pytest.raises(UserError, match=r"c\.tif: is a file: give a folder"):
        find_jobs(predictor, [scenes / "a.png"], scenes / "c.tif")
    with pytest.raises(UserError, match="outputs would lie among the inputs"):
        find_jobs(predictor, [scenes], scenes)
    (scenes / "a.tif").write_bytes((scenes / "c.tif").read_bytes())
    assert len(find_jobs(predictor, [scenes], tmp_path / "out")) == 4
    with pytest.raises(UserError, match=r"would both write .*a_overlay\.png"):
        find_jobs(predictor, [scenes], tmp_path / "out", Companions(overlay=True))


def test_what_lies_in_the_output_folder_is_no_input(trained, scenes):
    predictor, out = load(trained), scenes / "labels"
    first = run_jobs(predictor, find_jobs(predictor, [scenes], out, Companions(overlay=True)), out)
    again = run_jobs(predictor, find_jobs(predictor, [scenes], out, Companions(overlay=True)), out)
    assert sorted(again.skipped) == sorted(first.written)


def test_labels_that_are_there_stay_as_they_are(trained, scenes, tmp_path):
    predictor = load(trained)
    (tmp_path / "masks").mkdir()
    drawn = Image.fromarray(np.full((9, 9), 3, np.uint8))
    drawn.save(tmp_path / "masks" / "a.png")
    before = (tmp_path / "masks" / "a.png").read_bytes()
    jobs = find_jobs(predictor, [scenes / "a.png"], tmp_path / "masks", Companions(overlay=True))
    done = run_jobs(predictor, jobs, tmp_path / "masks")
    assert not done.failed
    assert (tmp_path / "masks" / "a.png").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["a.png", "a_overlay.png"]


def test_damage_that_shows_in_the_middle_does_not_stop_the_others(trained, scenes, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    for name, more in (("deflated", {"compression": "zlib", "tile": (32, 32)}), ("plain", {})):
        tifffile.imwrite(scenes / f"{name}.tif", pixels, **more)
        data = (scenes / f"{name}.tif").read_bytes()
        (scenes / f"{name}.tif").write_bytes(data[: len(data) // 2])
    tifffile.imwrite(scenes / "spoiled.tif", pixels, compression="zlib", tile=(32, 32))
    spoiled = bytearray((scenes / "spoiled.tif").read_bytes())
    spoiled[len(spoiled) // 2 : len(spoiled) // 2 + 400] = bytes(400)
    (scenes / "spoiled.tif").write_bytes(bytes(spoiled))
    np.save(scenes / "empty.npy", np.zeros((3, 0, 64), np.uint8))
    predictor = load(trained)
    done = run_jobs(predictor, find_jobs(predictor, [scenes], tmp_path / "out"), tmp_path / "out")
    assert len(done.written) == 3
    failed = {source.name: why for source, why in done.failed}
    assert set(failed) == {"deflated.tif", "plain.tif", "spoiled.tif", "empty.npy"}
    assert all(name in why for name, why in failed.items())


def test_streamed_probabilities_and_overlay(trained, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (3, 300, 144)).astype(np.uint8)
    np.save(tmp_path / "scene.npy", image)
    predictor, out = load(trained, memory="60MB", dtype=torch.float32), tmp_path / "out"
    jobs = find_jobs(predictor, [tmp_path / "scene.npy"], out, Companions(overlay=True, probabilities="zarr"))
    assert run_jobs(predictor, jobs, out).failed == ()
    stored = zarr.open_array(out / "scene_probabilities.zarr", mode="r")[:]
    np.testing.assert_array_equal(stored.argmax(0), np.load(out / "scene.npy"))
    with Image.open(out / "scene_overlay.png") as picture:
        assert picture.size == (144, 300)


def test_an_unexpected_error_is_recorded_and_does_not_stop_the_others(trained, scenes, tmp_path, monkeypatch):
    predictor, out = load(trained), tmp_path / "out"
    write = type(predictor).write

    def fail_once(self, source, *sinks, **options):
        if not (out / "a.png").exists() and not (out / LOG_NAME).exists():
            raise ZeroDivisionError("a mistake\nof ours")
        write(self, source, *sinks, **options)

    monkeypatch.setattr(type(predictor), "write", fail_once)
    jobs, shares = find_jobs(predictor, [scenes], out, Companions(overlay=True)), []
    done = run_jobs(predictor, jobs, out, shares.append)
    assert done.log == out / LOG_NAME
    assert [path.name for path, _ in done.failed] == ["a.png"]
    assert "a.png: ZeroDivisionError: a mistake of ours" in done.failed[0][1]
    text = done.log.read_text()
    assert str(scenes / "a.png") in text
    assert "Traceback" in text
    assert "fail_once" in text
    assert {path.name for path in done.written} == {"c.tif", "b.png"}
    assert shares[-1] == len(jobs)
    assert not (out / "a.png").exists()
    assert not (out / "a_overlay.png").exists()
    assert not list(out.rglob(".*"))


def test_a_file_that_cannot_be_written_is_a_line_without_traceback(trained, scenes, tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self.paths[0]))

    monkeypatch.setattr("atrous.prediction.labels.LabelFile.finish", refuse)
    predictor = load(trained)
    done = run_jobs(predictor, find_jobs(predictor, [scenes / "a.png"], tmp_path / "out"), tmp_path / "out")
    assert done.failed == ((scenes / "a.png", f"{tmp_path / 'out' / 'a.png'}: Permission denied"),)
    assert done.log is None
    assert not list((tmp_path / "out").iterdir())


def test_the_outputs_of_a_kind_of_data_can_be_replaced(trained, scenes, tmp_path, monkeypatch):
    predictor = load(trained)
    assert predictor.kind == "grids"

    def overlay_always(predictor, item, out, companions):
        return grid_outputs(predictor, item, out, Companions(overlay=True, probabilities=companions.probabilities))

    monkeypatch.setitem(OUTPUTS, "grids", overlay_always)
    run_jobs(predictor, find_jobs(predictor, [scenes / "a.png"], tmp_path / "out"), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "a_overlay.png"]


def test_plans_are_told_once_per_size(trained, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (3, 300, 144)).astype(np.uint8)
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", image[:, : 200 if name == "c" else 300])
    predictor, out, plans = load(trained, memory="60MB"), tmp_path / "out", []
    done = run_jobs(predictor, find_jobs(predictor, [str(tmp_path / "*.npy")], out), out, tell=plans.append)
    assert len(done.written) == 3
    assert len(plans) == 2
