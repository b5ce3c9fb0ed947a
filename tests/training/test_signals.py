"""Signals between the steps of a piece of work."""

import signal
import threading

import pytest

from atrous.training.signals import noted_interrupts, stop_on_signal

pytestmark = pytest.mark.usefixtures("heeded")


def test_a_signal_is_kept_for_the_end_of_the_step():
    with stop_on_signal() as signals:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert signals == [signal.SIGINT, signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_raised_and_noted():
    with noted_interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with stop_on_signal() as signals:
            signal.raise_signal(signal.SIGINT)
    assert interrupts == signals == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_is_ignored_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with noted_interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
    assert interrupts == []
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_than_the_main_one_sets_no_handler():
    handlers = []

    def work():
        with noted_interrupts():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
