"""The exception for mistakes that the user can correct."""


class UserError(Exception):
    """A mistake by the user. The message says in one line what was wrong, where, and how to correct it.

    The command line prints the message, without a traceback, and exits with code 2.

    >>> raise UserError("masks/a.png: value 7 is not one of the 3 classes: add it to `ignore` in dataset.toml")
    Traceback (most recent call last):
    ...
    atrous.errors.UserError: masks/a.png: value 7 is not one of the 3 classes: add it to `ignore` in dataset.toml
    """


class MemoryLimitError(UserError):
    """A memory limit within which an input does not go through a network. More memory, or no limit, helps."""
