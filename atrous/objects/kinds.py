"""Numbers of objects that say the class as well, so that one array `(*S)` holds both.

With K classes the object i = 1, 2, ... of class c = 0 ... K - 1 has the number (i - 1) * K + c + 1. With one class
that is i.
"""

import numpy as np


def with_classes(numbers: np.ndarray, classes: np.ndarray, kinds: int) -> np.ndarray:
    """Return numbers that say the classes, of the type of `numbers`; 0 stays 0.

    Args:
        numbers: of objects from 1 on, of any shape.
        classes: `(n,)`, the class of the objects 1 ... n.
        kinds: number of classes.

    >>> with_classes(np.array([0, 1, 2]), np.array([1, 0]), 2).tolist()
    [0, 2, 3]
    """
    if kinds == 1:
        return numbers
    table = np.arange(len(classes), dtype=np.int64) * kinds + classes + 1
    return np.concatenate([np.zeros(1, np.int64), table])[numbers].astype(numbers.dtype)


def classes_in(numbers: np.ndarray, kinds: int) -> np.ndarray:
    """Return the classes that numbers say, of the same shape.

    >>> classes_in(np.array([2, 3]), 2).tolist()
    [1, 0]
    """
    return (numbers - 1) % kinds
