"""What is refused before it reaches the API: other names, other sites, missing tokens, large bodies."""

import asyncio
import json

import pytest

from atrous.serve.guard import MOST_BODY, RequestGuard

TOKEN = "a-token-of-24-letters"


async def echo(scope, receive, send):
    """An application that answers with the body that it is given."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"SAMEORIGIN")]})
    await send({"type": "http.response.body", "body": message["body"]})


def ask(path="/api/run", method="GET", host="127.0.0.1:8765", parts=(b"",), any_address=False, query=b"", **headers):
    """The status, the headers and the body of the answer, and how many parts of the request were read."""
    guard = RequestGuard(echo, TOKEN, frozenset({"127.0.0.1", "localhost", "::1"}), any_address)
    given = [(b"host", host.encode())] if isinstance(host, str) else [(b"host", one.encode()) for one in host]
    given += [(name.replace("_", "-").encode(), str(value).encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "scheme": "http", "query_string": query, "headers": given}
    sent, read = [], []

    async def receive():
        read.append(parts[len(read)])
        return {"type": "http.request", "body": read[-1], "more_body": len(read) < len(parts)}

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body, len(read)


def own(**more):
    return ask(authorization=f"Bearer {TOKEN}", **more)


def test_the_link_and_its_page_may_ask():
    assert own()[0] == 200
    assert own(origin="http://127.0.0.1:8765", sec_fetch_site="same-origin")[0] == 200
    assert own(host="localhost:8765")[0] == 200
    assert own(host="[::1]:8765")[0] == 200
    assert ask(query=b"token=" + TOKEN.encode())[0] == 200
    status, headers, body, _ = own(method="POST", parts=(b"ab", b"cd"), content_length=4)
    assert (status, body) == (200, b"abcd")
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert headers[b"x-frame-options"] == b"SAMEORIGIN"  # what the application says itself stays
    assert not any(name.startswith(b"access-control") for name in headers)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8765", "evil.example", "", "127.0.0.1.evil.example", "192.168.0.7:8765", "a b", "[::1",
        ("127.0.0.1", "evil.example"),
    ],
)  # fmt: skip
def test_other_hosts_are_refused(host):
    status, _, body, read = own(host=host)
    assert (status, read) == (421, 0)
    assert json.loads(body)["detail"].count("\n") == 0


def test_a_server_on_all_addresses_is_reached_by_any_address_and_no_other_name():
    assert own(host="192.168.0.7:8765", any_address=True)[0] == 200
    assert own(host="evil.example:8765", any_address=True)[0] == 421


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "https://127.0.0.1:8765"},
     {"origin": "http://127.0.0.1:1"}, {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}],
)  # fmt: skip
def test_pages_of_other_origins_are_refused(headers):
    assert own(**headers)[0] == 403


@pytest.mark.parametrize(
    "given",
    [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer "}, {"query": b"token="}, {"query": b"token=%ff"},
     {"query": b"&".join([b"token=a"] * 60)}, {"authorization": "Bearer täken"}],
)  # fmt: skip
def test_without_the_token_nothing_is_given(given):
    for path in ("/api", "/api/run", "/api/openapi.json"):
        assert ask(path=path, **given)[0] == 401
    assert ask(path="/index.html", **given)[0] == 200  # the page itself holds no data


def test_large_bodies_are_not_read():
    assert own(method="POST", content_length=10**9, parts=(b"x",))[3] == 0
    assert own(method="POST", content_length=10**9, parts=(b"x",))[0] == 413
    assert own(method="POST", content_length="-1")[0] == 413
    chunks = [b"x" * 2**14] * 2**16  # 1 GB without a length
    status, _, _, read = own(method="POST", parts=chunks)
    assert status == 413
    assert read <= MOST_BODY / 2**14 + 1


def test_a_body_that_does_not_arrive_is_given_up(monkeypatch):
    monkeypatch.setattr("atrous.serve.guard.BODY_SECONDS", 0.05)
    guard, sent = RequestGuard(echo, TOKEN, frozenset({"localhost"})), []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/run", "scheme": "http", "query_string": b""}
    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer " + TOKEN.encode())]
    asyncio.run(guard({**scope, "headers": headers}, lambda: asyncio.sleep(60), send))
    assert sent[0]["status"] == 408


def test_long_addresses_other_methods_and_websockets_are_refused():
    assert own(query=b"a" * 5000)[0] == 414
    assert ask(path="/", method="POST")[0] == 405
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "websocket.connect"}

    asyncio.run(RequestGuard(echo, TOKEN, frozenset())({"type": "websocket", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
