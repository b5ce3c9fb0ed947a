"""Text files of users: in which encoding they are, and what is wrong with them if they cannot be read."""

import codecs
from pathlib import Path

from atrous.errors import UserError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16 does, and is asked first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""First bytes of a file that name its encoding (byte order marks)."""


def text_encoding(path: Path) -> str:
    """Return the encoding in which a text file is to be opened: UTF-8, or what its first bytes say.

    Windows' editors and PowerShell write UTF-16. Without a byte order mark it is known by the zero bytes between the
    letters of ASCII. Files in Latin-1 and other encodings of single bytes cannot be told apart: they are none of these.
    """
    with path.open("rb") as file:
        return encoding_of(file.read(4))


def encoding_of(head: bytes) -> str:
    """Return the encoding of a text by its first four bytes; see `text_encoding`.

    >>> encoding_of("a = 1".encode("utf-16")[:4]), encoding_of(b"a = "), encoding_of("a =".encode("utf-16-be")[:4])
    ('utf-16', 'utf-8', 'utf-16-be')
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if len(head) == 4 and (zeros := [byte == 0 for byte in head]) in ([False, True] * 2, [True, False] * 2):
        return "utf-16-be" if zeros[0] else "utf-16-le"
    return "utf-8"


def read_text(path: Path) -> str:
    r"""Return the content of a text file, with `\n` at the end of every line.

    Raises:
        UserError: it is in another encoding than UTF-8 or UTF-16; the line of the first wrong byte is named.
    """
    content = path.read_bytes()
    encoding = encoding_of(content[:4])
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {not_utf8(content, error)}: save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def not_utf8(content: bytes, error: UnicodeDecodeError) -> str:
    """Return in words why bytes are not text in UTF-8, with the line in which that is seen."""
    line = content.count(b"\n", 0, error.start) + 1
    if error.encoding.startswith("utf-8"):
        byte = f"line {line} has the byte 0x{content[error.start]:02x}, as Latin-1 and other old encodings do"
        return f"not UTF-8 text ({byte})"
    return f"not {error.encoding.upper()} text, as which it begins ({error.reason} at byte {error.start})"
