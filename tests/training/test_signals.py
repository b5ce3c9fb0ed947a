"""Signals: noted, delayed, and never lost."""

import signal
import sys

import pytest

from atrous.training.signals import interrupt_afterwards, noted_interrupts, stop_on_signal
from tests.interrupts import Interrupts, heeding_interrupts


@pytest.fixture(autouse=True)
def heeding():
    with heeding_interrupts():
        yield


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_block_goes_on(number):
    before = signal.getsignal(number)
    with stop_on_signal() as received:
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert received == [number, number]
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_delayed_signal_interrupts_after_the_block(number):
    done = []

    def work():
        with interrupt_afterwards():
            signal.raise_signal(number)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done
    with interrupt_afterwards():
        pass


def test_an_interrupt_that_python_drops_is_noted(monkeypatch):
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: dropped.append(unraisable.exc_type))
    with noted_interrupts() as noted:
        Interrupts()
        assert dropped == [KeyboardInterrupt]
        assert noted == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert noted == [signal.SIGINT] * 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_interrupts_are_ignored_they_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with noted_interrupts() as noted:
        signal.raise_signal(signal.SIGINT)
    assert noted == []
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
