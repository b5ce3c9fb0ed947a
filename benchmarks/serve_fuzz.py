"""Ask every route of the HTTP API of `atrous serve` for anything that its OpenAPI description allows, and much beyond.

    python -m benchmarks.serve_fuzz --examples 50

Serves made data: images with a network, its evaluation and painting; objects; a recording with a network; a genome.
Against each server, `schemathesis` (https://schemathesis.io) sends requests that it makes from the description, valid
and invalid. Fails if any answer is a server error (500 and above), or if a server does not answer afterwards.
`503` for "too much is waiting" is an answer, not an error: it comes with a reason, and is not counted.

Needs schemathesis (MIT), best in an environment of its own, as pytest would load it with every test:

    python -m venv .fuzz && .fuzz/bin/pip install schemathesis
    python -m benchmarks.serve_fuzz --command .fuzz/bin/schemathesis
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from PIL import Image

from atrous.demo.digits import write_digit_scenes
from atrous.prediction.predictor import load
from atrous.serve.app import create_app
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.object_session import ObjectSession
from atrous.serve.paint_session import PaintSession
from atrous.serve.server import listen
from atrous.serve.viewer import Viewer
from atrous.verbs.train import train
from benchmarks.crashes import make_grid_run

TOKEN = "a-token-of-24-letters"
PATIENCE = 120.0
"""Seconds beyond the given ones after which schemathesis is ended."""
SMALL = ("model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16")


def images(folder: Path) -> Any:
    """Scenes with a trained network, its evaluation, and painting."""
    data, run = folder / "digits", folder / "run"
    write_digit_scenes(data, train=4, val=2, test=2, size=(64, 64), seed=0)
    train(data, out=run, epochs=1, settings=[*SMALL, "train.crop=[64, 64]", "train.batch_size=2"])
    predictor = load(run)
    viewer = Viewer(find_files([data / "images" / "test"], predictor, print), CacheFolder(folder / "cache"), predictor)
    painting = PaintSession(folder / "painted", viewer, start=run, runs=folder / "runs")
    return create_app(viewer, TOKEN, frozenset({"127.0.0.1"}), painting=painting)


def recording(folder: Path) -> Any:
    """A signal with a network."""
    make_grid_run(folder / "run", ndim=1)
    np.save(folder / "a.npy", np.random.default_rng(0).integers(0, 256, 3000).astype(np.uint8))
    predictor = load(folder / "run")
    viewer = Viewer(find_files([folder / "a.npy"], predictor, print), CacheFolder(folder / "cache"), predictor)
    return create_app(viewer, TOKEN, frozenset({"127.0.0.1"}))


def looked_at(folder: Path) -> Any:
    """A genome, a volume and an image without a network."""
    (folder / "c.fa").write_text(">chr1\n" + "ACGT" * 500 + "\n")
    np.save(folder / "v.npy", np.arange(6 * 20 * 30, dtype=np.uint16).reshape(6, 20, 30))
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(folder / "a.png")
    viewer = Viewer(find_files([folder], None, print), CacheFolder(folder / "cache"))
    return create_app(viewer, TOKEN, frozenset({"127.0.0.1"}))


def objects(folder: Path) -> Any:
    """An image whose single objects are found and corrected."""
    make_grid_run(folder / "run", task={"kind": "instances", "options": {"ndim": 2, "scale": 4.0, "apart": 4.0}})
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)).save(folder / "a.png")
    viewer = Viewer(find_files([folder / "a.png"], None, print), CacheFolder(folder / "cache"))
    session = ObjectSession(folder / "cells", viewer, load(folder / "run"))
    return create_app(viewer, TOKEN, frozenset({"127.0.0.1"}), objects=session)


SERVERS = {"images": images, "objects": objects, "recording": recording, "looked_at": looked_at}


@contextmanager
def answering(app: Any) -> Iterator[str]:
    """A server that runs; its address."""
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="warning", http="h11", ws="none", limit_concurrency=100)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()


def fuzz(address: str, command: str, examples: int, seconds: float, settings: Path) -> int:
    """Run schemathesis against a server; return its exit code, or 124 if it was not done in time."""
    words = [
        command, "--config-file", str(settings), "--no-color", "run", f"{address}/api/openapi.json", "--url", address,
        "--header", f"Authorization: Bearer {TOKEN}", "--checks", "not_a_server_error", "--max-examples", str(examples),
        "--seed", "0", "--suppress-health-check", "all", "--workers", "1", "--max-time", str(int(seconds)),
    ]  # fmt: skip
    try:
        return subprocess.run(words, timeout=seconds + PATIENCE, check=False, cwd=settings.parent).returncode
    except subprocess.TimeoutExpired:
        return 124


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=30, help="of each route and phase")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each server at most")
    parser.add_argument("--only", choices=sorted(SERVERS), action="append", help="of these servers")
    parser.add_argument("--command", default="schemathesis", help="path of schemathesis")
    options = parser.parse_args()
    command = shutil.which(options.command)
    if command is None:
        raise SystemExit(f"{options.command}: is not there: pip install schemathesis, or give --command")
    failed = []
    for name in options.only or SERVERS:
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            settings = folder / "schemathesis.toml"
            settings.write_text('[checks.not_a_server_error]\nexpected-statuses = ["2xx", "4xx", 503]\n')
            (folder / "served").mkdir()
            with answering(SERVERS[name](folder / "served")) as address:
                print(f"{name}: {address}", flush=True)
                code = fuzz(address, str(Path(command).absolute()), options.examples, options.seconds, settings)
                alive = httpx.get(f"{address}/api/run", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
            print(f"{name}: exit code {code}, afterwards it answers {alive.status_code}", flush=True)
            if code not in (0, 124) or alive.status_code != 200:
                failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
