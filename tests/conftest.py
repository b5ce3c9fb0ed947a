"""What several tests share: small data sets and a run that was trained on one."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

from atrous.demo.digits import write_digit_scenes

# Other tests run beside, so the clock says nothing. The examples are always the same: `--hypothesis-profile explore`
# draws new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("same")

if "PYTEST_XDIST_WORKER" in os.environ:  # one process per core: threads of one would stand in the way of the others
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: the garbage collector, which exports keep busy, need not look at them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def denormals_kept():
    """Training and prediction flush denormals for the process; hypothesis needs them to draw floats."""
    torch.set_flush_denormal(False)


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C is heeded: a shell that starts the tests in the background has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the repository, where there is one."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets do not lie beside the repository")
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """A small data set of digit scenes; read it, do not write into it."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    write_digit_scenes(folder, train=8, val=3, test=2, size=(64, 64), seed=0)
    return folder


@pytest.fixture
def s3(monkeypatch) -> Iterator[Any]:
    """The files of a real S3 server on this machine, as fsspec gives them."""
    files = pytest.importorskip("s3fs").S3FileSystem
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():  # fmt: skip
            monkeypatch.setitem(os.environ, name, value)
        files.clear_instance_cache()
        yield files()
    finally:
        files.clear_instance_cache()
        server.stop()


SMALL = (
    "model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16",
    "train.crop=[64, 64]", "train.batch_size=4",
)  # fmt: skip
"""Overrides that make a network train in seconds."""


@pytest.fixture(scope="session")
def trained(tmp_path_factory, digits) -> Path:
    """A run folder of a few steps; read it, do not write into it."""
    from atrous.verbs.train import train

    folder = tmp_path_factory.mktemp("runs") / "digits"
    train(digits, out=folder, epochs=2, settings=SMALL)
    return folder


@pytest.fixture(scope="module")
def client():
    """A client of a Dask cluster of two workers in this process."""
    distributed = pytest.importorskip("distributed")
    settings = {"threads_per_worker": 1, "processes": False, "dashboard_address": "127.0.0.1:0", "memory_limit": 0}
    with distributed.LocalCluster(n_workers=2, **settings) as here, distributed.Client(here) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture
def squares(tmp_path) -> Path:
    """A writable data set: `images/*.png` with `masks/*.png` of bright squares on dark ground."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        os.makedirs(tmp_path / "squares" / folder)
    for index in range(5):
        mask = np.zeros((40, 48), np.uint8)
        row, column = rng.integers(0, 24, 2)
        mask[row : row + 16, column : column + 16] = 1
        image = (60 + 120 * mask + rng.normal(0, 10, mask.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "squares" / "images" / f"{index}.png")
        Image.fromarray(mask).save(tmp_path / "squares" / "masks" / f"{index}.png")
    return tmp_path / "squares"
