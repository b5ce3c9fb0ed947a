"""The folder of a search, and a database that cannot be used."""

import sqlite3

import pytest
from optuna.exceptions import StorageInternalError

from atrous.errors import UserError
from atrous.recipe.schema import Recipe
from atrous.searching.folder import SearchFolder, SearchOrder
from atrous.searching.ladder import Ladder, open_storage
from tests.searching.made import SPACE

ORDER = SearchOrder("data", None, 1.0, "tpe", (1.0,), 0, True, {}, "miou", True, {})


@pytest.fixture
def folder(tmp_path):
    return SearchFolder(tmp_path, ORDER, Recipe.model_construct(), SPACE)


def test_a_database_that_is_gone_or_damaged_is_named(folder):
    with pytest.raises(UserError, match=r"search\.db: is missing: restore it"):
        folder.ladder()
    assert not folder.database.exists()
    folder.database.write_bytes(b"this is no database\n" * 99)
    with pytest.raises(UserError, match=r"search\.db: cannot be used \(file is not a database\): see that it"):
        folder.ladder()


def test_a_database_that_another_program_holds_is_named(folder):
    storage = open_storage(folder.database, wait=0)
    ladder = Ladder.open(storage, (1.0,), SPACE, sampler="tpe", seed=0, higher_is_better=True)
    with sqlite3.connect(folder.database, isolation_level=None) as other:
        other.execute("begin exclusive")
        with pytest.raises(UserError, match=r"search\.db: cannot be used \(database is locked\)"), folder.usable():
            ladder.claim(1e9, lambda labels: None)
    other.close()
    ladder.close()


def test_errors_of_the_database_say_why(folder):
    with pytest.raises(UserError, match=r"cannot be used \(no room\)"), folder.usable():
        raise StorageInternalError("no room")
