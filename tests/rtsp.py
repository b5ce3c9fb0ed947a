"""A camera on this machine: an RTSP server (RFC 2326) that sends H.264 over the connection itself (RFC 6184)."""

import struct
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from socket import SHUT_WR, create_server, socket
from threading import Thread

RATE = 25
SSRC = 0x1234
SETS = (7, 8)
"""Kinds of units that say how pictures are coded."""


def units(stream: bytes) -> list[bytes]:
    """The units of an H.264 file, without their start codes."""
    return [part.rstrip(b"\0") for part in stream.split(b"\0\0\1")[1:]]


def interleaved(channel: int, packet: bytes) -> bytes:
    return b"$" + struct.pack(">BH", channel, len(packet)) + packet


def packets(stream: bytes) -> Iterator[bytes]:
    """RTP packets, one for each unit, and at the end RTCP's BYE."""
    time = 0
    for number, unit in enumerate(units(stream)):
        picture = unit[0] & 31 in (1, 5)
        yield interleaved(0, struct.pack(">BBHII", 0x80, 96 | picture << 7, number, time, SSRC) + unit)
        time += 90_000 // RATE * picture
    yield interleaved(1, struct.pack(">BBHI", 0x81, 203, 1, SSRC))


def description(stream: bytes) -> str:
    sets = ",".join(b64encode(unit).decode() for unit in units(stream) if unit[0] & 31 in SETS)
    return "\r\n".join([
        "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 127.0.0.1", "t=0 0", "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/90000", f"a=fmtp:96 packetization-mode=1; sprop-parameter-sets={sets}", "a=control:track", "",
    ])  # fmt: skip


def answer(connection: socket, stream: bytes) -> None:
    """Answer the requests of one client until it goes; PLAY sends the whole stream."""
    with connection, connection.makefile("rb") as requests:
        while line := requests.readline():
            method, headers = line.split(b" ")[0], {}
            while header := requests.readline().strip():
                name, _, value = header.partition(b":")
                headers[name.lower()] = value.strip().decode()
            said, body = [f"CSeq: {headers.get(b'cseq', '0')}", "Session: 1"], ""
            if method == b"OPTIONS":
                said.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == b"DESCRIBE":
                body = description(stream)
                said += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            elif method == b"SETUP":
                said.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
            connection.sendall("\r\n".join(["RTSP/1.0 200 OK", *said, "", body]).encode())
            if method == b"PLAY":
                for packet in packets(stream):
                    connection.sendall(packet)
                connection.shutdown(SHUT_WR)
                requests.read()  # reports of the receiver, until it goes
                return


@contextmanager
def camera(stream: bytes) -> Iterator[str]:
    """The address of a camera that shows an H.264 file to one client."""
    with create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            answer(connection, stream)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/door"
        thread.join(60)
