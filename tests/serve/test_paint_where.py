"""Where to paint next: uncertain places, apart from each other and from what is painted."""

import numpy as np

from atrous.serve.paint_where import uncertain_places


def doubtful(*spots, size=(96, 120)):
    """Probabilities of two classes that are certain but around some spots."""
    probabilities = np.zeros((2, *size), np.float32)
    probabilities[0] = 1.0
    for row, column, doubt in spots:
        probabilities[:, row - 5 : row + 6, column - 5 : column + 6] = [[[1 - doubt / 2]], [[doubt / 2]]]
    return probabilities


def test_the_most_uncertain_places_come_first():
    places = uncertain_places(doubtful((20, 30, 0.6), (70, 90, 1.0)), np.zeros((96, 120), bool), 2)
    assert [
        abs(row - r) < 5 and abs(column - c) < 5
        for (row, column, _), (r, c) in zip(places, [(70, 90), (20, 30)], strict=True)
    ] == [True, True]
    assert places[0][2] > places[1][2] > 0


def test_nothing_is_offered_around_strokes_or_where_there_is_no_data():
    painted = np.zeros((96, 120), bool)
    painted[70, 85:95] = True
    probabilities = doubtful((20, 30, 0.6), (70, 90, 1.0))
    places = uncertain_places(probabilities, painted, 1)
    assert np.hypot(places[0][0] - 20, places[0][1] - 30) < 8
    probabilities[:, :40, :60] = np.nan
    places = uncertain_places(probabilities, np.zeros_like(painted), 1)
    assert np.hypot(places[0][0] - 70, places[0][1] - 90) < 8


def test_places_are_apart_and_end_where_there_is_no_doubt():
    probabilities = np.full((3, 60, 60), 1 / 3, np.float32)
    places = uncertain_places(probabilities, np.zeros((60, 60), bool), 5)
    assert len(places) == 5
    spots = np.array(places)[:, :2]
    distances = np.abs(spots[:, None] - spots[None]).max(-1)[~np.eye(5, dtype=bool)]
    assert distances.min() > 10
    assert uncertain_places(doubtful(), np.zeros((96, 120), bool), 3) == []
