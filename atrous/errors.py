"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A mistake of the user's: the message says in one line what was wrong, where, and how to mend it.

    The command line prints the message, without a traceback, and exits with code 2.

    >>> raise UserError("masks/a.png: value 7 is not one of the 3 classes: add it to `ignore` in dataset.toml")
    Traceback (most recent call last):
    ...
    atrous.errors.UserError: masks/a.png: value 7 is not one of the 3 classes: add it to `ignore` in dataset.toml
    """
