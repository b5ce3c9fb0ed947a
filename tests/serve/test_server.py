"""The command: it says its link, answers only whom it should, and stops cleanly."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from atrous.cli import main
from atrous.errors import UserError

pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")

from atrous.serve import server as module
from atrous.serve.server import ServeOptions, listen, names_of, open_browser, serve


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(folder / "a.png")
    return folder


def asked(url, token=None, **headers):
    """The status and the body of an answer."""
    request = urllib.request.Request(
        url, headers=headers | ({} if token is None else {"Authorization": f"Bearer {token}"})
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_it_serves_until_it_is_interrupted(folder, tmp_path):
    words = ["serve", str(folder), "--no-browser", "--port", "0", "--cache", str(tmp_path), "--json"]
    server = subprocess.Popen(
        [sys.executable, "-m", "atrous", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        facts = json.loads(server.stdout.readline())
        assert facts["inputs"] == 1
        assert facts["link"] == f"http://127.0.0.1:{facts['port']}/#token={facts['token']}"
        assert len(facts["token"]) >= 32
        base = f"http://127.0.0.1:{facts['port']}"
        assert (
            asked(f"{base}/api/inputs/0/value?row=2&column=3", facts["token"])[1]
            == b'{"position":[2,3],"values":[19.0]}'
        )
        assert asked(f"{base}/api/inputs")[0] == 401
        assert asked(f"{base}/api/inputs", facts["token"], Host="evil.example")[0] == 421
        assert asked(f"{base}/")[0] == 200
        with socket.create_connection(("127.0.0.1", facts["port"]), timeout=30) as line:
            head = f"POST /api/inputs HTTP/1.1\r\nHost: 127.0.0.1:{facts['port']}\r\nContent-Length: 1000000000\r\n\r\n"
            line.sendall(head.encode())
            assert line.recv(100).startswith(b"HTTP/1.1 413")
    finally:
        server.send_signal(signal.SIGINT)
        out, said = server.communicate(timeout=30)
    assert out == ""
    assert server.returncode == 0, said
    assert said.splitlines()[-1] == "atrous: stopped"
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere: no such file, folder or matching glob"),
        (["{}", "--token", "short"], "--token: give 8 letters"),
        (["{}", "--token", "with spaces and more"], "--token: give 8 letters"),
        (["{}", "--run", "{}"], "recipe.toml"),
        (["{}", "--port", "99999"], "a port is 0 to 65535"),
        (["{}", "--host", "198.51.100.1"], "give another --port or --host"),
    ],
)
def test_mistakes_are_one_line(folder, tmp_path, words, said, monkeypatch, capsys):
    given = [word.format(folder) for word in words]
    monkeypatch.setattr(sys, "argv", ["atrous", "serve", *given, "--no-browser", "--cache", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        main.run()
    assert left.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("atrous: ")]
    assert len(lines) == 1
    assert said in lines[0]


def test_a_library_that_is_missing_is_said(folder, tmp_path, monkeypatch):
    for name in ("uvicorn", "fastapi"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(UserError, match=r"pip install \"atrous\[serve\]\""):
                serve([folder], ServeOptions(cache=tmp_path, port=0))


def test_a_page_that_was_not_built_is_said_in_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STATIC", tmp_path)
    monkeypatch.setattr(module, "_answer", lambda *arguments: arguments[-1].close())
    told, started = [], []
    serve([folder], ServeOptions(cache=tmp_path, port=0), started=started.append, tell=told.append)
    assert [line for line in told if "make page" in line] == told != []
    assert started[0].inputs == 1


def test_a_taken_port_is_left_to_who_has_it(monkeypatch):
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError, match="cannot listen there"):
            listen("127.0.0.1", port)
        monkeypatch.setattr(module, "PORT", port)
        with listen("127.0.0.1", None) as second:
            assert second.getsockname()[1] > port


def test_names_are_those_of_the_address():
    assert names_of("127.0.0.1") == (frozenset({"127.0.0.1", "::1", "localhost"}), False)
    assert "mine.example" in names_of("mine.example")[0]
    assert names_of("::")[1]
    assert not names_of("192.168.0.7")[1]


def test_no_browser_is_opened_without_a_screen(monkeypatch):
    opened = []
    monkeypatch.setattr(module.webbrowser, "open", opened.append)
    monkeypatch.setattr(module.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    open_browser("http://127.0.0.1/")
    assert opened == []
