"""Which column of a table is what."""

import re

import pytest

from atrous.data.formats.base import FileFault
from atrous.data.formats.column_roles import (
    ColumnRule,
    columns,
    index_column,
    parse_columns,
    require_known,
)
from atrous.errors import UserError


def table(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("header", "rows", "roles"),
    [
        ("time,x,y,z,label", ["0,1,2,3,a", "1,2,3,4,b"], "time time; channels x, y, z; label label"),
        ("time,x,y,z", ["0,1,2,3", "1,2,3,4"], "time time; channels x, y, z"),
        ("wave,y", ["0.5,1", "0.6,0"], "channels wave; label y"),
        ("time,x,y,z,activity", ["0,1,2,3,1", "1,2,3,4,0"], "time time; channels x, y, z; label activity"),
        ("x,kind of walk", ["1,slow", "2,fast"], "channels x; label kind of walk"),
        ("T,p,label", ["21.5,1,a", "21.4,2,b"], "channels T, p; label label"),
        ("t,p,label", ["0,1,a", "0.5,2,b"], "time t; channels p; label label"),
        ("Time (s),a", ["0,1", "0.5,2"], "time Time (s); channels a"),
        ("when,a,what", ["2020-01-01 00:00:00,1,b", "2020-01-01 00:00:01,2,c"], "time when; channels a; label what"),
        ("index,time,a", ["0,0.1,1", "1,0.2,2"], "time index; channels a; no role time"),
        ("a,stage", ["1,NaN", "2,NA"], "channels a; label stage"),
        ("a,b", ["1,NA", "2,7"], "channels a, b"),
    ],
)
def test_the_rules_without_a_description(tmp_path, header, rows, roles):
    assert columns(table(tmp_path / "a.csv", header, rows)).text() == roles


def test_a_description_decides(tmp_path):
    path = table(tmp_path / "a.csv", "time,x,y,z,label,site", ["5,1,2,3,7,north", "4,2,3,4,8,south"])
    rule = ColumnRule(label="site", time="x", channels=("z", "Y "), ignore=("label",))
    assert columns(path, rule).text() == "time x; channels z, y; label site; no role time, label"
    assert columns(path, rule).signals == (3, 2)
    assert columns(path, ColumnRule(label="absent", ignore=("site",))).label is None


@pytest.mark.parametrize(
    ("header", "rows", "step"),
    [
        ("time,a", ["2014-05-07T13:29:00.000,1", "2014-05-07T13:29:00.040,2"], 0.04),
        ("clock,a", ["23:59:59.5,1", "00:00:00,2"], 0.5),
        ("Time (ms),a", ["0,1", "4,2"], 0.004),
        ("seconds,a", ["0,1", "2,2"], 2.0),
        ("time,a", ["0,1", "4,2"], None),
        ("Time (s),a", ["4,1", "0,2"], None),
    ],
)
def test_the_sampling_rate_comes_from_times_with_a_unit(tmp_path, header, rows, step):
    found = columns(table(tmp_path / "a.csv", header, rows)).step
    assert found == (None if step is None else pytest.approx(step))


def test_a_wrong_entry_makes_no_label_of_a_channel(tmp_path):
    path = table(tmp_path / "a.csv", "a,b", ["oops,1", "2,3"])
    assert columns(path).label is None
    assert columns(path).signals == (0, 1)


def test_words_without_a_role_are_refused_with_the_line_that_gives_them_one(tmp_path):
    path = table(tmp_path / "a.csv", "x,site,label", ["1,north,a", "2,south,b"])
    with pytest.raises(FileFault, match=re.escape("column 'site' is not numeric: write its role in dataset.toml")):
        columns(path)
    assert columns(path, ColumnRule(ignore=("site",))).text() == "channels x; label label; no role site"


def test_a_column_that_a_description_names_and_a_file_lacks_is_named(tmp_path):
    path = table(tmp_path / "a.csv", "x,z,label", ["1,2,a"])
    with pytest.raises(FileFault, match=r"no column 'y', which dataset.toml names in columns.channels"):
        columns(path, ColumnRule(channels=("x", "y")))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lable": "x"}, "knows label, time, channels, ignore, targets, not 'lable'"),
        ({"label": ["x"]}, "`columns.label` must be the name of a column"),
        ({"channels": "x"}, "`columns.channels` must be names of columns"),
        ({"label": "x", "ignore": ["X"]}, "names 'x' twice"),
        (["x"], "knows label"),
    ],
)
def test_mistakes_in_a_description_are_named(tmp_path, given, message):
    with pytest.raises(UserError, match=re.escape(message)):
        parse_columns(given, tmp_path / "dataset.toml")


def test_a_name_that_no_table_has_is_refused_with_the_nearest(tmp_path):
    tables = [table(tmp_path / "a.csv", "time,stage,eeg", ["0,1,2"]), tmp_path / "missing.csv"]
    with pytest.raises(UserError, match=r"names 'stages', which no table has: did you mean 'stage'\?"):
        require_known(ColumnRule(label="stages"), tables, tmp_path / "dataset.toml")
    require_known(ColumnRule(label="stage", ignore=("EEG",)), tables, None)


def test_the_index_is_found_whatever_the_other_columns_hold(tmp_path):
    assert index_column(table(tmp_path / "a.csv", "site,name,time", ["a,b,1", "c,d,2"])) == 2
    assert index_column(table(tmp_path / "b.csv", "a,b", ["1,2"])) is None


def test_a_changed_file_is_read_anew(tmp_path):
    path = table(tmp_path / "a.csv", "a,b", ["1,2"])
    assert columns(path).rows == 1
    table(path, "a,b,c", ["1,2,3", "4,5,6"])
    assert (columns(path).rows, len(columns(path).signals)) == (2, 3)
