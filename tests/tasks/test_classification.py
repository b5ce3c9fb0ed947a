"""Classes of whole inputs: the pools against their formulas, gradients in strips, and metrics."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from atrous.encoders.strided import Strided
from atrous.models.evidence import EvidenceNetwork
from atrous.tasks.class_metrics import ClassAnswer, ClassMetrics, auroc
from atrous.tasks.classification import ClassificationTask
from atrous.tasks.custom import output_size
from atrous.tasks.task import NotFinite
from atrous.training.whole import WholeSteps

FREE = ClassificationTask(("a", "b"), exclusive=False, stride=(4, 4), positions=12.0)
ONE_OF = ClassificationTask(("a", "b", "c"), stride=(4, 4), positions=12.0)


@pytest.fixture
def evidence():
    return torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_noisy_or_is_that_of_all_positions(evidence):
    output, target = evidence[:, :2], torch.tensor([[1.0, 0.0], [math.nan, 1.0]], dtype=torch.float64)
    there = (output - math.log(12)).sigmoid()
    total = 1 - (1 - there).flatten(2).prod(2)
    first = -(total[0, 0].log() + (1 - total[0, 1]).log()) / 2
    expected = (first - total[1, 1].log()) / 2  # of the second input only one class is known
    assert float(FREE.loss(output, target)) == pytest.approx(float(expected), rel=1e-12)
    scores = FREE.scores(FREE.sums(FREE.probabilities(output)[0]))
    assert torch.allclose(scores, total[0], rtol=1e-12)


def test_log_sum_exp_is_a_softmax_over_classes_of_all_positions(evidence):
    target = torch.eye(3, dtype=torch.float64)[[2, 0]]
    pooled = evidence.flatten(2).logsumexp(2)
    expected = torch.nn.functional.cross_entropy(pooled, torch.tensor([2, 0]))
    assert float(ONE_OF.loss(evidence, target)) == pytest.approx(float(expected), rel=1e-12)
    scores = ONE_OF.scores(ONE_OF.sums(ONE_OF.probabilities(evidence)[0]))
    assert torch.allclose(scores, pooled[0].softmax(0), rtol=1e-12)


def gradient_of(parameter):
    assert parameter.grad is not None
    return parameter.grad.clone()


@pytest.mark.parametrize("task", [FREE, ONE_OF])
def test_gradients_in_strips_are_those_of_the_whole(task, tmp_path):
    torch.manual_seed(1)
    network = EvidenceNetwork(Strided(2, 1, width=4, strides=(2, 2)), task.out_channels).double()
    for parameter in network.head.parameters():
        torch.nn.init.normal_(parameter)
    image = torch.randn(1, 150, 37, dtype=torch.float64)
    target = torch.zeros(task.out_channels, dtype=torch.float64)
    target[0] = 1
    loss = task.loss(network(image[None]), target[None])
    loss.backward()
    whole = [gradient_of(parameter) for parameter in network.parameters()]
    network.zero_grad()
    value = WholeSteps(network.train(), task, tmp_path).step(image, target)
    assert value == pytest.approx(float(loss.detach()), rel=1e-9)
    largest = max(float(gradient.abs().max()) for gradient in whole)
    for parameter, gradient in zip(network.parameters(), whole, strict=True):
        assert float((gradient_of(parameter) - gradient).abs().max()) < 1e-9 * largest


def test_evidence_of_any_size_has_the_grid_of_the_task():
    network = EvidenceNetwork(Strided(2, 1, width=4, strides=(2, 2)), 1)
    for size in ((1, 1), (4, 9), (30, 17)):
        assert tuple(network(torch.zeros(1, 1, *size)).shape[2:]) == FREE.grid(size) == output_size(FREE, size)


def test_losses_stay_finite_at_the_ends():
    for task, target in ((FREE, [1.0, 0.0]), (ONE_OF, [1.0, 0.0, 0.0])):
        for value in (-200.0, 0.0, 200.0):
            output = torch.full((1, task.out_channels, 5, 5), value, requires_grad=True)
            loss = task.loss(output, torch.tensor([target]))
            loss.backward()
            assert loss.isfinite()
            assert output.grad is not None
            assert bool(output.grad.isfinite().all())


def test_much_evidence_at_many_positions_stays_finite():
    output = torch.full((1, 3, 300, 300), 90.0, requires_grad=True)
    loss = ONE_OF.loss(output, torch.tensor([[1.0, 0.0, 0.0]]))
    assert float(loss.detach()) == pytest.approx(math.log(3), rel=1e-5)


@pytest.mark.parametrize("value", [-10.0, -16.0, -40.0])
def test_an_input_that_is_missed_surely_is_learned_from(value):
    """The gradient of -log(1 - exp(-n s)), s = softplus x, by x is -1/n where x is far below 0."""
    for loss in (lambda x: FREE.loss(x, torch.tensor([[1.0, math.nan]])),
                 lambda x: FREE.pooled_loss(torch.tensor([1.0, math.nan]))(x, None)):  # fmt: skip
        output = torch.full((1, 2, 2, 4), value, requires_grad=True)
        loss(output).backward()
        assert output.grad is not None
        torch.testing.assert_close(output.grad[:, 0], torch.full((1, 2, 4), -1 / 8), rtol=1e-4, atol=0)


def test_what_is_seen_and_decoded():
    output = torch.full((1, 2, 1, 3), -9.0)
    output[0, 1, 0, 2] = 9.0
    assert FREE.decode(output).tolist() == [[[0, 0, 2]]]
    assert float(FREE.seen(FREE.probabilities(output))[0, 1, 0, 2]) > 0.9
    assert float(ONE_OF.seen(torch.tensor([0.0, -1.0])).max()) == 1


@pytest.mark.parametrize(
    ("classes", "options", "said"),
    [
        (["a"], {}, "two classes"),
        (["a", "b"], {"stride": [0, 4]}, "stride"),
        (["a", "b"], {"exclusive": 1}, "true or false"),
        (["a", "b"], {"positions": 0}, "positions"),
        (["a", "b"], {"pool": "max"}, "options.pool is no option"),
    ],
)
def test_options_that_do_not_fit_are_refused(classes, options, said):
    with pytest.raises(ValueError, match=said):
        ClassificationTask.build({"classes": classes, "options": options})


def counted(task, scores, truth):
    metrics = ClassMetrics(task)
    for number, (row, true) in enumerate(zip(scores, truth, strict=True)):
        metrics.count(str(number), ClassAnswer(np.array(row), None), np.array(true, np.float32))
    return metrics.result(1.0)


def test_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (40, 2))
    scores = np.round(np.clip(0.5 * truth + rng.uniform(0, 0.6, truth.shape), 0.01, 0.99), 1)
    result = counted(FREE, scores, truth).to_dict()
    assert result["auroc"] == pytest.approx(roc_auc_score(truth, scores, average="macro"))
    assert result["f1"] == pytest.approx(f1_score(truth, scores > 0.5, average="macro"))
    assert result["log_loss"] == pytest.approx(np.mean([log_loss(truth[:, k], scores[:, k]) for k in (0, 1)]))
    assert result["accuracy"] == pytest.approx(((scores > 0.5) == truth).all(axis=1).mean())
    classes = rng.integers(0, 3, 30)
    scores = rng.dirichlet((1, 1, 1), 30)
    result = counted(ONE_OF, scores, np.eye(3)[classes]).to_dict()
    assert result["accuracy"] == pytest.approx((scores.argmax(1) == classes).mean())
    assert result["auroc"] == pytest.approx(roc_auc_score(classes, scores, multi_class="ovr"))
    assert result["log_loss"] == pytest.approx(log_loss(classes, scores))


def test_the_worst_input_comes_first_and_unknown_ones_count_for_nothing():
    result = counted(FREE, [[0.9, 0.1], [0.2, 0.1], [0.5, 0.5]], [[1, 0], [1, 0], [math.nan, math.nan]])
    assert result.ranking() == ["1", "0"]
    assert result.values["accuracy"] == 0.5
    assert math.isnan(auroc(np.array([0.1, 0.2]), np.array([True, True])))
    with pytest.raises(NotFinite):
        counted(FREE, [[math.nan, 0.1]], [[1, 0]])
