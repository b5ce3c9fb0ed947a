"""What processes agree on: progress of the first, signals and errors of any; and the weights of two real ones."""

import pytest

from atrous.errors import UserError
from atrous.training.processes import Agreed, Processes, make_fabric, open_processes
from atrous.training.settings import Settings
from benchmarks.ddp import CASES, difference
from tests.ranks import play_ranks


def of(group):
    return Processes(group.rank, group.count, group, group)


def test_all_know_the_progress_of_the_first_and_the_signals_of_any(monkeypatch):
    got = play_ranks(monkeypatch, 3, lambda group: of(group).agree(0.1 * (1 + group.rank), group.rank == 2, None))
    assert got == [Agreed(pytest.approx(0.1), True)] * 3


NO_FILE = FileNotFoundError(2, "No such file", "x.png")


@pytest.mark.parametrize(
    ("error", "told"), [(UserError("x.png: damaged"), "x.png: damaged"), (NO_FILE, "x.png: No such file")]
)
def test_a_mistake_in_one_is_told_by_all(error, told, monkeypatch):
    def work(group):
        def read():
            if group.rank == 1:
                raise error

        with pytest.raises(UserError) as caught:
            of(group).together(read)
        return str(caught.value)

    assert play_ranks(monkeypatch, 2, work) == [told] * 2


def test_a_bug_is_raised_where_it_is_and_ends_the_others(monkeypatch):
    def work(group):
        with pytest.raises((TypeError, RuntimeError)) as caught:
            of(group).agree(0.5, False, TypeError("bug") if group.rank == 1 else None)
        return type(caught.value), str(caught.value)

    told = (RuntimeError, "process 1 of this training failed: TypeError('bug')")
    assert play_ranks(monkeypatch, 2, work) == [told, (TypeError, "bug")]


def test_work_of_the_first_is_given_to_all(monkeypatch):
    def work(group):
        return of(group).of_first(lambda: f"made by {group.rank}"), of(group).gathered(group.rank)

    assert play_ranks(monkeypatch, 2, work) == [("made by 0", [0, 1])] * 2


def test_one_process_meets_nobody():
    with open_processes(Settings()) as alone:
        assert alone == Processes()
        assert alone.of_first(lambda: 3) == 3
        assert alone.gathered(4) == [4]
        with pytest.raises(UserError, match="no"):
            alone.agree(0.0, False, UserError("no"))


def test_python_programs_are_started_by_torchrun(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(UserError, match="start the script by torchrun --nproc-per-node=2"):
        make_fabric(Settings(devices=2, precision="32-true"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["AdamW, group norm", "SGD, resumed by one device", "SGD, with a part that is not used"]
)
def test_two_processes_give_the_weights_of_one(name, tmp_path):
    """Five crops, three and two, with different void, in float64."""
    case = CASES[name]
    assert difference(case, tmp_path) < case.most
