"""Windows of recordings and genomes through the API: curves, and what the network says of the whole."""

import csv
import io
import time

import numpy as np
import pytest
import torch

from atrous.prediction.predictor import Predictor, load
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.viewer import Viewer
from benchmarks.crashes import make_grid_run
from tests.genomes import random_bases, write_fasta, write_gff
from tests.prediction.values_world import broken_signal, value_network
from tests.prediction.values_world import make_run as make_signal_run

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from atrous.serve.app import create_app

TOKEN = "a-token-of-24-letters"
LENGTH = 20_011


def client_of(files, cache, predictor=None):
    viewer = Viewer(find_files(files, predictor, print), CacheFolder(cache), predictor)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return TestClient(create_app(viewer, TOKEN, frozenset({"127.0.0.1"})), base_url="http://127.0.0.1", headers=headers)


def until(client, path, holds, seconds=60):
    begin = time.monotonic()
    while not holds(facts := client.get(path).json()):
        assert time.monotonic() - begin < seconds, facts
        time.sleep(0.02)
    return facts


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A server whose network streams a recording; the file, and what is predicted of all of it."""
    folder = tmp_path_factory.mktemp("recording")
    make_grid_run(folder / "run", ndim=1)
    values = np.random.default_rng(0).integers(0, 256, LENGTH).astype(np.uint8)
    np.save(folder / "a.npy", values)
    predictor = load(folder / "run", memory="1GB", dtype=torch.float32)
    with client_of([folder / "a.npy"], folder / "cache", predictor) as client:
        yield client, values, predictor.predict(folder / "a.npy", probabilities=True), folder / "run"


def test_a_recording_is_described(recording):
    facts = recording[0].get("/api/inputs/0").json()
    assert (facts["view"], facts["shape"], facts["sequences"], facts["planes"]) == ("signal", [1, LENGTH], 1, [])
    assert recording[0].get("/api/inputs/0/sequences").json() == {
        "total": 1, "sequences": [{"number": 0, "name": "", "length": LENGTH}],
    }  # fmt: skip


def test_curves_of_a_window(recording):
    client, values, _, _ = recording
    found = client.get("/api/inputs/0/curves?start=100&stop=120").json()
    assert (found["start"], found["step"], found["complete"]) == (100, 1, True)
    assert found["low"] == found["high"] == [values[100:120].tolist()]
    found = client.get("/api/inputs/0/curves?start=1005&stop=3000&bins=200").json()
    assert (found["start"], found["step"]) == (1000, 10)
    assert found["high"][0] == values[1000:3000].reshape(200, 10).max(1).tolist()


def test_the_window_is_labeled_exactly_and_then_the_rest(recording):
    client, _, want, _ = recording
    until(client, "/api/inputs/0/labels", lambda facts: facts["size"] == [LENGTH])
    assert not any(client.get("/api/inputs/0/shares?start=9000&stop=9100").json()["known"])
    client.post("/api/inputs/0/view", json={"left": 9000, "right": 9100, "top": 0, "bottom": 1})
    path = "/api/inputs/0/shares?start=9000&stop=9100"
    found = until(client, path, lambda facts: all(facts["known"]))
    assert np.array(found["shares"]).argmax(0).tolist() == want.labels[9000:9100].tolist()
    assert client.get("/api/inputs/0/labels").json()["known"] < 1
    assert client.get("/api/inputs/0/labels.csv").status_code == 422
    client.post("/api/inputs/0/fill")
    until(client, "/api/inputs/0/labels", lambda facts: facts["complete"])
    saved = np.load(io.BytesIO(client.get("/api/inputs/0/labels.npy").content))
    np.testing.assert_array_equal(saved, want.labels)
    rows = list(csv.DictReader(io.StringIO(client.get("/api/inputs/0/labels.csv").text)))
    assert [row["label"] for row in rows[:50]] == ["abc"[label] for label in want.labels[:50]]
    assert client.get("/api/inputs/0/labels.png").status_code == 422


def test_labels_of_a_window_keep_least_lengths_of_intervals(tmp_path):
    """They depend on samples far from the window, and are those of the whole recording."""
    run, values = make_signal_run(tmp_path / "run"), broken_signal(6000)[0][0]
    np.save(tmp_path / "a.npy", values)
    predictor = Predictor(run, value_network(), run.task(), memory="1GB")
    want = predictor.predict(tmp_path / "a.npy").labels
    with client_of([tmp_path / "a.npy"], tmp_path / "cache", predictor) as client:
        until(client, "/api/inputs/0/labels", lambda facts: facts["size"] == [6000])
        client.post("/api/inputs/0/view", json={"left": 3000, "right": 3100, "top": 0, "bottom": 1})
        path = "/api/inputs/0/shares?start=3000&stop=3100"
        found = until(client, path, lambda facts: all(facts["known"]))
        assert np.array(found["shares"]).argmax(0).tolist() == want[3000:3100].tolist()
        client.post("/api/inputs/0/fill")
        until(client, "/api/inputs/0/labels", lambda facts: facts["complete"])
        saved = np.load(io.BytesIO(client.get("/api/inputs/0/labels.npy").content))
        np.testing.assert_array_equal(saved, want)


def test_probabilities_of_a_window_are_those_of_the_whole(recording):
    client, _, want, _ = recording
    found = client.get("/api/inputs/0/probabilities?start=19990&stop=30000").json()
    np.testing.assert_allclose(found["probabilities"], want.probabilities[:, 19_990:], atol=2e-4)
    found = client.get("/api/inputs/0/probabilities?start=4000&stop=5000&bins=100").json()
    means = want.probabilities[:, 4000:5000].reshape(3, 100, 10).mean(2)
    np.testing.assert_allclose(found["probabilities"], means, atol=2e-4)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("curves?start=20011&stop=20012", 422), ("curves?start=5&stop=5", 422), ("letters?start=0&stop=9", 200),
        ("curves?start=0&stop=9&channels=1", 422), ("curves?start=0&stop=9&channels=a", 422), ("truth", 404),
        ("curves?start=0&stop=9&sequence=1", 404), ("curves?start=0&stop=9&bins=0", 422), ("labels?sequence=1", 404),
        ("features?start=0&stop=9", 200), ("shares?start=0&stop=9&origin=file", 404), ("progress", 200),
        ("tiles/0/0/0", 422), ("labels/0/0/0", 404), ("value?row=0&column=0", 422),
        ("probability?row=0&column=0", 422), ("preview?top=0&left=0&bottom=9&right=9", 422),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(recording, path, code):
    answer = recording[0].get(f"/api/inputs/0/{path}")
    assert answer.status_code == code, answer.text
    assert code == 200 or "\n" not in answer.json()["detail"]


def test_inputs_that_were_not_used_for_the_longest_time_are_closed_for_the_network(recording, tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.serve.viewer.LABELED", 1)
    for number in range(2):
        np.save(tmp_path / f"{number}.npy", recording[1][number : number + 500])
    predictor = load(recording[3], dtype=torch.float32)
    viewer = Viewer(find_files([tmp_path], predictor, print), CacheFolder(tmp_path / "cache"), predictor)
    first, worker = viewer.labeled(0)
    region = (slice(100, 200),)
    want = worker.ask(lambda between: first.maps(region, between)).result()
    assert first.in_memory
    viewer.labeled(1)
    worker.ask(lambda between: None).result()  # after what was asked before
    assert not first.in_memory
    assert not first.store.is_open  # or hundreds of inputs would take all files that a process may open
    np.testing.assert_array_equal(worker.ask(lambda between: first.maps(region, between)).result(), want)
    viewer.close()


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """A server of a genome of two sequences whose network finds genes; the FASTA file and the predictor."""
    from tests.prediction.test_genes import make_run

    folder = tmp_path_factory.mktemp("genome")
    rng = np.random.default_rng(0)
    texts = {"chr1": random_bases(rng, 3000), "chr2": random_bases(rng, 901)}
    fasta = write_fasta(folder / "x.fa.gz", texts)
    write_gff(folder / "x.gff", [("chr2", "CDS", 101, 400, "+", "ID=a")])
    predictor = load(make_run(folder / "run"))
    with client_of([fasta], folder / "cache", predictor) as client:
        yield client, texts, fasta, predictor


def test_letters_annotation_and_names_of_a_genome(genome):
    client, texts, _, _ = genome
    facts = client.get("/api/inputs/0").json()
    assert (facts["view"], facts["sequences"], facts["annotated"], facts["channels"]) == ("genome", 2, True, [])
    assert client.get("/api/inputs/0/sequences?name=R2").json()["sequences"] == [
        {"number": 1, "name": "chr2", "length": 901}
    ]
    assert client.get("/api/inputs/0/letters?start=7&stop=40&sequence=1").json()["letters"] == texts["chr2"][7:40]
    found = client.get("/api/inputs/0/features?start=0&stop=901&sequence=1&origin=file").json()
    assert [(one["start"], one["end"], one["kind"], one["strand"]) for one in found["intervals"]] == [
        (100, 400, "CDS", "+")
    ]
    assert client.get("/api/inputs/0/features?start=0&stop=901&sequence=1").json()["found"] is False


def test_the_features_of_a_sequence_are_those_of_predict(genome, tmp_path):
    from atrous.verbs.predict import predict

    client, texts, _, predictor = genome
    alone = write_fasta(tmp_path / "y.fa.gz", {"chr2": texts["chr2"]})
    predict(predictor.run.folder, [alone], tmp_path / "y.gff3")
    path = "/api/inputs/0/labels?sequence=1"
    assert client.get(path).json()["complete"] is False
    client.post("/api/inputs/0/fill?sequence=1")
    until(client, path, lambda facts: facts["complete"] and not facts["filling"])
    answer = client.get("/api/inputs/0/labels.gff3?sequence=1")
    assert answer.text == (tmp_path / "y.gff3").read_text()
    assert answer.text.count("CDS") > 1
    found = client.get("/api/inputs/0/features?start=0&stop=901&sequence=1").json()
    assert found["total"] == len(found["intervals"]) == answer.text.count("\tatrous\t")
    assert client.get("/api/inputs/0/labels.csv?sequence=1").status_code == 422
    assert client.get("/api/inputs/0/labels?sequence=0").json()["complete"] is False


def test_the_classes_of_bases_are_those_of_the_network(genome):
    client, _, fasta, predictor = genome
    from atrous.data.genomes.fasta import open_sequence

    want = predictor.predict(open_sequence(fasta, "chr1")[...], probabilities=True)
    until(client, "/api/inputs/0/labels", lambda facts: facts["size"] == [3000])
    client.post("/api/inputs/0/view", json={"left": 0, "right": 3000, "top": 0, "bottom": 1})
    found = until(client, "/api/inputs/0/shares?start=0&stop=3000&bins=3000", lambda facts: all(facts["known"]))
    bits = [(want.labels >> number & 1) * 100 for number in range(4)]
    np.testing.assert_array_equal(found["shares"], bits)
    found = client.get("/api/inputs/0/probabilities?start=500&stop=900").json()["probabilities"]
    np.testing.assert_allclose(found, want.probabilities[:, 500:900], atol=2e-4)
