"""Labels of inputs at URLs, written to URLs, are those of files; a real S3 server gives them too."""

import numpy as np
import pytest
import tifffile
import torch
import zarr

from atrous.data.formats import remote as urls
from atrous.errors import UserError
from atrous.prediction import remote
from atrous.prediction.predictor import load
from atrous.prediction.remote import Computing, predict_remote
from atrous.prediction.shares import Share
from atrous.stream import Cluster
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def predictor(trained):
    """In bfloat16, the scores of a network that hardly learned often tie."""
    return load(trained, dtype=torch.float32)


@pytest.fixture
def expected(predictor, scan):
    """Labels of the picture, of one process."""
    return predictor.predict(scan).labels


@pytest.fixture
def store(monkeypatch, scan):
    """A folder of fsspec's file system in memory with the picture as zarr and TIFF; shards of labels are small."""
    monkeypatch.setitem(remote.CHUNKS, 2, 16)
    monkeypatch.setattr(urls, "SCHEMES", (*urls.SCHEMES, "memory"))
    yield from _filled("memory://predictions", scan)
    fsspec.filesystem("memory").rm("/predictions", recursive=True)


def _filled(url, scan):
    image = np.moveaxis(np.atleast_3d(tifffile.imread(scan)), -1, 0)
    zarr.create_array(f"{url}/scan.zarr", data=image, chunks=(len(image), 64, 64))
    with fsspec.open(f"{url}/other.tif", "wb") as file:
        file.write(scan.read_bytes())
    yield url


def same(found, expected):
    return (np.asarray(found) != expected).mean() <= 1e-3  # where two scores are equal but for rounding


def test_labels_at_a_url_are_those_of_the_file_and_resume(predictor, scan, expected, store):
    entries, told = [f"{store}/scan.zarr", f"{store}/other.tif"], []

    def interrupted(done):
        if done > 0.5:  # of the first input
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_remote(predictor, entries, f"{store}/out", progress=interrupted)
    assert not zarr.open_array(f"{store}/out/scan.zarr").attrs["complete"]
    done = predict_remote(predictor, entries, f"{store}/out", tell=told.append)
    assert done.failed == ()
    assert done.written == (f"{store}/out/scan.zarr", f"{store}/out/other.zarr")
    assert "5 of 9 units are done already" in told
    for path in done.written:
        labels = zarr.open_array(path)
        assert same(labels[...], expected)
        assert labels.attrs["classes"] == list(predictor.classes)
    again = predict_remote(predictor, entries, f"{store}/out/")
    assert (len(again.written), len(again.skipped)) == (0, 2)


def test_jobs_share_the_units_and_one_more_completes_the_labels(predictor, scan, expected, store):
    entries, told = [f"{store}/scan.zarr"], []
    out, join = f"{store}/shared", Computing(join=True)
    second = predict_remote(predictor, entries, out, Computing(share=Share(2, 2)), tell=told.append)
    assert (len(second.written), second.failed) == (1, ())
    assert told[-1] == "job 2 of 2 has 4 units, 4 of them to be computed"
    assert len(predict_remote(predictor, entries, out, Computing(share=Share(2, 2))).skipped) == 1
    ((_, reason),) = predict_remote(predictor, entries, out, join).failed
    assert "scan.zarr: 5 of 9 units are missing, the first is number 1" in reason
    predict_remote(predictor, entries, out, Computing(share=Share(1, 1)), tell=told.append)
    assert told[-1] == "job 1 of 1 has 9 units, 5 of them to be computed"
    labels = zarr.open_array(f"{out}/scan.zarr")
    assert not labels.attrs["complete"]
    assert predict_remote(predictor, entries, out, join).written == (f"{out}/scan.zarr",)
    labels = zarr.open_array(f"{out}/scan.zarr")
    assert labels.attrs["complete"]
    assert same(labels[...], expected)
    assert not fsspec.filesystem("memory").find(f"{out}/scan.zarr/.units")
    assert len(predict_remote(predictor, entries, out, join).skipped) == 1


def test_jobs_share_a_network_without_barriers_alone(predictor, trained, store, monkeypatch):
    def refused(ready):
        raise UserError("--part: pool needs the whole input")

    monkeypatch.setattr(remote, "require_no_barriers", refused)
    done = predict(trained, [f"{store}/scan.zarr"], f"{store}/b", PredictOptions(part="1/2"))
    assert [reason for _, reason in done.failed] == ["--part: pool needs the whole input"]


@pytest.mark.slow
def test_workers_write_to_the_store_themselves(predictor, scan, expected, store, client):
    done = predict_remote(predictor, [str(scan)], f"{store}/many", Computing(Cluster(client)))
    assert (done.written, done.failed) == ((f"{store}/many/scan.zarr",), ())
    assert same(zarr.open_array(f"{store}/many/scan.zarr")[...], expected)


def test_mistakes_are_told_and_do_not_stop_the_others(predictor, trained, scan, store, tmp_path):
    done = predict_remote(predictor, [f"{store}/absent.zarr", f"{store}/scan.zarr"], str(tmp_path))
    assert [str(path) for path in done.written] == [str(tmp_path / "scan.zarr")]
    assert done.failed == ((f"{store}/absent.zarr", f"{store}/absent.zarr: there is nothing there: check the URL"),)
    with pytest.raises(UserError, match="two inputs would be written there"):
        predict_remote(predictor, [f"{store}/scan.zarr", str(scan)], str(tmp_path / "b"))
    with pytest.raises(UserError, match="--overlay: of URLs, labels alone are written"):
        predict(trained, [f"{store}/scan.zarr"], tmp_path, PredictOptions(overlay=True))
    zarr.create_array(f"{store}/wrong/scan.zarr", shape=(3, 3), chunks=(3, 3), dtype="u1")
    ((_, reason),) = predict_remote(predictor, [f"{store}/scan.zarr"], f"{store}/wrong").failed
    assert "there is an array of shape (3, 3)" in reason


def test_no_labels_are_written_over_an_input_or_what_is_not_theirs(predictor, scan, store, tmp_path):
    with pytest.raises(UserError, match="labels would be written over an input: give another -o"):
        predict_remote(predictor, [f"{store}/scan.zarr"], store)
    with pytest.raises(UserError, match="labels would be written over an input"):
        predict_remote(predictor, [f"{store}/other.tif", str(tmp_path / "scan.zarr")], str(tmp_path))
    size = tifffile.imread(scan).shape[:2]
    corrected = zarr.create_array(tmp_path / "scan.zarr", data=np.full(size, 7, np.uint8))
    ((_, said),) = predict_remote(predictor, [f"{store}/scan.zarr"], str(tmp_path)).failed
    assert "there is an array that this command has not begun: give another -o" in said
    assert (corrected[...] == 7).all()


@pytest.mark.slow
def test_an_s3_server(s3, trained, scan, tmp_path):
    s3.mkdir("bucket")
    (url,) = _filled("s3://bucket", scan)
    done = predict(trained, [f"{url}/scan.zarr", f"{url}/other.tif", f"{url}/absent.tif"], f"{url}/out")
    assert done.written == (f"{url}/out/scan.zarr", f"{url}/out/other.zarr")
    assert done.failed == ((f"{url}/absent.tif", f"{url}/absent.tif: there is nothing there: check the URL"),)
    first, second = (zarr.open_array(path)[...] for path in done.written)
    np.testing.assert_array_equal(first, second)
    predict(trained, [scan], tmp_path / "here")
    assert (tifffile.imread(tmp_path / "here" / "scan.tif") != first).mean() < 0.02  # in bfloat16
