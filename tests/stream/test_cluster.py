"""A cluster gives the answer of one process, whatever is lost on the way."""

import os
import signal
from threading import Lock

import numpy as np
import pytest
import torch
import zarr
from torch import nn

from atrous.errors import UserError
from atrous.stream import Cluster, connect, dispatch, prepare, stream
from atrous.stream.dispatch import local_threads
from tests.stream.test_worker import Gate
from tests.toy_models import difference, settled, unet

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def scene():
    torch.manual_seed(0)
    return np.random.default_rng(0).random((2, 96, 80), np.float32)


@pytest.fixture(scope="module")
def gate(scene):
    """A prepared network with three barriers in a row, and its output."""
    network = settled(Gate())
    return prepare(network, scene.shape), whole_of(network, scene)


def whole_of(network, image):
    return network(torch.from_numpy(image)[None]).detach()[0]


def test_logits_in_a_mapped_file_are_those_of_one_process(scene, client, tmp_path):
    network, told = settled(unet(2)), []
    expected = whole_of(network, scene)
    logits = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, tuple(expected.shape))
    stream(network, scene, logits, client=Cluster(client, side=32, tell=told.append))
    assert difference(torch.from_numpy(logits), expected) < 5e-6
    assert "4 units of 64 x 64" in told[0]
    assert "on 2 workers" in told[-1]


def test_labels_of_a_network_with_barriers_in_shards_are_those_of_one_process(gate, scene, client, tmp_path):
    ready, expected = gate
    labels = zarr.create_array(tmp_path / "a.zarr", shape=(96, 80), chunks=(16, 16), shards=(48, 32), dtype="u1")
    stream(ready, scene, labels, client=Cluster(client, side=32), post="argmax", resume=True)
    top = expected.topk(2, 0).values
    tied = (top[0] - top[1] < 1e-4).numpy()
    assert (np.asarray(labels[...]) == expected.argmax(0).numpy())[~tied].all()
    assert not (tmp_path / "a.zarr" / ".units").exists()


def test_what_goes_into_memory_is_sent_back(scene, client):
    network = nn.Conv2d(2, 3, 5)
    assert difference(torch.from_numpy(stream(network, scene, client=client)), whole_of(network, scene)) < 5e-6


def test_what_is_done_is_not_computed_again(gate, scene, client, tmp_path):
    ready, expected = gate
    sink = zarr.create_array(tmp_path / "a.zarr", shape=(3, 96, 80), chunks=(3, 32, 32), dtype="f4")

    def interrupted(done):
        if done > 0.6:  # in the last of three phases that gather, which take three quarters of all
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream(ready, scene, sink, client=Cluster(client, side=32), resume=True, progress=interrupted)
    with pytest.raises(UserError, match="belongs to another run"):
        stream(ready, scene, sink, client=Cluster(client, side=64), resume=True)
    computed = []
    stream(ready, scene, sink, client=Cluster(client, side=32), resume=True, progress=computed.append)
    assert len(computed) < 18  # of 36
    assert difference(torch.from_numpy(np.asarray(sink[...])), expected) < 5e-6


def test_mistakes_are_told_in_one_line(scene, client):
    network = nn.Conv2d(2, 1, 3)
    with pytest.raises(UserError, match="region= does not go with client="):
        stream(network, scene, client=client, region=(slice(0, 3), slice(0, 3)))
    with pytest.raises(UserError, match="cannot be sent to workers"):
        stream(network, _Unsent(scene), client=client)
    with pytest.raises(UserError, match="broken chunk"):
        stream(network, _Broken(scene), client=client)
    with pytest.raises(UserError, match="--dask local:x: write how many"), connect("local:x"):
        pass


def test_no_scheduler_and_no_worker(scene, monkeypatch):
    monkeypatch.setattr(dispatch, "PATIENCE", 0.2)
    with pytest.raises(UserError, match="no scheduler answers there"), connect("tcp://127.0.0.1:9"):
        pass
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as empty,
        distributed.Client(empty) as client,
        pytest.raises(UserError, match="no worker has come"),
    ):
        stream(nn.Conv2d(2, 1, 3), scene, client=client)


def test_a_unit_that_dask_gives_up_begins_again_until_it_is_told(scene, client, monkeypatch):
    network, given_up = nn.Conv2d(2, 1, 3), []
    submit = client.submit

    def killed(*arguments, **more):
        future = submit(*arguments, **more)
        if arguments[0] is dispatch.run_unit and len(given_up) < wanted:
            given_up.append(future.key)
            monkeypatch.setattr(future, "result", _killed)
        return future

    monkeypatch.setattr(client, "submit", killed)
    wanted = dispatch.ATTEMPTS - 1
    assert difference(torch.from_numpy(stream(network, scene, client=client)), whole_of(network, scene)) < 5e-6
    assert len(set(given_up)) == wanted
    wanted = 100
    with pytest.raises(UserError, match="its workers died again and again"):
        stream(network, scene, client=client)


def _killed():
    raise distributed.KilledWorker("unit", None, 3)


def test_threads_of_local_processes(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (local_threads("local:2"), local_threads("tcp://10.0.0.1:8786")) == (3, None)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert local_threads("local:10000") == 1


class _Unsent:
    """A source that no process can send."""

    def __init__(self, values):
        self.shape, self.dtype, self.lock = values.shape, values.dtype, Lock()

    def __getitem__(self, key):
        raise AssertionError


class _Broken:
    """A source that is damaged."""

    def __init__(self, values):
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, key):
        raise UserError("scan.zarr: broken chunk")


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_its_unit_to_another(scene, tmp_path):
    network, killed = settled(unet(2)), []
    sink = zarr.create_array(tmp_path / "a.zarr", shape=(3, 96, 80), chunks=(3, 16, 16), dtype="f4")
    with connect("local:2") as client:

        def kill(done):
            if not killed:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        stream(network, scene, sink, client=Cluster(client, side=16, threads=1), resume=True, progress=kill)
    assert difference(torch.from_numpy(np.asarray(sink[...])), whole_of(network, scene)) < 5e-6


def test_units_are_meant_for_the_workers_that_have_the_fewest(scene, client, monkeypatch):
    threads = {"tcp://a:1": 1, "tcp://b:1": 2}
    work = dispatch.Dispatch(Cluster(client), None, None)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(client, "nthreads", lambda: threads)
    crew = dispatch.Crew(work)
    assert crew.most() == 3
    for number in range(3):
        work.live[str(number)] = None, number, crew.least()
    assert work.meant() == {"tcp://a:1": 1, "tcp://b:1": 2}
    crew.seconds = dispatch.QUICK / 2
    assert crew.most() == 8
    offering = dispatch.Dispatch(Cluster(client, resources={"GPU": 1}), None, None)  # pyright: ignore[reportArgumentType]
    other = dispatch.Crew(offering)
    threads.clear()  # all workers are lost: one unit waits for those to come
    assert other.most() == 1
    assert crew.least() is not None
    assert other.least() is None
