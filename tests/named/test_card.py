"""Cards: what they must say, how they are shown, and what is refused."""

import pytest

from atrous.errors import UserError
from atrous.named.card import WIDTH, read_card
from tests.model_packages import CARD


@pytest.fixture
def path(tmp_path):
    (tmp_path / "card.toml").write_text(CARD)
    return tmp_path / "card.toml"


def test_a_card_comes_back_and_is_shown(path):
    card = read_card(path)
    assert (card.summary, card.task, card.license) == ("Labels handwritten digits.", "semantic", "Apache-2.0")
    assert card.measured[0].values == {"miou": 0.25, "images": 3}
    text = card.text()
    for said in (card.summary, "CC0-1.0", "atrous train digits", "three scenes", "miou 0.25", "on letters"):
        assert said in text
    assert card.to_dict()["fails"] == ("on letters",)
    assert "float16" not in text


def test_long_texts_are_wrapped(path):
    path.write_text(CARD.replace("on letters", "on letters, " * 40).replace("three scenes", "scenes " * 40))
    assert max(len(line) for line in read_card(path).text().splitlines()) <= WIDTH


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('task = "semantic"', "", "task is missing or no text"),
        ('task = "semantic"', "task = 3", "task is missing or no text"),
        ('license = "Apache-2.0"', 'license = " "', "license is missing or no text"),
        ('["on letters"]', "[]", "fails must list sentences"),
        ('["on letters"]', '"on letters"', "fails must list sentences"),
        ("[[measured]]", "[other]", "other is no key of a card"),
        ("{ miou = 0.25, images = 3 }", '{ miou = "high" }', "must be numbers"),
        ("{ miou = 0.25, images = 3 }", "{ miou = true }", "must be numbers"),
        ("values = { miou = 0.25, images = 3 }", "", "must be numbers"),
        ('on = "three scenes"', 'where = "three scenes"', "not where"),
        ("summary =", "summary", "not TOML"),
        ("[[measured]]", '[sha256]\n"../a" = "' + 64 * "0" + '"\n[[measured]]', "sha256"),
        ("[[measured]]", '[sha256]\na = "12"\n[[measured]]', "sha256"),
        ("fails", 'sha256 = "no"\nfails', "sha256"),
    ],
)
def test_what_a_card_must_not_be_is_one_line(path, old, new, said):
    assert old in CARD
    path.write_text(CARD.replace(old, new, 1))
    with pytest.raises(UserError, match=said) as raised:
        read_card(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_card_without_metrics_and_no_card(path):
    path.write_text(CARD[: CARD.index("[[measured]]")])
    with pytest.raises(UserError, match=r"\[\[measured\]\] is missing"):
        read_card(path)
    path.write_text(CARD[: CARD.index("[[measured]]")] + "measured = [1]\n")
    with pytest.raises(UserError, match=r"measured must be tables \[\[measured\]\]"):
        read_card(path)
    path.unlink()
    with pytest.raises(UserError, match="no such file: a named model has a card"):
        read_card(path)
