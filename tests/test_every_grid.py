"""The main job on every kind of grid: check, plan, train, evaluate, report, predict."""

import json

import av
import nibabel
import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from atrous.data.genomes.annotation import read_features
from atrous.data.shifts import SHIFTS
from atrous.errors import UserError
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.output import Companions
from atrous.prediction.predictor import load
from atrous.recipe.plan import Request
from atrous.recipe.schema import read_recipe
from atrous.tasks.uncertainty import entropy_of
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.kinds import KINDS
from atrous.verbs.shifts import evaluate_shifts
from atrous.verbs.train import train
from tests.clips import make_clip, write_frames, write_movie
from tests.genomes import write_genomes, write_signal_tracks
from tests.maps import NODATA, write_maps, write_stacks
from tests.scans import write_series
from tests.volumes import write_signals, write_volumes

SMALL = ("model.depth=10", "model.encoder_width=8", "model.width=8", "train.validations=2")


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    return write_volumes(tmp_path_factory.mktemp("data") / "volumes")


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    return write_signals(tmp_path_factory.mktemp("data") / "signals")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp("data") / "videos")


def planned(folder, **options):
    found = check(folder)
    return KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(**options))


def test_a_plan_for_mr_scales_each_case_and_strides_the_coarse_axis_later(volumes):
    made = planned(volumes)
    recipe = made.recipe
    assert recipe.input.intensity == ["zscore"]
    assert (recipe.model.mean, recipe.model.std) == ([0.0], [1.0])
    assert recipe.input.spacing == []
    assert recipe.model.strides[0] == [1, 2, 2]
    assert recipe.augment.about == [0]
    assert recipe.augment.flip == [False, False, True]
    assert recipe.task.class_weights is None
    assert recipe.task.tolerance == 2.0
    assert "no common unit" in made.reasons["input.intensity"]


def test_a_plan_for_ct_clips_to_its_foreground(tmp_path):
    recipe = planned(write_volumes(tmp_path / "ct", modality="CT")).recipe
    assert recipe.input.intensity == ["clip"]
    assert 40 < recipe.input.low[0] < 110
    assert 200 < recipe.input.high[0] < 280
    assert recipe.input.low[0] < recipe.model.mean[0] < recipe.input.high[0]


def test_a_plan_for_signals_keeps_time_running(signals):
    recipe = planned(signals).recipe
    assert recipe.augment.flip == [False]
    assert recipe.augment.rotate == 0
    assert recipe.input.intensity == ["keep"]
    assert recipe.task.tolerance == 0.15
    assert recipe.train.crop == [384]


@pytest.fixture(scope="module")
def resampled(tmp_path_factory):
    """A run on volumes of two spacings, which are brought to one."""
    folder = tmp_path_factory.mktemp("grids")
    data = write_volumes(folder / "data", spacings=((1.0, 1.0, 2.0), (1.0, 1.0, 1.0)))
    trained = train(data, out=folder / "run", epochs=24, settings=[*SMALL, "train.learning_rate=3e-3"])
    return data, trained


def test_volumes_of_two_spacings_are_learned_and_measured_on_their_own_grids(resampled):
    data, trained = resampled
    recipe = read_recipe(trained.run.folder / "recipe.toml")
    assert recipe.input.spacing == [1.5, 1.0, 1.0]
    scores = trained.scores
    assert scores.miou > 0.35
    assert scores.surface is not None
    assert scores.to_dict()["surface_tolerance"] == 1.5
    again = evaluate(trained.run.folder, data).scores
    np.testing.assert_array_equal(again.confusion, scores.confusion)
    voxels = sum(label.size for label in _labels(data, "val"))
    assert scores.confusion.sum() == voxels


def test_volumes_on_two_grids_say_how_sure_they_are(resampled, tmp_path):
    """Uncertainty lies on the grid of the file, and is that of the probabilities there; changes are measured too."""
    data, trained = resampled
    assert trained.scores.confidence.temperature == trained.run.calibration().temperature
    source = sorted(data.rglob("*_0000.nii.gz"))[0]
    predictor = load(trained.run)
    jobs = find_jobs(predictor, [source], tmp_path, Companions(probabilities="tiff", uncertainty=True))
    assert not run_jobs(predictor, jobs, tmp_path).failed
    p, u = (tifffile.imread(path) for path in sorted(tmp_path.glob("*.tif")))
    np.testing.assert_allclose(np.squeeze(u), entropy_of(p), atol=1e-5)
    assert nibabel.load(source).shape[::-1] == np.squeeze(u).shape
    names = [shift.name for shift in SHIFTS if shift.name != "jpeg"]
    assert list(evaluate_shifts(trained.run.folder, data).to_dict()["changes"]) == names


def _labels(data, split):
    from atrous.data.dataset import open_dataset

    dataset = open_dataset(data)
    return [sample.target.read() for sample in dataset.splits[split]]


def test_the_report_of_volumes_shows_three_planes(resampled):
    _, trained = resampled
    page = (trained.run.folder / "report.html").read_text()
    assert "HD95" in page
    assert "surface Dice" in page


def test_signals_are_learned_and_their_onsets_found(signals, tmp_path):
    trained = train(signals, out=tmp_path / "run", epochs=50, settings=[*SMALL, "train.learning_rate=3e-3"])
    found = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert found["miou"] > 0.6
    assert found["event_tolerance"] == 0.15
    assert found["onset_f1"]["qrs"] > 0.8
    assert found["temperature"] == trained.run.calibration().temperature != 1
    # Fragments shorter than an interval may be are no labels, but they are errors of the most probable classes, which
    # are ranked. Only where nothing is wrong there is no figure.
    if found["pixel_accuracy"] < 1 or found["auroc_error"] is not None:
        assert found["auroc_error"] > 0.7
    assert trained.scores.events is not None
    assert "onset F1" in (tmp_path / "run" / "report.html").read_text()


def test_a_plan_for_videos_keeps_time_whole(videos):
    recipe = planned(videos).recipe
    assert recipe.data.kind == "videos"
    assert recipe.model.temporal in ("levels", "blocks")
    assert recipe.train.crop == [4, 32, 64]
    assert recipe.augment.flip == [False, False, True]
    assert recipe.augment.keep == [0]
    assert recipe.augment.about == [0]
    assert recipe.input.intensity == ["keep"]


@pytest.fixture(scope="module")
def filmed(videos, tmp_path_factory):
    """A run on videos, (2+1)-D."""
    chosen = ["model.encoder=resnet", "model.pretrained=false", "model.temporal=blocks", "train.batch_size=4"]
    run = tmp_path_factory.mktemp("filmed") / "run"
    return train(videos, out=run, epochs=24, settings=[*SMALL, *chosen, "train.learning_rate=3e-3"])


def test_videos_are_learned_and_measured_frame_by_frame(filmed, videos):
    found = json.loads((filmed.run.folder / "scores.json").read_text())
    assert found["j"]["square"] > 0.5
    assert found["boundary_f"]["square"] > 0.5
    assert found["flicker"] < 0.1
    assert found["ece"] is not None
    assert found["temperature"] == filmed.run.calibration().temperature
    again = evaluate(filmed.run.folder, videos).scores
    assert again.to_dict()["j"] == found["j"]
    page = (filmed.run.folder / "report.html").read_text()
    assert "flicker" in page


def test_videos_are_predicted_as_files_and_streamed_equals_whole(filmed, tmp_path, monkeypatch):
    pictures, truth = make_clip(7, frames=9)
    clip = write_movie(tmp_path / "clip.mp4", pictures, rate=30)
    whole = load(filmed.run)
    labels = whole.predict(clip).labels
    assert (labels == truth).mean() > 0.9
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 100)
    predictor = load(filmed.run)
    assert predictor.plan((3, 9, 48, 64)).axis == 0
    jobs = find_jobs(predictor, [clip], tmp_path / "out", Companions(overlay=True))
    done = run_jobs(predictor, jobs, tmp_path / "out")
    assert done.written == (tmp_path / "out" / "clip",)
    written = [np.asarray(Image.open(tmp_path / "out" / "clip" / f"{time:05d}.png")) for time in range(9)]
    assert (np.stack(written) == labels).mean() > 0.999  # labels may differ where two logits tie
    with av.open(str(tmp_path / "out" / "clip_overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.width, stream.height) == (30, 64, 48)
        assert sum(1 for _ in container.decode(stream)) == 9
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip", "clip_overlay.mp4"]


@pytest.fixture(scope="module")
def edf_run(tmp_path_factory):
    """A run on EDF+ recordings with annotations."""
    from tests.data.formats.recordings import write_edf_signals

    folder = tmp_path_factory.mktemp("edf")
    data = write_edf_signals(folder / "data")
    return data, train(data, out=folder / "run", epochs=30, settings=[*SMALL, "train.learning_rate=3e-3"], report=False)


def test_recordings_in_edf_are_learned_and_keep_their_rate(edf_run):
    data, trained = edf_run
    assert read_recipe(trained.run.folder / "recipe.toml").input.rate == 100.0
    assert trained.scores.miou > 0.4
    again = evaluate(trained.run.folder, data).scores
    np.testing.assert_array_equal(again.confusion, trained.scores.confusion)


def test_labels_of_edf_are_annotations_that_its_own_library_reads(edf_run, tmp_path):
    import pyedflib
    import torch

    data, trained = edf_run
    predictor = load(trained.run.folder, dtype=torch.float32)
    done = run_jobs(predictor, find_jobs(predictor, [data], tmp_path / "out"), tmp_path / "out")
    assert done.failed == ()
    path = tmp_path / "out" / "patient0.edf"
    assert path in done.written
    with pyedflib.EdfReader(str(path), pyedflib.READ_ALL_ANNOTATIONS) as file:
        onsets, durations, texts = file.readAnnotations()
    expected = predictor.predict(data / "patient0.edf").labels
    found = np.full(len(expected), 255, np.uint8)
    for onset, duration, text in zip(onsets, durations, texts, strict=True):
        found[round(onset * 100) : round((onset + duration) * 100)] = predictor.classes.index(text)
    np.testing.assert_array_equal(found, expected)
    assert len(set(expected)) > 1


def test_genomes_are_learned_and_their_genes_written(tmp_path):
    data = write_genomes(tmp_path / "genomes", count=4)
    small = ("model.width=16", "model.local=8", "model.dilations=[1,2,4,8]", "train.crop=[1500]", "train.batch_size=4")
    trained = train(data, out=tmp_path / "run", epochs=50, settings=[*small, "train.learning_rate=5e-3"])
    found = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert found["features"]["CDS"]["f1"] > 0.85
    assert found["genes"]["both_ends"]["f1"] > 0.8
    again = evaluate(trained.run.folder, data).scores
    np.testing.assert_array_equal(again.confusion, trained.scores.confusion)
    predictor = load(trained.run)
    jobs = find_jobs(predictor, [data / "g0.fa.gz"], tmp_path / "genes.gff3")
    assert run_jobs(predictor, jobs, tmp_path).written == (tmp_path / "genes.gff3",)
    truth = {(f.parts[0], f.strand) for f in read_features(data / "g0.gff.gz")}
    close = [
        any(strand == s and abs(a - start) < 30 and abs(b - end) < 30 for (a, b), s in truth)
        for (start, end), strand in ((f.parts[0], f.strand) for f in read_features(tmp_path / "genes.gff3"))
    ]
    assert sum(close) > 0.7 * len(truth)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "CDS+" in page
    assert "Review these first" in page
    assert found["temperature"] == trained.run.calibration().temperature
    assert found["ece"] is not None
    assert again.to_dict()["nll"] == pytest.approx(found["nll"], rel=1e-6)
    companions = Companions(probabilities="bigwig", uncertainty=True)
    jobs = find_jobs(predictor, [data / "g0.fa.gz"], tmp_path / "out", companions)
    assert not run_jobs(predictor, jobs, tmp_path / "out").failed
    plus, minus, u = (_track(tmp_path / "out" / f"g0.{name}.bw") for name in ("CDS+", "CDS-", "uncertainty"))
    np.testing.assert_allclose(u, entropy_of(np.stack([plus, minus]), bits=True), atol=1e-2)  # those are rounded


def _track(path):
    import pyBigWig

    with pyBigWig.open(str(path)) as file:
        return np.float32(file.values("g0.1", 0, file.chroms()["g0.1"]))


def test_signals_along_genomes_are_learned_and_written(tmp_path):
    data = write_signal_tracks(tmp_path / "data", names=("bump", "more"))
    (data / "dataset.toml").write_text('task = "regression"\n')
    small = ("model.width=16", "model.dilations=[1,2,4]", "train.crop=[1500]", "train.batch_size=4")
    trained = train(data, out=tmp_path / "run", epochs=70, settings=[*small, "train.learning_rate=5e-3"])
    assert trained.scores.values["pearson"] > 0.6
    again = evaluate(trained.run.folder, data).scores
    assert again.values == trained.scores.values
    assert set(again.per_image) == {sample.name for sample in check(data).dataset.splits["val"]}
    assert {"mae_bump", "spearman_more", "r2", "rmse"} <= set(again.values)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "bump, more: bases 1 to 3,000, truth" in page
    predictor = load(trained.run)
    jobs = find_jobs(predictor, [data / "g0.fa"], tmp_path / "out")
    names = [path.name for path in run_jobs(predictor, jobs, tmp_path / "out").written]
    assert names == ["g0.bump.bw", "g0.more.bw"]
    (data / "dataset.toml").write_text('task = "regression"\n[tracks]\ntargets = ["more"]\n')
    with pytest.raises(UserError, match="the signals to measure are more, but the run learned bump, more"):
        evaluate(trained.run.folder, data)


PICTURES = {
    "map": (write_maps, "images/2.tif", ["train.crop=[64, 64]"]),
    "microscopy stack": (write_stacks, "images/2.ome.tif", ["train.crop=[8, 32, 32]"]),
    "DICOM series": (write_series, "case2", ["train.crop=[8, 16, 16]"]),
}


@pytest.fixture(scope="module", params=PICTURES)
def learned(request, tmp_path_factory):
    """The kind of grid, its data, one of its inputs, and a run trained on it."""
    write, name, settings = PICTURES[request.param]
    folder = tmp_path_factory.mktemp("grid")
    data = write(folder / "data")
    settings = [
        *SMALL,
        *settings,
        "model.encoder_width=16",
        "train.precision=32-true",
        "train.batch_size=4",
        "train.learning_rate=3e-3",
    ]
    trained = train(data, out=folder / "run", epochs=10, settings=settings, report=False)
    return request.param, data, data / name, trained


def test_pictures_of_every_field_are_learned_and_measured(learned):
    kind, data, _, trained = learned
    assert check(data).ok
    assert trained.scores.miou > 0.3
    again = evaluate(trained.run.folder, data).scores
    np.testing.assert_array_equal(again.confusion, trained.scores.confusion)
    if kind == "map":
        counted = sum(int((label != 255).sum()) for label in _labels(data, "val"))
        assert again.confusion.sum() == counted


def test_pictures_of_every_field_are_predicted_where_they_lie_and_streamed_is_whole(learned, tmp_path):
    kind, _, source, trained = learned
    whole, streamed = load(trained.run.folder), load(trained.run.folder, memory="20MB")
    companions = Companions(overlay=True, probabilities="tiff", uncertainty=True)
    outs = []
    for name, predictor in (("whole", whole), ("streamed", streamed)):
        jobs = find_jobs(predictor, [source], tmp_path / name, companions)
        done = run_jobs(predictor, jobs, tmp_path / name)
        assert not done.failed
        outs.append(done.written[0])
        assert not list((tmp_path / name).glob("*.part*"))
    first, second = (FIELDS[kind](path, source) for path in outs)
    probabilities = whole.predict(source, probabilities=True).probabilities
    ties = np.sort(probabilities, 0)[-1] - np.sort(probabilities, 0)[-2] < 1e-4
    assert ((first == second) | ties).all()


def _map(path, source):
    with rasterio.open(path) as file, rasterio.open(source) as truth:
        assert (file.crs, file.transform, file.nodata) == (truth.crs, truth.transform, 255)
        labels = file.read(1)
        np.testing.assert_array_equal(labels == 255, (truth.read() == NODATA).all(0))
    with rasterio.open(path.with_name("2_probabilities.tif")) as file, rasterio.open(source) as truth:
        assert (file.crs, file.transform) == (truth.crs, truth.transform)
        assert file.descriptions == ("ground", "field", "water")
        np.testing.assert_array_equal(np.isnan(file.read(1)), labels == 255)
    return labels


def _stack(path, _):
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "ZYX"
        assert 'PhysicalSizeZ="0.5"' in file.ome_metadata
        return file.asarray()


def _series(path, source):
    written, beside = nibabel.load(path), nibabel.load(source.with_name(source.name + ".nii.gz"))
    np.testing.assert_allclose(written.affine, beside.affine, atol=1e-4)
    return np.asanyarray(written.dataobj).T


FIELDS = {"map": _map, "microscopy stack": _stack, "DICOM series": _series}
