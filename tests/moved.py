"""A network that says exactly where a frame differs from its background, and where live frames come from in tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import torch
from PIL import Image
from torch import nn

from atrous.prediction.predictor import Predictor
from atrous.recipe.plan import Request
from atrous.recipe.run import create_run
from atrous.recipe.schema import override
from atrous.stream.prepare import Prepared, prepare
from atrous.verbs.check import check
from atrous.verbs.kinds import KINDS
from tests.pairs import make_scene, write_scene


class Moved(nn.Module):
    """Class 1 where red, green and blue differ from the background by more than 90 together; whole numbers, exact."""

    def __init__(self) -> None:
        super().__init__()
        self.difference, self.total = nn.Conv3d(6, 6, 1), nn.Conv3d(6, 2, 1)
        one = torch.eye(3)
        sides = torch.cat([torch.cat([one, -one], 1), torch.cat([-one, one], 1)])
        self.difference.weight.data, self.difference.bias.data = sides[..., None, None, None], torch.zeros(6)
        self.total.weight.data = torch.tensor([[0.0], [1.0]]).expand(2, 6)[..., None, None, None].clone()
        self.total.bias.data = torch.tensor([90.0, 0.0])

    def forward(self, x):
        return self.total(torch.relu(self.difference(x)))


def moved_predictor(folder: Path, *settings: str) -> Predictor:
    """A predictor with this network, of a run that is planned for a scene and not trained."""
    found = check(write_scene(folder / "scene"), task="motion")
    planned = KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(epochs=1))
    run = create_run(folder / "run", override(planned.recipe, list(settings)), {}, [])
    return Predictor(run, Moved(), run.task())


@cache
def prepared_once(network: nn.Module, shape: tuple[int, ...], output: int | str | None = None) -> Prepared:
    """Export a network once for a shape: each session would do it anew."""
    return prepare(network, shape, output=output)


def write_pictures(folder: Path, pictures: np.ndarray) -> Path:
    """Frames `(T, H, W, 3)` as `f0.png f1.png ...` in a new folder."""
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"f{number}.png")
    return folder


def mjpeg(pictures: np.ndarray) -> list[bytes]:
    """Frames `(T, H, W, 3)` as JPEG files."""
    files = []
    for picture in pictures:
        content = BytesIO()
        Image.fromarray(picture).save(content, "JPEG", quality=95)
        files.append(content.getvalue())
    return files


@contextmanager
def web_server(kind: str, content: bytes) -> Iterator[str]:
    """The address of a web server on this machine that answers every request with some bytes."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def scene(frames: int = 24) -> np.ndarray:
    """Frames `(T, H, W, 3)` of a fixed camera over which a square moves."""
    return make_scene(frames=frames)[0]
