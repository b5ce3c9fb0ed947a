"""A run that is killed goes on from the last finished strip, and gives the same answer."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.stream import resume as resume_module
from atrous.stream import stream
from tests import toy_models
from tests.toy_models import difference, settled


class Killed(Exception):
    pass


class Counting:
    """A source that counts the rows read, and kills the run when told."""

    def __init__(self, array: np.ndarray, limit: int | None = None):
        self.array, self.limit, self.rows = array, limit, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key):
        part = self.array[key]
        self.rows += part.shape[1]
        if self.limit is not None and self.rows > self.limit:
            raise Killed
        return part


@pytest.mark.parametrize(("name", "blocks", "limit"), [("unet", 1, 60), ("unet", 2, 150), ("group norm", 1, 150)])
def test_a_killed_run_goes_on(name, blocks, limit, tmp_path, monkeypatch):
    monkeypatch.setattr(resume_module, "EVERY", 0.0)
    network = settled(toy_models.two_dimensional()[name])
    x = torch.randn(2, 96, 24, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        wanted = network(x[None])[0]
    sink = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=tuple(wanted.shape))
    with pytest.raises(Killed):
        stream(network, Counting(x.numpy(), limit), sink, axis=0, strip=8, blocks=blocks, resume=True)
    assert (tmp_path / "out.npy.progress.npz").exists()
    again = Counting(x.numpy())
    stream(network, again, sink, axis=0, strip=8, blocks=blocks, resume=True)
    assert difference(torch.from_numpy(np.array(sink)), wanted) <= 5e-5
    fresh = Counting(x.numpy())
    stream(network, fresh, axis=0, strip=8, blocks=blocks)
    assert again.rows < 0.8 * fresh.rows
    assert not (tmp_path / "out.npy.progress.npz").exists()


def test_another_run_is_not_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(resume_module, "EVERY", 0.0)
    x = torch.randn(2, 96, 24)
    sink = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=(3, 96, 24))
    with pytest.raises(Killed):
        stream(settled(toy_models.unet(2)), Counting(x.numpy(), 60), sink, axis=0, strip=8, resume=True)
    with pytest.raises(UserError, match="another run"):
        stream(settled(toy_models.unet(2), seed=1), x.numpy(), sink, axis=0, strip=8, resume=True)


def without_head(path):
    np.savez(path, v3=np.zeros(2))


def other_values(path):
    with np.load(path) as stored:
        values = {name: stored[name] if name == "head" else stored[name][:0] for name in stored.files}
    np.savez(path, **values)


def too_far(path):
    with np.load(path) as stored:
        values = {name: stored[name] for name in stored.files}
    values["head"] = np.array(str(values["head"]).replace('"passes": 1', '"passes": 7'))
    np.savez(path, **values)


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"),
    "changed bytes": lambda path: path.write_bytes(
        bytes(b ^ 255 if i > 90 else b for i, b in enumerate(path.read_bytes()))
    ),
    "an array": lambda path: path.write_bytes((path.parent / "other.npy").read_bytes()),
    "no head": without_head,
    "other values": other_values,
    "too many passes": too_far,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_record_begins_anew_and_says_so(name, tmp_path, monkeypatch):
    monkeypatch.setattr(resume_module, "EVERY", 0.0)
    network = settled(toy_models.two_dimensional()["group norm"])
    x = torch.randn(2, 96, 24, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        wanted = network(x[None])[0]
    np.save(tmp_path / "other.npy", np.zeros(3))
    sink = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=tuple(wanted.shape))
    with pytest.raises(Killed):
        stream(network, Counting(x.numpy(), 150), sink, axis=0, strip=8, resume=True)
    DAMAGES[name](tmp_path / "out.npy.progress.npz")
    with pytest.warns(UserWarning, match=r"out\.npy\.progress\.npz: the record .* is damaged .*: the run begins anew"):
        stream(network, x.numpy(), sink, axis=0, strip=8, resume=True)
    assert difference(torch.from_numpy(np.array(sink)), wanted) <= 5e-5
    assert not (tmp_path / "out.npy.progress.npz").exists()


def slope(network):
    network[1].negative_slope = 0.5
    return {}


def flip(network):
    network[0].weight.data = network[0].weight.data.flip(-1)
    return {}


@pytest.mark.parametrize("change", [slope, flip, lambda network: {"post": "sigmoid"}])
def test_what_gives_other_rows_is_another_run(change, tmp_path, monkeypatch):
    monkeypatch.setattr(resume_module, "EVERY", 0.0)
    x = torch.randn(2, 96, 24)
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.LeakyReLU(0.1)).eval()
    sink = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=(3, 96, 24))
    options = {"axis": 0, "strip": 8, "resume": True, "post": "softmax"}
    with pytest.raises(Killed):
        stream(network, Counting(x.numpy(), 60), sink, **options)
    with pytest.raises(UserError, match="another run"):
        stream(network, x.numpy(), sink, **{**options, **change(network)})


def test_a_sink_that_dies_with_the_process_is_refused():
    with pytest.raises(UserError, match="outlives"):
        stream(settled(toy_models.unet(2)), np.zeros((2, 8, 8), np.float32), resume=True)
