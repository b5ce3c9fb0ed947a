"""Peaks, against scipy's maximum filter."""

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from atrous.objects.peaks import flat_index, peaks, with_halo


@pytest.mark.parametrize("shape", [(50,), (21, 17), (8, 9, 10)])
def test_peaks_are_the_maxima_of_their_neighborhoods(shape):
    heat = np.random.default_rng(0).random(shape).astype(np.float32)
    places, scores = peaks(heat, [(0, 0)] * len(shape), 0.6)
    truth = (heat == maximum_filter(heat, 3)) & (heat > 0.6)
    assert np.array_equal(places, np.argwhere(truth))
    assert np.array_equal(scores, heat[truth])


def test_regions_with_halo_have_the_peaks_of_the_whole():
    heat = np.random.default_rng(1).integers(0, 4, (20, 30)).astype(np.float32)  # with many ties
    heat[3, 4] = np.nan
    whole = flat_index(peaks(heat, [(0, 0)] * 2, 0)[0], [slice(0, 20), slice(0, 30)], heat.shape)
    found = []
    for rows in (slice(0, 7), slice(7, 8), slice(8, 20)):
        for columns in (slice(0, 13), slice(13, 30)):
            wider, halo = with_halo((rows, columns), heat.shape)
            found.append(flat_index(peaks(heat[wider], halo, 0)[0], (rows, columns), heat.shape))
    assert np.array_equal(np.sort(np.concatenate(found)), whole)
    assert len(whole) > 30


def test_of_a_plateau_the_first_position_is_the_peak():
    heat = np.zeros((5, 6), np.float32)
    heat[1:3, 2:5] = 1
    assert peaks(heat, [(0, 0)] * 2, 0.5)[0].tolist() == [[1, 2]]
