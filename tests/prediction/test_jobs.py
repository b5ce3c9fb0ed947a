"""Prediction of files: what is written, skipped, refused and resumed."""

import json

import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

from atrous.data.formats import open_labels
from atrous.errors import UserError
from atrous.prediction.jobs import Wanted, find_jobs, predict_files
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
    wanted = Wanted(overlay=True, probabilities="zarr", palette=predictor.palette)
    done = predict_files(predictor, find_jobs(predictor, [scenes], out), wanted)
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
    assert not list(out.rglob(".*.part*"))
    again = predict_files(predictor, find_jobs(predictor, [scenes], out), wanted)
    assert len(again.skipped) == 3
    assert again.written == ()


def test_probabilities_as_tiff(trained, scenes, tmp_path):
    predictor = load(trained)
    jobs = find_jobs(predictor, [str(scenes / "*.png")], tmp_path)
    predict_files(predictor, jobs, Wanted(probabilities="tiff"))
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
        find_jobs(predictor, [scenes], tmp_path / "out", Wanted(overlay=True))


def test_what_lies_in_the_output_folder_is_no_input(trained, scenes):
    predictor, out = load(trained), scenes / "labels"
    wanted = Wanted(overlay=True, palette=predictor.palette)
    first = predict_files(predictor, find_jobs(predictor, [scenes], out, wanted), wanted)
    again = predict_files(predictor, find_jobs(predictor, [scenes], out, wanted), wanted)
    assert sorted(again.skipped) == sorted(first.written)


def test_labels_that_are_there_stay_as_they_are(trained, scenes, tmp_path):
    predictor = load(trained)
    (tmp_path / "masks").mkdir()
    drawn = Image.fromarray(np.full((9, 9), 3, np.uint8))
    drawn.save(tmp_path / "masks" / "a.png")
    before = (tmp_path / "masks" / "a.png").read_bytes()
    wanted = Wanted(overlay=True, palette=predictor.palette)
    done = predict_files(predictor, find_jobs(predictor, [scenes / "a.png"], tmp_path / "masks", wanted), wanted)
    assert not done.failed
    assert (tmp_path / "masks" / "a.png").read_bytes() == before
    assert (tmp_path / "masks" / "a_overlay.png").exists()


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
    done = predict_files(predictor, find_jobs(predictor, [scenes], tmp_path / "out"), Wanted())
    assert len(done.written) == 3
    failed = {source.name: why for source, why in done.failed}
    assert set(failed) == {"deflated.tif", "plain.tif", "spoiled.tif", "empty.npy"}
    assert all(name in why for name, why in failed.items())


@pytest.mark.parametrize("suffix", [".npy", ".zarr"])
def test_an_unfinished_file_that_is_damaged_is_begun_again(tmp_path, suffix):
    part = tmp_path / f".a{suffix}.part"
    part.mkdir() if suffix == ".zarr" else part.touch()
    sink = open_labels(tmp_path / f"a{suffix}", (4, 5), on_disk=True)
    assert not sink.begun
    sink.array[...] = np.ones((4, 5), np.uint8)
    assert open_labels(tmp_path / f"a{suffix}", (4, 5), on_disk=True).begun
    assert not open_labels(tmp_path / f"a{suffix}", (4, 6), on_disk=True).begun


class Killed(BaseException):
    """What a test raises in the middle of a stream, as a kill would end it."""


@pytest.mark.parametrize("suffix", [".zarr", ".npy", ".tif"])
def test_a_streamed_file_goes_to_disk_and_resumes(trained, tmp_path, suffix, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (3, 800, 80)).astype(np.uint8)
    source = tmp_path / f"scene{suffix}"
    if suffix == ".zarr":
        zarr.create_array(source, data=image, chunks=(3, 64, 64))
    elif suffix == ".npy":
        np.save(source, image)
    else:
        tifffile.imwrite(source, image.transpose(1, 2, 0), tile=(64, 64))
    predictor, out = load(trained, memory="60MB", dtype=torch.float32), tmp_path / "out"
    jobs = find_jobs(predictor, [source], out)
    assert jobs[0].target.name == source.name
    monkeypatch.setattr("atrous.stream.resume.EVERY", 0.0)
    plans = []

    def stop(at):
        if at > 0.5:
            raise Killed

    with pytest.raises(Killed):
        predict_files(predictor, jobs, Wanted(), stop, plans.append)
    assert "about" in plans[0]
    assert not jobs[0].target.exists()
    record = np.load(next(out.glob(".*.progress.npz")))
    assert json.loads(str(record["head"]))["rows"] > 50  # where the next run goes on
    assert predict_files(predictor, jobs, Wanted()).failed == ()
    reader = {".zarr": lambda p: zarr.open_array(p, mode="r")[:], ".npy": np.load, ".tif": tifffile.imread}[suffix]
    np.testing.assert_array_equal(reader(jobs[0].target), load(trained, dtype=torch.float32).predict(image).labels)
    assert [p.name for p in out.iterdir()] == [source.name]


def test_streamed_probabilities_and_overlay(trained, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (3, 300, 144)).astype(np.uint8)
    np.save(tmp_path / "scene.npy", image)
    predictor, out = load(trained, memory="60MB", dtype=torch.float32), tmp_path / "out"
    jobs = find_jobs(predictor, [tmp_path / "scene.npy"], out)
    wanted = Wanted(overlay=True, probabilities="zarr", palette=predictor.palette)
    assert predict_files(predictor, jobs, wanted).failed == ()
    stored = zarr.open_array(out / "scene_probabilities.zarr", mode="r")[:]
    np.testing.assert_array_equal(stored.argmax(0), np.load(out / "scene.npy"))
    with Image.open(out / "scene_overlay.png") as picture:
        assert picture.size == (144, 300)
