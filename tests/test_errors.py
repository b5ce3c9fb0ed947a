"""Mistakes of the user, and addresses without secrets."""

import pickle

import pytest

from atrous.errors import UserError, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://me:secret@10.0.0.7/door", "rtsp://10.0.0.7/door"),
        ("rtsp://me:sec@ret@host/x", "rtsp://host/x"),
        ("rtsp://me:se/cret@host:554/x", "rtsp://host:554/x"),
        ("https://secret@host/a.tif?token=secret: gone", "https://host/a.tif: gone"),
        ("(http://a:secret@b/c?d=secret), http://e/f?g=secret#h", "(http://b/c), http://e/f#h"),
        ("404, url='http://me:secret@host:1/x?token=secret'", "404, url='http://host:1/x'"),
        ("http:/me:secret@host/x?y=secret", "http:/host/x"),  # as a path
        ("simplecache::s3://me:secret@bucket/a", "simplecache::s3://bucket/a"),
    ],
)
def test_addresses_lose_users_passwords_and_queries(text, shown):
    assert without_secrets(text) == shown
    assert str(UserError(f"{text} !")) == f"{shown} !"


@pytest.mark.parametrize(
    "text",
    ["http://host:8080/@user/x", "C:/cells/a?b@c.png", "file:///cells/a?.png", "http://127.0.0.1:1/#token=a"],
)
def test_other_texts_stay(text):
    assert without_secrets(text) == text


def test_errors_travel_between_processes():
    assert str(pickle.loads(pickle.dumps(UserError("a: b: c")))) == "a: b: c"
