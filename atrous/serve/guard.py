"""What is refused before a request reaches the API: other sites' pages, wrong names, missing tokens, large bodies.

A page of another site can make a browser send requests to this machine, and with DNS rebinding (a name of that site
that leads to 127.0.0.1) can even read the answers. So the name that was asked for (`Host`) must be one of this
server's, a page that asks (`Origin`, `Sec-Fetch-Site`) must be this server's own, and every request for data must bring
the token that only the link in the terminal has. No cookie is used, so nothing is sent without the page's intent.
"""

import asyncio
import hmac
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

MOST_BODY = 64 * 1024
"""Bytes of a request's body that are read; the API needs a few hundred."""
BODY_SECONDS = 10.0
"""A body that takes longer to arrive is refused."""
MOST_AT_WORK = 100
"""Requests that are answered at the same time; those whose body is still arriving do not count."""
MOST_QUERY = 4096
"""Bytes of the part of an address behind `?`."""

NO_NAME = "this name is not one of this server's: use the link that atrous serve has printed"
NO_TOKEN = "the token is missing or wrong: use the link that atrous serve has printed"
TOO_LARGE = f"a body of more than {MOST_BODY:,} bytes: the API needs none so large"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
        b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
)
"""Of every answer: it is no page in a frame, loads nothing from elsewhere, and is read by no other site."""


class RequestGuard:
    """An ASGI application that passes on to another one what may pass.

    Args:
        app: the API and the page.
        token: what every request below `/api` must bring, as `Authorization: Bearer TOKEN` or `?token=TOKEN`.
        names: under which the server is reached: `127.0.0.1`, `localhost` and others.
        any_address: whether any IP address is a name of the server, as it is where it listens on all of them.
    """

    def __init__(self, app: App, token: str, names: frozenset[str], any_address: bool = False) -> None:
        self._app, self._token, self._names, self._any_address = app, token.encode(), names, any_address
        self._at_work = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message.get("headers", ())}
                message["headers"] = [*message.get("headers", ()), *(pair for pair in HEADERS if pair[0] not in own)]
            await send(message)

        refusal = self._refusal(scope)
        body = b""
        if refusal is None:
            try:
                body = await asyncio.wait_for(_body(receive), BODY_SECONDS)
            except _TooLarge:
                refusal = (413, TOO_LARGE)
            except TimeoutError:
                refusal = (408, "the body did not arrive in time")
        if refusal is None and self._at_work >= MOST_AT_WORK:
            refusal = (503, "too many requests wait already: ask again later")
        if refusal is not None:
            await _refuse(guarded, *refusal)
            return
        self._at_work += 1
        try:
            await self._app(scope, _replayed(body, receive), guarded)
        finally:
            self._at_work -= 1

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        """Return the code and the reason with which a request is refused; None if it may pass."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        count = sum(name.lower() == b"host" for name, _ in scope["headers"])
        host, query = headers.get(b"host", ""), scope.get("query_string", b"")
        length, path = headers.get(b"content-length", "0"), scope["path"]
        data = path == "/api" or path.startswith("/api/")
        own = f"{scope['scheme']}://{host}".lower()
        foreign = headers.get(b"origin", own).lower() != own
        foreign |= data and headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin")
        reasons = {
            (421, NO_NAME): count != 1 or not self._is_own(host),
            (403, "a page of another site may not ask here"): foreign,
            (414, "the address is too long"): len(query) > MOST_QUERY,
            (413, TOO_LARGE): not length.isdecimal() or int(length) > MOST_BODY,
            (401, NO_TOKEN): data and not self._has_token(headers, query),
            (405, "only read here"): not data and scope["method"] not in ("GET", "HEAD"),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _is_own(self, host: str) -> bool:
        match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?", host)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        if name in self._names:
            return True
        try:
            return self._any_address and ipaddress.ip_address(name) is not None
        except ValueError:
            return False

    def _has_token(self, headers: dict[bytes, str], query: bytes) -> bool:
        given = headers.get(b"authorization", "").removeprefix("Bearer ").strip().encode("latin-1")
        if not given:
            try:
                values = parse_qs(query.decode("latin-1"), max_num_fields=50).get("token", [""])
            except ValueError:  # more fields than any request has
                return False
            given = values[0].encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._token)


class _TooLarge(Exception):
    pass


async def _body(receive: Receive) -> bytes:
    """Read the body of a request.

    Raises:
        _TooLarge: it has more than `MOST_BODY` bytes.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > MOST_BODY:
            raise _TooLarge
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives the body that was read, then what comes after it."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
