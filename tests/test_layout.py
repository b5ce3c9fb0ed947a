"""The repository: CONTRIBUTING names what exists, tests mirror the source, names and sizes keep their limits."""

import ast
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
from grimp import build_graph

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "atrous").rglob("*.py") if path.name != "__init__.py")
TREES = {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in MODULES}
MOST_LINES, MOST_ARGUMENTS = 400, 9

ELSEWHERE = {
    "atrous/data/layouts/class_table.py": "tests/data/layouts/test_classes.py",
    "atrous/data/targets/whole.py": "tests/data/layouts/test_classes.py",
    "atrous/encoders/strided.py": "tests/encoders/test_encoders.py",
    "atrous/models/evidence.py": "tests/tasks/test_classification.py",
    "atrous/prediction/classes.py": "tests/verbs/test_classification.py",
    "atrous/prediction/class_files.py": "tests/verbs/test_classification.py",
    "atrous/prediction/worker.py": "tests/prediction/test_jobs.py",
    "atrous/recipe/classification.py": "tests/verbs/test_classification.py",
    "atrous/tasks/class_metrics.py": "tests/tasks/test_classification.py",
    "atrous/verbs/class_examples.py": "tests/verbs/test_classification.py",
    "atrous/verbs/predict_options.py": "tests/verbs/test_predict.py",
    "atrous/__main__.py": "tests/test_exports.py",
    "atrous/_nd.py": "tests/test_exports.py",
    "atrous/cli/calibrate.py": "tests/cli/test_cli.py",
    "atrous/cli/check.py": "tests/cli/test_cli.py",
    "atrous/cli/convert.py": "tests/cli/test_cli.py",
    "atrous/cli/demo.py": "tests/cli/test_cli.py",
    "atrous/cli/doctor.py": "tests/verbs/test_doctor.py",
    "atrous/cli/evaluate.py": "tests/cli/test_cli.py",
    "atrous/cli/models.py": "tests/verbs/test_models.py",
    "atrous/cli/output.py": "tests/cli/test_cli.py",
    "atrous/cli/restore.py": "tests/verbs/test_restore.py",
    "atrous/cli/serve.py": "tests/serve/test_server.py",
    "atrous/cli/search.py": "tests/verbs/test_search.py",
    "atrous/cli/train.py": "tests/cli/test_cli.py",
    "atrous/cli/score_edges.py": "tests/verbs/test_score_edges.py",
    "atrous/cli/stopping.py": "tests/verbs/test_live_video.py",
    "atrous/data/check/genomes.py": "tests/data/layouts/test_genomes.py",
    "atrous/data/check/images.py": "tests/data/check/test_check.py",
    "atrous/data/check/points.py": "tests/recipe/test_points.py",
    "atrous/data/check/splits.py": "tests/data/check/test_check.py",
    "atrous/data/check/tables.py": "tests/data/layouts/test_recordings.py",
    "atrous/data/check/values.py": "tests/data/layouts/test_values.py",
    "atrous/data/check/text.py": "tests/data/check/test_check.py",
    "atrous/data/coding.py": "tests/data/test_dataset.py",
    "atrous/data/cut.py": "tests/data/feed/test_augment.py",
    "atrous/data/feed/decode.py": "tests/data/feed/test_batches.py",
    "atrous/data/feed/kept.py": "tests/data/feed/test_window.py",
    "atrous/data/feed/views.py": "tests/data/feed/test_augment.py",
    "atrous/data/formats/array.py": "tests/data/formats/test_reading.py",
    "atrous/data/formats/axes.py": "tests/data/formats/test_ome.py",
    "atrous/data/formats/base.py": "tests/data/formats/test_table.py",
    "atrous/data/formats/columns.py": "tests/data/layouts/test_recordings.py",
    "atrous/data/formats/dicom_files.py": "tests/data/formats/test_dicom.py",
    "atrous/data/formats/edf_file.py": "tests/data/formats/test_edf.py",
    "atrous/data/formats/geotiff_write.py": "tests/data/formats/test_geotiff.py",
    "atrous/data/formats/header.py": "tests/data/formats/test_reading.py",
    "atrous/data/formats/intervals.py": "tests/data/formats/test_edf.py",
    "atrous/data/formats/mirrored.py": "tests/data/test_remote_folder.py",
    "atrous/data/root_folder.py": "tests/data/test_remote_folder.py",
    "atrous/data/formats/ngff_write.py": "tests/data/formats/test_ngff.py",
    "atrous/data/formats/npz.py": "tests/data/layouts/test_recordings.py",
    "atrous/data/formats/points_write.py": "tests/verbs/test_counting.py",
    "atrous/data/formats/polygons_write.py": "tests/prediction/test_polygons.py",
    "atrous/data/formats/tiff.py": "tests/data/formats/test_ome.py",
    "atrous/data/formats/zarr_array.py": "tests/data/formats/test_writing.py",
    "atrous/data/grid.py": "tests/data/test_preprocess.py",
    "atrous/data/genomes/sequences.py": "tests/data/layouts/test_genomes.py",
    "atrous/data/genomes/tracks.py": "tests/data/layouts/test_genomes.py",
    "atrous/data/images.py": "tests/data/test_dataset.py",
    "atrous/data/layouts/base.py": "tests/data/layouts/test_images.py",
    "atrous/data/layouts/folders.py": "tests/data/layouts/test_images.py",
    "atrous/data/layouts/genome_files.py": "tests/data/layouts/test_genomes.py",
    "atrous/data/layouts/instances.py": "tests/test_bad_inputs.py",
    "atrous/data/layouts/matching.py": "tests/data/layouts/test_several.py",
    "atrous/data/layouts/memory.py": "tests/test_examples.py",
    "atrous/data/layouts/memory_boxes.py": "tests/verbs/test_detection.py",
    "atrous/data/layouts/splits.py": "tests/data/layouts/test_images.py",
    "atrous/data/layouts/table.py": "tests/test_extension.py",
    "atrous/data/layouts/unread.py": "tests/test_bad_inputs.py",
    "atrous/data/object_files/base.py": "tests/data/object_files/test_runs.py",
    "atrous/data/object_files/found.py": "tests/data/object_files/test_write.py",
    "atrous/data/problems.py": "tests/data/check/test_check.py",
    "atrous/data/sample.py": "tests/data/test_dataset.py",
    "atrous/data/scan.py": "tests/data/check/test_check.py",
    "atrous/data/targets/base.py": "tests/data/targets/test_kinds.py",
    "atrous/data/targets/fine_image.py": "tests/data/layouts/test_values.py",
    "atrous/data/targets/own_image.py": "tests/data/layouts/test_values.py",
    "atrous/data/targets/boxes.py": "tests/data/targets/test_kinds.py",
    "atrous/data/targets/edge_marks.py": "tests/data/layouts/test_edges.py",
    "atrous/data/targets/feature_problems.py": "tests/data/layouts/test_genomes.py",
    "atrous/data/targets/frame_masks.py": "tests/data/layouts/test_videos.py",
    "atrous/data/targets/mask_files.py": "tests/data/layouts/test_several.py",
    "atrous/data/targets/none.py": "tests/data/targets/test_kinds.py",
    "atrous/data/targets/object_mask.py": "tests/data/layouts/test_objects.py",
    "atrous/data/targets/places.py": "tests/data/targets/test_kinds.py",
    "atrous/data/targets/scene_mask.py": "tests/data/layouts/test_scenes.py",
    "atrous/data/targets/values.py": "tests/data/targets/test_kinds.py",
    "atrous/data/targets/tracks.py": "tests/data/layouts/test_tracks.py",
    "atrous/data/view.py": "tests/data/feed/test_augment.py",
    "atrous/cli/export.py": "tests/verbs/test_export.py",
    "atrous/exporting/bioimageio_file.py": "tests/exporting/test_write.py",
    "atrous/exporting/formats.py": "tests/exporting/test_write.py",
    "atrous/exporting/onnx_file.py": "tests/exporting/test_write.py",
    "atrous/exporting/openvino_file.py": "tests/exporting/test_write.py",
    "atrous/exporting/quantize.py": "tests/exporting/test_write.py",
    "atrous/exporting/runtimes.py": "tests/exporting/test_write.py",
    "atrous/exporting/torch_file.py": "tests/exporting/test_write.py",
    "atrous/geometry/parts.py": "tests/geometry/test_norms.py",
    "atrous/encoders/dense.py": "tests/encoders/test_encoders.py",
    "atrous/encoders/encoder.py": "tests/encoders/test_encoders.py",
    "atrous/encoders/lite.py": "tests/encoders/test_encoders.py",
    "atrous/encoders/resnet.py": "tests/encoders/test_encoders.py",
    "atrous/encoders/shrunk.py": "tests/encoders/test_encoders.py",
    "atrous/encoders/timm_encoder.py": "tests/encoders/test_encoders.py",
    "atrous/encoders/vgg.py": "tests/encoders/test_encoders.py",
    "atrous/labels.py": "tests/test_exports.py",
    "atrous/models/deeplab.py": "tests/models/test_models.py",
    "atrous/models/dilated.py": "tests/models/test_models.py",
    "atrous/models/fc_densenet.py": "tests/models/test_models.py",
    "atrous/models/fcn.py": "tests/models/test_models.py",
    "atrous/models/fcos.py": "tests/models/test_models.py",
    "atrous/models/five_layer.py": "tests/models/test_models.py",
    "atrous/models/hed.py": "tests/models/test_models.py",
    "atrous/models/network.py": "tests/models/test_models.py",
    "atrous/models/own.py": "tests/prediction/test_predictor.py",
    "atrous/models/segnet.py": "tests/models/test_models.py",
    "atrous/models/skips.py": "tests/models/test_models.py",
    "atrous/models/unet.py": "tests/models/test_models.py",
    "atrous/nn/patched.py": "tests/nn/test_strided.py",
    "atrous/prediction/journal.py": "tests/test_crashes.py",
    "atrous/objects/candidates.py": "tests/objects/test_suppress.py",
    "atrous/objects/decoder.py": "tests/objects/test_assemble.py",
    "atrous/objects/votes.py": "tests/objects/test_assemble.py",
    "atrous/prediction/box_files.py": "tests/verbs/test_detection.py",
    "atrous/prediction/boxes.py": "tests/verbs/test_detection.py",
    "atrous/prediction/failures.py": "tests/prediction/test_jobs.py",
    "atrous/prediction/regions.py": "tests/prediction/test_shares.py",
    "atrous/prediction/found.py": "tests/verbs/test_instances.py",
    "atrous/prediction/object_table.py": "tests/verbs/test_instances.py",
    "atrous/prediction/objects.py": "tests/verbs/test_instances.py",
    "atrous/recipe/background.py": "tests/recipe/test_motion.py",
    "atrous/recipe/build.py": "tests/test_examples.py",
    "atrous/recipe/class_keys.py": "tests/recipe/test_schema.py",
    "atrous/recipe/device_keys.py": "tests/verbs/test_devices.py",
    "atrous/recipe/intensity.py": "tests/test_every_grid.py",
    "atrous/recipe/model_keys.py": "tests/recipe/test_schema.py",
    "atrous/recipe/sections.py": "tests/recipe/test_schema.py",
    "atrous/recipe/stages.py": "tests/training/test_stages.py",
    "atrous/recipe/video.py": "tests/test_every_grid.py",
    "atrous/serve/answers.py": "tests/serve/test_app.py",
    "atrous/serve/evaluation_api.py": "tests/serve/test_evaluation.py",
    "atrous/serve/facts.py": "tests/serve/test_app.py",
    "atrous/serve/labeled_sequence.py": "tests/serve/test_line_api.py",
    "atrous/serve/line_facts.py": "tests/serve/test_line_api.py",
    "atrous/serve/parameters.py": "tests/serve/test_app.py",
    "atrous/serve/labeled.py": "tests/serve/test_app.py",
    "atrous/serve/linked_images.py": "tests/serve/test_paint_folder.py",
    "atrous/serve/object_folder.py": "tests/serve/test_object_api.py",
    "atrous/serve/object_image.py": "tests/serve/test_object_api.py",
    "atrous/serve/object_session.py": "tests/serve/test_object_api.py",
    "atrous/serve/paint_plan.py": "tests/serve/test_paint_training.py",
    "atrous/serve/paint_session.py": "tests/serve/test_paint_api.py",
    "atrous/report/search_plots.py": "tests/report/test_search_page.py",
    "atrous/searching/speed.py": "tests/searching/test_limits.py",
    "atrous/stream/dispatch.py": "tests/stream/test_cluster.py",
    "atrous/stream/gradient_walks.py": "tests/stream/test_gradient.py",
    "atrous/stream/plain.py": "tests/stream/test_gradient.py",
    "atrous/stream/running.py": "tests/stream/test_gradient.py",
    "atrous/tasks/found_metrics.py": "tests/tasks/test_instances.py",
    "atrous/tasks/measures.py": "tests/test_extension.py",
    "atrous/tasks/fold_scores.py": "tests/verbs/test_folds.py",
    "atrous/tasks/shift_scores.py": "tests/verbs/test_shifts.py",
    "atrous/tasks/summed.py": "tests/tasks/test_losses.py",
    "atrous/tasks/change.py": "tests/tasks/test_foreground.py",
    "atrous/tasks/motion.py": "tests/tasks/test_foreground.py",
    "atrous/tasks/table.py": "tests/test_extension.py",
    "atrous/tasks/task.py": "tests/tasks/test_semantic.py",
    "atrous/training/settings.py": "tests/training/test_loop.py",
    "atrous/training/launch.py": "tests/verbs/test_devices.py",
    "atrous/training/probe.py": "tests/recipe/test_probe.py",
    "atrous/training/sharpness.py": "tests/training/test_step.py",
    "atrous/training/teacher.py": "tests/training/test_step.py",
    "atrous/verbs/check.py": "tests/data/check/test_check.py",
    "atrous/verbs/edge_examples.py": "tests/verbs/test_edges.py",
    "atrous/verbs/feeds.py": "tests/test_every_grid.py",
    "atrous/verbs/first_frame.py": "tests/prediction/test_first_frame.py",
    "atrous/verbs/kinds.py": "tests/test_extension.py",
    "atrous/verbs/object_examples.py": "tests/verbs/test_instances.py",
    "atrous/verbs/point_examples.py": "tests/verbs/test_counting.py",
    "atrous/verbs/train_parts.py": "tests/verbs/test_train.py",
    "atrous/verbs/train_plan.py": "tests/recipe/test_probe.py",
    "atrous/verbs/search_report.py": "tests/verbs/test_search.py",
    "atrous/verbs/progress.py": "tests/training/test_loop.py",
}
"""Modules without a test file of their own, and where they are tested."""


def test_contributing_names_what_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:atrous|tests|docs|benchmarks)/[\w./]*)`", text)
    names = re.findall(r"`(atrous(?:\.\w+)+)`", text)
    assert len(paths) > 15
    assert len(names) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_has_its_test(path):
    own = ROOT / "tests" / path.relative_to("atrous").with_name(f"test_{path.name}")
    told = ELSEWHERE.get(path.as_posix())
    assert own.exists() != (told is not None), f"{path}: {own} or a line in ELSEWHERE, and not both"
    if told is not None:
        assert (ROOT / told).exists()


def test_every_class_name_exists_once():
    names = Counter(node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_public_function_has_too_many_arguments():
    long = []
    for path, tree in TREES.items():
        if path.parts[1] == "cli":  # the options of the command line are arguments
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                count = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
                long += [f"{path}: {node.name}"] if count > MOST_ARGUMENTS else []
    assert long == []


def test_no_file_is_too_long():
    assert [str(path) for path in MODULES if len((ROOT / path).read_text().splitlines()) > MOST_LINES] == []


def test_no_modules_import_each_other_in_a_circle():
    graph = build_graph("atrous")
    waiting = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    while ready := [module for module, imports in waiting.items() if not imports]:
        waiting = {module: imports.difference(ready) for module, imports in waiting.items() if imports}
    assert sorted(waiting) == []
