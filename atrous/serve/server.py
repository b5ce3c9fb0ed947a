"""Start the server: open what was named, listen, say the link, and stop cleanly."""

import ipaddress
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.data.formats import suffix_of
from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.serve.app import INSTALL, NO_PAGE, STATIC, create_app
from atrous.serve.cache import CacheFolder, default_folder
from atrous.serve.found import ServedFile, find_files
from atrous.serve.linked_images import OWN
from atrous.serve.object_session import ObjectSession, finds_objects
from atrous.serve.paint_place import PaintPlace
from atrous.serve.paint_session import PaintSession
from atrous.serve.slow import patient_protocol
from atrous.serve.viewer import Viewer
from atrous.stream.process import kept_memory

PORT = 8765
"""The first port that is tried."""
TRIED = 50
"""Ports that are tried after it, if they are taken."""


@dataclass(frozen=True)
class ServeOptions:
    """Options of a server.

    Attributes:
        run: folder of the run whose network labels the inputs; None to look only.
        host: address or name to listen on.
        port: to listen on; 0 for any free one; None for the first free one from `PORT` on.
        token: that every request must bring; None for a random one.
        cache: folder of what was computed once; None for the system's.
        device: where the network runs.
        paint: folder of the data set that is painted, which may not be there yet; None to look only.
        objects: folder of the data set of single objects that are corrected, which may not be there yet; or None.
    """

    run: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    token: str | None = None
    cache: Path | None = None
    device: str = "cpu"
    paint: Path | None = None
    objects: Path | None = None


@dataclass(frozen=True)
class Started:
    """A server that is about to answer.

    Attributes:
        link: the address of the page, with the token.
        host: that it listens on.
        port: that it listens on.
        token: that every request must bring.
        inputs: number of opened files.
        run: folder of the run, or None.
    """

    link: str
    host: str
    port: int
    token: str
    inputs: int
    run: str | None


def serve(
    inputs: Sequence[str | Path],
    options: ServeOptions,
    *,
    started: Callable[[Started], None] = lambda facts: None,
    tell: Callable[[str], None] = lambda text: None,
) -> None:
    """Open files and folders, and answer requests until the process is interrupted.

    Args:
        inputs: files, folders (searched with all their subfolders) and globs.
        options: see there.
        started: called once, when requests are answered from now on.
        tell: called with lines about what is left out, and about a page that was not built.

    Raises:
        UserError: nothing is found, there is no such run, the port is taken, or a library is missing.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise UserError(INSTALL) from error
    token = options.token if options.token is not None else secrets.token_urlsafe(24)
    if len(token) < 8 or not token.isascii() or not token.replace("-", "").replace("_", "").isalnum():
        raise UserError("--token: give 8 letters, digits, - or _ at least")
    predictor = None if options.run is None else load(options.run, device=options.device)
    if options.paint is not None and options.objects is not None:
        raise UserError("--paint and --objects: give one of them")
    if options.objects is None and finds_objects(predictor):
        raise UserError(f"{options.run}: finds single objects: give --objects FOLDER to count and correct them")
    files = _shown_files(find_files(inputs, predictor, tell), options, inputs)
    network = None if finds_objects(predictor) else predictor
    viewer = Viewer(files, CacheFolder(options.cache or default_folder()), network)
    place, objects = PaintPlace(), None
    try:
        if options.objects is not None:
            objects = ObjectSession(options.objects, viewer, predictor if network is None else None)
        else:
            place = _place(viewer, options, inputs)
        app = create_app(viewer, token, *names_of(options.host), painting=place, objects=objects)
        listening = listen(options.host, options.port)
        port = int(listening.getsockname()[1])
        if not (STATIC / "index.html").exists():
            tell(NO_PAGE)
        link = f"http://{_shown(options.host)}:{port}/#token={token}"
        run = None if options.run is None else str(options.run)
        started(Started(link, options.host, port, token, len(files), run))
        with kept_memory():
            _answer(uvicorn, app, listening)
    finally:
        place.close()
        if objects is not None:
            objects.close()
        viewer.close()


def _place(viewer: Viewer, options: ServeOptions, inputs: Sequence[str | Path]) -> PaintPlace:
    """Where is painted: in the named folder, or later in a new one of the first opened folder."""

    def make(root: Path) -> PaintSession:
        return PaintSession(root, viewer, device=options.device, start=options.run)

    if options.paint is not None:
        return PaintPlace(make(options.paint))
    parent = next((Path(entry) for entry in inputs if Path(entry).is_dir() and suffix_of(Path(entry)) != ".zarr"), None)
    return PaintPlace(parent=parent, make=make)


def _shown_files(files: list[ServedFile], options: ServeOptions, inputs: Sequence[str | Path]) -> list[ServedFile]:
    """The files without those of data sets that are made here: images that are shown already, and masks.

    What was named itself is shown.
    """
    made = [folder for folder in (options.paint, options.objects) if folder is not None]
    made += [own.parent for entry in inputs if Path(entry).is_dir() for own in Path(entry).glob(f"*/{OWN}")]
    for folder in {folder.resolve() for folder in made}:
        if any(Path(entry).resolve().is_relative_to(folder) for entry in inputs):
            continue
        outside = [file for file in files if not file.item.path.resolve().is_relative_to(folder)]
        files = outside or files
    return files


def _answer(uvicorn: Any, app: Any, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C."""
    try:
        uvicorn.Server(configured(uvicorn, app)).run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn has closed everything, and raises the signal again
        pass
    finally:
        listening.close()


def configured(uvicorn: Any, app: Any) -> Any:
    """Return the settings with which uvicorn serves an application."""
    return uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, date_header=False, http=patient_protocol(),
        ws="none", timeout_keep_alive=10, timeout_graceful_shutdown=2, h11_max_incomplete_event_size=16384,
    )  # fmt: skip


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens; without a port, on the first free one from `PORT` on.

    Raises:
        UserError: the address is not this machine's, or the port is taken.
    """
    if port is not None and not 0 <= port < 2**16:
        raise UserError(f"port {port}: a port is 0 to 65535: give another --port")
    last: OSError | None = None
    for number in [port] if port is not None else [*range(PORT, PORT + TRIED), 0]:
        try:
            return socket.create_server((host, number), family=_family(host))
        except OSError as error:
            last = error
    reason = (last.strerror or str(last)) if last is not None else "no port is free"
    raise UserError(f"{host}, port {port}: cannot listen there ({reason}): give another --port or --host")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def names_of(host: str) -> tuple[frozenset[str], bool]:
    """Return under which names a server that listens on `host` is reached, and whether any IP address is one of them.

    >>> sorted(names_of("127.0.0.1")[0]), names_of("127.0.0.1")[1], names_of("0.0.0.0")[1]
    (['127.0.0.1', '::1', 'localhost'], False, True)
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    own = {"localhost", "127.0.0.1", "::1", host.lower()}
    if address is not None and address.is_unspecified:
        return frozenset(own | {socket.gethostname().lower(), socket.getfqdn().lower()}), True
    return frozenset(own), False


def _shown(host: str) -> str:
    """The host of the link: one that a browser can open."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def open_browser(link: str) -> None:
    """Open the page in the browser of this machine, if it has a screen."""
    screen = sys.platform in ("win32", "darwin") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    if screen:
        threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()
