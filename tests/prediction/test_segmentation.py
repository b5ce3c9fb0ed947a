"""DICOM segmentations beside the labels of a prediction."""

import highdicom
import numpy as np
import pytest

from atrous.data.formats import read_values
from atrous.errors import UserError
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from tests.scans import put_referable_series
from tests.test_one_preprocess import run_of
from tests.volumes import write_signals, write_volumes


def test_a_series_gets_a_segmentation_of_the_same_labels(tmp_path):
    run, _ = run_of(write_volumes(tmp_path / "data"), tmp_path / "run")
    series = put_referable_series(tmp_path / "new" / "p7", (8, 16, 16))
    done = predict(run, [series], tmp_path / "out", PredictOptions(dicom_seg=True))
    assert not done.failed
    labels = read_values(tmp_path / "out" / "p7.nii.gz")
    found = highdicom.seg.segread(tmp_path / "out" / "p7_seg.dcm")
    wanted = [f"1.2.3.9.{place + 1}" for place in range(8)]
    back = found.get_pixels_by_source_instance(
        wanted, combine_segments=True, assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    np.testing.assert_array_equal(back, labels)
    again = predict(run, [series], tmp_path / "out", PredictOptions(dicom_seg=True))
    assert len(again.skipped) == 1


def test_other_inputs_are_refused(tmp_path):
    run, dataset = run_of(write_volumes(tmp_path / "data"), tmp_path / "run")
    with pytest.raises(UserError, match=r"nii\.gz: --dicom-seg is for folders of DICOM slices"):
        predict(run, [dataset.samples[0].image.path], tmp_path / "out", PredictOptions(dicom_seg=True))
    run, dataset = run_of(write_signals(tmp_path / "signals"), tmp_path / "other")
    with pytest.raises(UserError, match="--dicom-seg is for folders of DICOM slices"):
        predict(run, [dataset.samples[0].image.path], tmp_path / "out", PredictOptions(dicom_seg=True))
