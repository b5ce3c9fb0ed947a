"""What the tests of the page share."""

import pytest

from tests.pages import launched


@pytest.fixture(scope="module")
def browser():
    """An installed Chromium."""
    with launched() as opened:
        yield opened
