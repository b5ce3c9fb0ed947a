"""Any index along one axis as the contiguous piece to read and what is then left to index."""

from typing import Any


def span(entry: Any, length: int) -> tuple[int, int, Any]:
    """First and one-past-last position that an index needs, and the index that then remains.

    >>> span(slice(2, 9, 3), 20), span(-1, 20), span(slice(None, None, -1), 3)
    ((2, 9, slice(None, None, 3)), (19, 20, 0), (0, 3, slice(None, None, -1)))
    """
    chosen = range(length)[entry]
    if isinstance(chosen, int):
        return chosen, chosen + 1, 0
    if not chosen:
        return 0, 0, slice(None)
    low, high = min(chosen[0], chosen[-1]), max(chosen[0], chosen[-1])
    stop = high + 1 if chosen.step < 0 else min(chosen.stop, length)
    return low, stop, slice(None, None, chosen.step if chosen.step != 1 else None)
