"""Text of users: in which encoding a file is, what is wrong with it if it cannot be read, and which names are alike."""

import codecs
import gzip
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


PIECE = 1 << 20
"""Bytes of a text that are decoded together to find out why it cannot be."""


def plain_name(name: str) -> str:
    """Return a name by which another is found if only case and spaces differ.

    >>> plain_name(" Heart  Rate")
    'heart rate'
    """
    return " ".join(name.split()).casefold()


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


def why_not_text(path: Path) -> str:
    """Return in words why a text file, packed by gzip or not, cannot be decoded: with the line and the byte.

    It is read in pieces.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        piece, lines = file.read(PIECE), 0
        decoder = codecs.getincrementaldecoder(encoding_of(piece[:4]))()
        while piece:
            following = file.read(PIECE)
            try:
                lines += decoder.decode(piece, not following).count("\n")
            except UnicodeDecodeError as error:
                return not_utf8(error.object, error, lines)
            piece = following
    return "not UTF-8 text"


def not_utf8(content: bytes, error: UnicodeDecodeError, lines: int = 0) -> str:
    """Return in words why bytes are not text in UTF-8, with the line and the byte at which that is seen.

    `lines` come before `content` in the file.
    """
    line = lines + content.count(b"\n", 0, error.start) + 1
    if error.encoding.startswith("utf-8"):
        byte = f"line {line} has the byte 0x{content[error.start]:02x}, as Latin-1 and other old encodings do"
        return f"not UTF-8 text ({byte})"
    return f"not {error.encoding.upper()} text, as which it begins ({error.reason} at byte {error.start})"
