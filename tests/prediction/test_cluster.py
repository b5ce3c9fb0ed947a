"""What a cluster predicts is what one process predicts, with all that is written beside the labels."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
import zarr
from torch import nn

from atrous.errors import UserError
from atrous.prediction import regions
from atrous.prediction.cluster import ClusterPredictor, predict_on_cluster
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.output import Companions
from atrous.prediction.predictor import Predictor, load
from atrous.stream import Cluster
from atrous.stream.units import cut_units
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from tests.prediction.values_world import broken_signal, make_run, value_predictor


@pytest.fixture
def predictor(trained):
    """In bfloat16, the scores of a network that hardly learned often tie."""
    return load(trained, dtype=torch.float32)


@pytest.mark.slow
def test_labels_and_companions_are_those_of_one_process(predictor, scan, tmp_path, client):
    wanted, told = Companions(probabilities="zarr", overlay=True), []
    one, many = (find_jobs(predictor, [scan], tmp_path / name, wanted) for name in ("one", "many"))
    run_jobs(predictor, one, tmp_path / "one")
    done = predict_on_cluster(predictor, many, Cluster(client), tmp_path / "many", tell=told.append)
    assert (done.failed, [path.name for path in done.written]) == ((), ["scan.tif"])
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == [
        "scan.tif", "scan_overlay.png", "scan_probabilities.zarr",
    ]  # fmt: skip
    assert "units of 64 x 64, 9 of them" in told[0]
    labels = [tifffile.imread(tmp_path / name / "scan.tif") for name in ("one", "many")]
    assert (labels[0] != labels[1]).mean() <= 1e-3  # where two scores are equal but for rounding
    maps = [zarr.open_array(tmp_path / name / "scan_probabilities.zarr")[...] for name in ("one", "many")]
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-5)


@pytest.mark.slow
def test_a_network_with_a_barrier_runs_in_phases_and_resumes(predictor, scan, tmp_path, client):
    network = nn.Sequential(predictor.network, nn.GroupNorm(1, predictor.task.out_channels)).eval()
    gated, told = Predictor(predictor.run, network, predictor.task), []
    one, many = (find_jobs(gated, [scan], tmp_path / name) for name in ("one", "many"))
    run_jobs(gated, one, tmp_path / "one")

    def interrupted(done):
        if done > 0.6:  # among the regions: the statistics are the first half
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_on_cluster(gated, many, Cluster(client), tmp_path / "many", interrupted)
    (folder,) = (path for path in (tmp_path / "many").iterdir() if "regions" in path.name)
    assert 1 <= len(list(folder.glob("*.npy"))) < 9
    predict_on_cluster(gated, many, Cluster(client, tell=told.append), tmp_path / "many")
    assert "of 9 units are done already" in told[0]
    assert not any("statistics" in line for line in told)
    labels = [tifffile.imread(tmp_path / name / "scan.tif") for name in ("one", "many")]
    assert (labels[0] != labels[1]).mean() <= 1e-3
    assert [path.name for path in (tmp_path / "many").iterdir()] == ["scan.tif"]


@pytest.mark.slow
def test_signals_have_the_labels_of_one_process(tmp_path, client, monkeypatch):
    """Where intervals have a least length, labels follow from all regions; and gaps are void."""
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 0)
    monkeypatch.setattr(regions, "cut_units", partial(cut_units, side=64))
    signal = broken_signal()[0]
    signal[0, [0, 77, 300]] = np.nan
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", signal[0])
    predictor = value_predictor(make_run(tmp_path / "run"))
    one, many = (find_jobs(predictor, [tmp_path / "in" / "a.npy"], tmp_path / name) for name in ("one", "many"))
    run_jobs(predictor, one, tmp_path / "one")
    assert predict_on_cluster(predictor, many, Cluster(client), tmp_path / "many").failed == ()
    labels = [np.load(tmp_path / name / "a.npy") for name in ("one", "many")]
    np.testing.assert_array_equal(labels[1], labels[0])
    assert np.flatnonzero(labels[1] == 255).tolist() == [0, 77, 300]


def test_what_is_not_cut_is_refused(trained, scan, tmp_path, client):
    videos: object = SimpleNamespace(kind="videos")
    with pytest.raises(UserError, match="--dask is for images, volumes and signals, not for videos"):
        ClusterPredictor(videos, Cluster(client), [])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="--tta flip takes inputs whole"):
        predict(trained, [scan], tmp_path / "out", PredictOptions(dask="local:1", tta="flip"))
    with pytest.raises(UserError, match="--dask: several jobs write labels alone"):
        predict(trained, [scan], tmp_path / "out", PredictOptions(dask="local:1", part="1/2"))


@pytest.mark.slow
def test_the_command_runs_processes_of_its_own(trained, digits, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    image, told = next((digits / "images" / "test").glob("*.png")), []
    options = PredictOptions(dask="local:2", memory="200MB")  # with a limit, also a small image is streamed
    done = predict(trained, [image], tmp_path, options, tell=told.append)
    assert (len(done.written), done.failed) == (1, ())
    assert "cluster: 2 workers" in told[0]
