"""Which classes a data set has, judged by the numbers in its label files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.data.description import MOST_CLASSES
from atrous.errors import UserError
from atrous.labels import IGNORE

MOST_GUESSED = 32
"""More scattered values than this are no classes, but a mask that was resized or saved as JPEG."""


@dataclass(frozen=True)
class Guess:
    """Classes that the values suggest.

    Attributes:
        classes: names.
        values: file value of each class, or None when it is the class number itself.
        ignore: file values that count for nothing.
        doubt: what is odd about the values, None when nothing is.
        fix: what the user can do about it.
        usable: False when the values cannot be classes.
    """

    classes: tuple[str, ...]
    values: tuple[int, ...] | None
    ignore: tuple[int, ...]
    doubt: str | None = None
    fix: str = ""
    usable: bool = True


def guess_classes(seen: Mapping[int, int], ignored: Sequence[int] = (), files: Sequence[Collection[int]] = ()) -> Guess:
    """Classes from the label values seen (value to number of positions), those in `ignored` left out.

    255 is void where the rest are class numbers, -1 always. 0 and 255 alone are background and foreground. Numbers
    0..K-1 are K classes, with gaps if these are few; 1..K are K classes counted from one. Scattered gray levels
    (0, 38, 75) are one class each, in order. Too many of these are not classes at all. Where 255 may be a class as
    well as void, the guess is not usable: one line in dataset.toml must say it.

    Args:
        seen: over all label files.
        ignored: values that count for nothing, as dataset.toml says.
        files: the values of each label file; empty where they are not known.

    >>> guess_classes({0: 900, 255: 100}).values
    (0, 255)
    >>> guess = guess_classes({0: 5, 1: 5, 3: 5, 255: 1})
    >>> guess.classes, guess.values, guess.ignore
    (('class 0', 'class 1', 'class 2', 'class 3'), None, (255,))
    >>> guess_classes({0: 5, 1: 5, 2: 5}, ignored=[1]).values
    (0, 2)
    """
    ignored = ignored if set(seen) - set(ignored) else ()
    seen = {value: count for value, count in seen.items() if value not in ignored}
    values = sorted(value for value in seen if value >= 0)
    ignore = (-1,) if -1 in seen else ()
    if values == [0, 255]:
        return Guess(
            ("background", "foreground"), (0, 255), ignore,
            "mask values are 0 and 255: read as background and foreground",
            'to say so, or to name them, write values = [0, 255] and classes = ["background", "NAME"] in dataset.toml',
        )  # fmt: skip
    rest = [value for value in values if value != IGNORE]
    if IGNORE in values:
        ignore = (*ignore, IGNORE)
    if not rest or min(seen) < -1:
        return Guess(
            names(1), None, ignore, f"mask values are {listing(sorted(seen))}: no class numbers",
            "label the masks with class numbers 0, 1, ...", False,
        )  # fmt: skip
    if IGNORE in values and (doubt := _doubtful(rest, files)):
        return _undecided(rest, ignore, doubt)
    if rest[-1] < MOST_CLASSES and rest[-1] < 1.2 * len(rest) + 8 and len(values) < 200:
        return _numbered(rest, ignored, ignore)
    return _packed(rest, ignore) or _scattered(values, rest, ignore)


def _scattered(values: Sequence[int], rest: Sequence[int], ignore: tuple[int, ...]) -> Guess:
    """A class for each of a few gray levels, of which `rest` is not 255; no classes where they are many."""
    if len(rest) <= MOST_GUESSED:
        spread = values if len(values) <= MOST_GUESSED and values[0] == 0 and len(values) > 2 else rest
        return Guess(
            tuple(f"class {value}" for value in spread), tuple(spread), tuple(v for v in ignore if v not in spread),
            f"mask values are the gray levels {listing(spread)}: read as {len(spread)} classes in this order",
            f"to say so, write values = {listing(spread)} in dataset.toml{_packed_hint(spread)}",
        )  # fmt: skip
    return Guess(
        names(1), None, ignore,
        f"masks hold {len(values)} different values between {values[0]} and {values[-1]}: not class numbers",
        "they were resized with interpolation or saved as JPEG, or are no masks: export them again as PNG with class "
        "numbers",
        False,
    )  # fmt: skip


def objects_factor(values: Sequence[int]) -> int:
    """Return the n of values that look like class * n + number of an object; 0 where they do not.

    The numbers count from 0 or 1, so most are small, and they leave few gaps. With n = 1000 (Cityscapes) values below n
    are classes without objects.

    >>> objects_factor([0, 257, 258, 513]), objects_factor([0, 7, 26001, 26002]), objects_factor([0, 300, 600])
    (256, 1000, 0)
    """
    for factor in (1000, 256):
        packed = [value for value in values if value >= factor]
        counted = packed if factor == 1000 else [value for value in values if value > 0]
        numbers = {value % factor for value in counted}
        if 2 * len(packed) < len(counted) or not packed:
            continue
        small = sum(value % factor < factor // 4 for value in counted)
        if max(numbers) < 1.2 * len(numbers) + 8 and small >= 0.6 * len(counted):
            return factor
    return 0


def _packed(values: Sequence[int], ignore: tuple[int, ...]) -> Guess | None:
    """No classes, where values are class * n + number; None where they are not, or no number counts anything."""
    factor = objects_factor(values)
    if not factor or not any(value % factor for value in values if value >= factor):
        return None
    return Guess(
        names(1), None, ignore,
        f"mask values such as {listing(values)} look like class * {factor} + number of an object (instances)",
        f"write objects = {factor} in dataset.toml to learn the classes, or list them in `values` if each is a class",
        False,
    )  # fmt: skip


def _packed_hint(values: Sequence[int]) -> str:
    """What to write for values class * n + number of the object, if they may be that."""
    factor = objects_factor(values)
    return f"; if they are class * {factor} + number of an object, write objects = {factor}" if factor else ""


def _doubtful(rest: Sequence[int], files: Sequence[Collection[int]]) -> str | None:
    """Why 255, which occurs beside the values `rest`, may be void or a class; None if it is void, or a gray level."""
    if len(rest) == 1:
        return f"mask values are {rest[0]} and 255: 255 may be void, or the second class"
    numbers = rest[-1] < 1.2 * len(rest) + 8 and rest[-1] < MOST_CLASSES
    if not numbers:
        near = rest[0] > 0 and len(rest) < MOST_GUESSED
        return f"mask values are {listing([*rest, IGNORE])}: 255 may be void, or the last class" if near else None
    with_void = [set(values) for values in files if IGNORE in values]
    if rest[0] == 0 and with_void and all(values <= {0, IGNORE} for values in with_void):
        other = len(files) - len(with_void)
        return (
            f"{len(with_void)} masks have the values 0 and 255 alone, {other} have {listing(rest)}: 255 may be void, "
            "or the foreground of masks that were saved in another way"
        )
    return None


def _undecided(rest: Sequence[int], ignore: tuple[int, ...], doubt: str) -> Guess:
    whole = listing([*rest, IGNORE], MOST_CLASSES)
    fix = f"write values = {whole} in dataset.toml if 255 is a class, ignore = [255] if it is void"
    if rest[0] == 0:
        fix = "write ignore = [255] in dataset.toml if it is void"
        if rest in ([0], [0, 1]):
            fix += ", objects = true if every value but 0 is foreground"
        else:
            fix += ", else save all masks with class numbers"
    return Guess(tuple(f"class {value}" for value in rest), tuple(rest), ignore, doubt, fix, False)


def _numbered(rest: Sequence[int], ignored: Sequence[int], ignore: tuple[int, ...]) -> Guess:
    """Classes 0..K-1 without those that are ignored, or 1..K."""
    kept = tuple(value for value in range(rest[-1] + 1) if value not in ignored)
    whole = len(kept) == rest[-1] + 1
    if whole and rest[0] == 1 and len(rest) == rest[-1] > 1:
        return Guess(
            tuple(f"class {value}" for value in rest), tuple(rest), ignore,
            f"mask values are 1..{rest[-1]} and none is 0: read as {len(rest)} classes counted from one",
            f"if 0 is a class, write values = [0, 1, ...] in dataset.toml, else values = {listing(rest)}",
        )  # fmt: skip
    return Guess(tuple(f"class {value}" for value in kept), None if whole else kept, ignore)


def require_apart(where: Path, ignore: Sequence[int], classes: Sequence[str], values: Sequence[int] | None) -> None:
    """Raise where a value that counts for nothing is the number of a class, too.

    Raises:
        UserError: there is such a value; the fix that it names keeps the other classes.
    """
    known = list(values or range(len(classes)))
    for value in ignore:
        if value in known:
            name = classes[known.index(value)]
            left = listing([other for other in known if other != value], 300)
            raise UserError(
                f'{where}: value {value} is ignored, but it is the number of the class "{name}": take it out of '
                f'`ignore`, or write values = {left} and leave "{name}" out of `classes`'
            )


def names(count: int) -> tuple[str, ...]:
    """`class 0`, `class 1`, ... for classes that nobody named."""
    return tuple(f"class {i}" for i in range(count))


def listing(values: Sequence[int], most: int = 12) -> str:
    """Numbers as TOML would have them, a long list cut.

    >>> listing([0, 255]), listing(range(40))
    ('[0, 255]', '[0, 1, 2, 3, 4, 5, ..., 39]')
    """
    if len(values) <= most:
        return f"[{', '.join(str(value) for value in values)}]"
    return f"[{', '.join(str(value) for value in values[:6])}, ..., {values[-1]}]"
