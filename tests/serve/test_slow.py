"""Two hundred clients that never end their requests keep nobody out, and are given up."""

import socket
import threading

import httpx
import pytest
from PIL import Image

from atrous.serve import guard, slow
from atrous.serve.app import create_app
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.server import configured, listen
from atrous.serve.viewer import Viewer

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")

TOKEN = "a-token-of-24-letters"
SLOW = 200


@pytest.fixture
def server(tmp_path):
    """A server with one image; its port."""
    Image.new("L", (8, 6)).save(tmp_path / "a.png")
    viewer = Viewer(find_files([tmp_path / "a.png"], None, print), CacheFolder(tmp_path / "cache"))
    app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}))
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(configured(uvicorn, app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(30)
    listening.close()


def test_slow_clients_keep_nobody_out_and_are_given_up(server, monkeypatch):
    monkeypatch.setattr(slow, "SECONDS", 1.0)
    monkeypatch.setattr(guard, "BODY_SECONDS", 1.0)
    head = f"POST /api/run HTTP/1.1\r\nHost: 127.0.0.1:{server}\r\nAuthorization: Bearer {TOKEN}\r\n"
    begun = (b"", b"GET /api/run HT", head.encode(), f"{head}Content-Length: 50\r\n\r\nhalf".encode())
    clients = [socket.create_connection(("127.0.0.1", server), timeout=60) for _ in range(SLOW)]
    try:
        for number, client in enumerate(clients):
            client.sendall(begun[number % len(begun)])
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{server}", headers=headers, timeout=60) as asked:
            for _ in range(3):
                assert asked.get("/api/inputs").json()["total"] == 1
        for number, client in enumerate(clients):
            last = b""
            while part := client.recv(4096):
                last = part
            assert last.startswith(b"HTTP/1.1 408") == (number % len(begun) == 3) or b"did not arrive" in last
    finally:
        for client in clients:
            client.close()


def test_more_connections_than_the_limit_are_closed_at_once(server, monkeypatch):
    monkeypatch.setattr(slow, "CONNECTIONS", 3)
    clients = [socket.create_connection(("127.0.0.1", server), timeout=60) for _ in range(3)]
    try:
        clients[-1].sendall(f"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1:{server}\r\n\r\n".encode())
        assert clients[-1].recv(4096).startswith(b"HTTP/1.1 404")  # all three were taken
        with socket.create_connection(("127.0.0.1", server), timeout=60) as one_more:
            assert one_more.recv(4096) == b""
    finally:
        for client in clients:
            client.close()
