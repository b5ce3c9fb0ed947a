"""Several jobs label one input together: the labels of one prediction, each region computed once."""

from functools import partial

import pytest
import tifffile
import torch
from torch import nn

from atrous.errors import UserError
from atrous.prediction import regions, shares
from atrous.prediction.predictor import Predictor, load
from atrous.prediction.shares import Share
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions


def test_the_labels_of_all_jobs_are_those_of_one(trained, scan, tmp_path, monkeypatch):
    exact = partial(load, dtype=torch.float32)  # in bfloat16, the scores of a network that hardly learned often tie
    monkeypatch.setattr("atrous.verbs.predict.load", exact)
    predict(trained, [scan], tmp_path / "one", PredictOptions())
    wanted, out, said, computed = tifffile.imread(tmp_path / "one" / "scan.tif"), tmp_path / "out", [], []
    compute = shares.compute_region

    def counted(predictor, labels, number):
        computed.append(number)
        compute(predictor, labels, number)

    monkeypatch.setattr(shares, "compute_region", counted)
    first = predict(trained, [scan], out, PredictOptions(part="2/2"), tell=said.append)
    assert (len(first.written), first.failed) == (1, ())
    assert "9 regions; job 2 of 2 has 4, 4 of them to be computed" in said[0]
    ((_, reason),) = predict(trained, [scan], out, PredictOptions(join=True)).failed
    assert "5 of 9 regions are missing, the first is number 1" in reason
    predict(trained, [scan], out, PredictOptions(part="1/1"))  # what is there is not computed again
    assert sorted(computed) == list(range(9))
    joined = predict(trained, [scan], out, PredictOptions(join=True))
    assert [path.name for path in joined.written] == ["scan.tif"]
    assert (tifffile.imread(out / "scan.tif") != wanted).mean() <= 1e-3  # where two scores are equal but for rounding
    assert [path.name for path in out.iterdir()] == ["scan.tif"]
    assert len(predict(trained, [scan], out, PredictOptions(part="1/3")).skipped) == 1


def test_a_job_that_is_stopped_leaves_whole_regions(trained, scan, tmp_path, monkeypatch):
    out, compute = tmp_path / "out", regions.stream

    def stopped(ready, source, sink, options):
        if options.region[1].start:
            sink[:40] = 1
            raise KeyboardInterrupt
        compute(ready, source, sink, options)

    monkeypatch.setattr(regions, "stream", stopped)
    with pytest.raises(KeyboardInterrupt):
        predict(trained, [scan], out, PredictOptions(part="1/1"))
    (folder,) = out.iterdir()
    assert [path.name for path in folder.iterdir()] == ["000000.npy"]


def test_small_inputs_are_one_region(trained, digits, tmp_path):
    image = next((digits / "images" / "test").glob("*.png"))
    for part in ("1/2", "2/2"):
        predict(trained, [image], tmp_path, PredictOptions(part=part))
    assert len(predict(trained, [image], tmp_path, PredictOptions(join=True)).written) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"part": "0/4"}, "--part 0/4: write the number of the job"),
        ({"part": "5/4"}, "--part 5/4"),
        ({"part": "x"}, "--part x"),
        ({"part": "1/2", "join": True}, "give one of them"),
        ({"part": "1/2", "overlay": True}, "--overlay: several jobs write labels alone"),
        ({"join": True, "tta": "flip"}, "--tta: several jobs"),
    ],
)
def test_what_shares_do_not_go_with(trained, scan, tmp_path, more, said):
    with pytest.raises(UserError, match=said):
        predict(trained, [scan], tmp_path / "out", PredictOptions(**more))


def test_networks_that_need_the_whole_input_are_refused(trained, scan, tmp_path, monkeypatch):
    def gated(*arguments, **more):
        predictor = load(*arguments, **more)
        network = nn.Sequential(predictor.network, nn.GroupNorm(1, predictor.task.out_channels)).eval()
        return Predictor(predictor.run, network, predictor.task)

    monkeypatch.setattr("atrous.verbs.predict.load", gated)
    ((_, reason),) = predict(trained, [scan], tmp_path / "out", PredictOptions(part="1/2")).failed
    assert "--part: 1 (moments) needs the whole input" in reason
    assert "--dask" in reason


def test_shares_are_dealt_evenly():
    dealt = [Share(number, 3).of(10) for number in (1, 2, 3)]
    assert sorted(number for numbers in dealt for number in numbers) == list(range(10))
    assert {len(numbers) for numbers in dealt} == {3, 4}
