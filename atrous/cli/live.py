"""`atrous predict RUN -`: standard input to standard output."""

import os
import sys

from atrous.cli.output import say
from atrous.prediction.live import live_labels
from atrous.prediction.predictor import Predictor


def run_live(predictor: Predictor, probabilities: bool) -> None:
    """Label the samples on standard input until it ends, or until nobody reads the labels any more."""

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        live_labels(predictor, sys.stdin.buffer, write, probabilities=probabilities, tell=say)
    except BrokenPipeError:  # the reader has gone: what python flushes at exit must go nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
