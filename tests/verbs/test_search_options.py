"""Options of a search that are wrong whatever the data are."""

import pytest

from atrous.errors import UserError
from atrous.verbs.search import search
from atrous.verbs.search_options import SearchOptions, read_search_options

WRONG = [
    ({}, "give the length of the search: --minutes N"),
    ({"minutes": 0}, "--minutes 0: give a number above 0"),
    ({"minutes": 1, "sampler": "magic"}, "--sampler magic: choose one of tpe, evolution, policy, latent"),
    ({"minutes": 1, "latency": -1}, "--latency -1: give a number above 0"),
    ({"minutes": 1, "rung": 0.0}, "--rung 0: give a number above 0"),
    ({"minutes": 1, "memory": "much"}, "memory='much' is not a size"),
    ({"minutes": 1, "shape": (64, 0)}, "--input 64,0: give sizes of 1 or more"),
    ({"minutes": 1, "seed": -1}, "--seed: train.seed"),
    ({"minutes": 1, "device": "gpu"}, "--device: train.accelerator"),
    ({"minutes": 1, "settings": "train.batchsize=1"}, "did you mean train.batch_size?"),
    ({"minutes": 1, "settings": ["train.epochs=3"]}, "the search says how long each training is"),
    ({"resume": "x", "sampler": "tpe", "vary": ("width",)}, "leave out vary$"),
    ({"resume": "nowhere"}, "nowhere: is not the folder of a search"),
    ({"minutes": 1}, "give the folder of a data set, or --recipe FILE"),
]


@pytest.mark.parametrize(("options", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_mistakes_are_told_before_the_data_are_read(options, said, monkeypatch):
    monkeypatch.setattr("atrous.verbs.search.open_data", None)  # to open them would be a TypeError
    with pytest.raises(UserError, match=said):
        search(**options)


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("atrous.verbs.search_options.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'atrous\[search\]'"):
        search("data", minutes=1)


def test_an_option_of_another_name_is_told():
    with pytest.raises(TypeError, match="did you mean 'latency'"):
        read_search_options({"latencies": 3})


def test_rungs_follow_from_the_length():
    assert SearchOptions(minutes=90).rungs == (1.0, 3.0, 9.0)
    assert SearchOptions(minutes=6).rungs == (0.25, 0.75)  # 2.25 minutes would be more than a third
    assert SearchOptions(minutes=60, rung=10).rungs == (10,)


def test_data_in_memory_are_refused():
    with pytest.raises(UserError, match="needs the folder of a data set"):
        search(([], []), minutes=1)
