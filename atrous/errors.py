"""The exception for mistakes that the user can correct, and addresses without the secrets in them."""

import re

_ADDRESS = re.compile(
    r"""
    (?P<scheme>\b(?!file:)(?:[A-Za-z][A-Za-z0-9+.-]+://|(?:https?|rtsps?|s3|gs|gcs|az|abfs):/(?!/)))  # one: a path
    (?:[^\s/?\#'"<>]*@                                     # user and password,
     |[^\s/@:?\#'"<>]+:(?!\d+(?:[/?\#\s]|$))[^\s'"<>]*@)?  # also one with a slash, which is no port
    (?P<place>[^\s?\#'"<>]*)
    (?:\?[^\s\#'"<>]*?(?=[:;,.)\]]*(?:[\s\#'"<>]|$)))?     # the query, without the punctuation behind it
    """,
    re.VERBOSE,
)


def without_secrets(text: str) -> str:
    """Return a text whose addresses have no user, no password and no query, which may hold a token or a signature.

    >>> without_secrets("rtsp://admin:secret@10.0.0.7/door: no answer"), without_secrets("http://host/a.tif?token=1")
    ('rtsp://10.0.0.7/door: no answer', 'http://host/a.tif')
    """
    return _ADDRESS.sub(r"\g<scheme>\g<place>", text) if ":/" in text else text


class UserError(Exception):
    """A mistake by the user. The message says in one line what was wrong, where, and how to correct it.

    The command line prints the message, without a traceback, and exits with code 2. Addresses in it have no secrets.

    >>> raise UserError("masks/a.png: value 7 is not one of the 3 classes: add it to `ignore` in dataset.toml")
    Traceback (most recent call last):
    ...
    atrous.errors.UserError: masks/a.png: value 7 is not one of the 3 classes: add it to `ignore` in dataset.toml
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(without_secrets(part) if isinstance(part, str) else part for part in args))


class MemoryLimitError(UserError):
    """A memory limit within which an input does not go through a network. More memory, or no limit, helps."""
