"""The one thread that runs the network: what is asked for first, then the view, then the rest of the input.

Long work gives way: between two strips of the rest of an input, the parts of the view are computed, and between two
strips of those, what somebody waits for. All of it happens in one thread, one stream inside the callback of another, so
that the network is never run twice at the same time.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from atrous.errors import UserError
from atrous.serve.labeled import LabeledInput
from atrous.serve.store import Region

WAITING = 64
"""Wishes that may wait at the same time."""

Wish = Callable[[Callable[[float], None]], Any]
"""Some work; it is given a function to call between two steps, with the share that is done."""


class Busy(UserError):
    """Too much is waiting already."""


class Outdated(Exception):
    """What is being computed is no longer wanted."""


class NetworkWorker:
    """Runs the network for every opened input, in a thread of its own."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wishes: deque[tuple[Future[Any], Wish]] = deque()
        self._view: tuple[LabeledInput, Region] | None = None
        self._filling: LabeledInput | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)
        self._thread.start()

    def ask(self, wish: Wish) -> "Future[Any]":
        """Have something computed before everything else, in the order of the calls.

        Args:
            wish: the work.

        Raises:
            Busy: too many wait already.
        """
        future: Future[Any] = Future()
        with self._changed:
            if len(self._wishes) >= WAITING or self._closed:
                raise Busy("too much is waiting for the network: ask again later")
            self._wishes.append((future, wish))
            self._changed.notify()
        return future

    def open(self, labeled: LabeledInput) -> None:
        """Have an input opened as the network reads it; what is wrong with it is noted there.

        Raises:
            Busy: too many wishes wait already; the input stays as it was.
        """
        before, labeled.state = labeled.state, "opening"
        try:
            self.ask(lambda between: self._carefully(labeled, labeled.ready))
        except Busy:
            labeled.state = before
            raise

    def look(self, labeled: LabeledInput, region: Region) -> None:
        """Have the labels of a region computed next; takes the place of the view before."""
        with self._changed:
            self._view = (labeled, region)
            self._changed.notify()

    def fill(self, labeled: LabeledInput) -> None:
        """Have all labels of an input computed when nothing else is wanted; takes the place of the one before."""
        with self._changed:
            self._filling = labeled
            self._changed.notify()

    def pause(self, labeled: LabeledInput) -> None:
        """Compute no more than the view of an input."""
        with self._changed:
            if self._filling is labeled:
                self._filling = None

    def fills(self, labeled: LabeledInput) -> bool:
        """Return whether all labels of an input are being computed."""
        return self._filling is labeled

    def close(self, seconds: float = 10.0) -> None:
        """Stop after the current step, and forget all wishes."""
        with self._changed:
            self._closed = True
            wishes, self._filling, self._view = list(self._wishes), None, None
            self._wishes.clear()
            self._changed.notify()
        for future, _ in wishes:
            future.cancel()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._closed or self._wishes or self._view or self._filling):
                    self._changed.wait()
                if self._closed:
                    return
            self._do_wishes()
            self._do_view()
            if self._filling is not None:
                self._fill(self._filling)

    def _do_wishes(self) -> None:
        while True:
            with self._changed:
                if not self._wishes or self._closed:
                    return
                future, wish = self._wishes.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(wish(lambda share: self._require_open()))
            except Outdated:
                future.set_exception(Busy("the server is stopping"))
            except BaseException as error:
                future.set_exception(error)

    def _do_view(self) -> None:
        """Compute what is unknown of the view, part by part, until all is known or another view is wanted."""
        while (view := self._view) is not None and not self._closed:
            finished = not self._part_of_view(view)
            with self._changed:
                if self._view is view and (finished or view[0].problem):
                    self._view = None
            self._do_wishes()

    def _part_of_view(self, view: tuple[LabeledInput, Region]) -> bool:
        """Compute one part of a view; return False if nothing is left to compute."""
        labeled, region = view

        def between(share: float) -> None:
            self._require_open()
            self._do_wishes()
            if not self._still_wanted(view):
                raise Outdated

        part = self._carefully(labeled, lambda: labeled.next_part(region))
        if part is not None:
            self._carefully(labeled, lambda: labeled.compute(part, between))
        return part is not None

    def _still_wanted(self, before: tuple[LabeledInput, Region]) -> bool:
        """Whether what is being computed of the view before is still of use: for one that overlaps it, or for any."""
        view = self._view
        if view is None or view is before or view[0] is not before[0]:
            return view is None or view is before
        overlap = all(a.start < b.stop and b.start < a.stop for a, b in zip(view[1], before[1], strict=False))
        return overlap or view[0].state == "reading"

    def _fill(self, labeled: LabeledInput) -> None:
        def between(share: float) -> None:
            self._require_open()
            self._do_wishes()
            self._do_view()
            if self._filling is not labeled:
                raise Outdated

        self._carefully(labeled, lambda: labeled.fill(between))
        self.pause(labeled)

    def _carefully(self, labeled: LabeledInput, work: Callable[[], Any]) -> Any:
        """Do some work on an input. What is wrong with it is noted there; an unexpected error goes to the terminal."""
        try:
            return work()
        except Outdated:
            return None
        except UserError as error:
            labeled.problem = str(error)
        except Exception as error:
            logging.getLogger(__name__).exception("labels of %s", labeled.name)
            labeled.problem = f"an unexpected error ({type(error).__name__}): the terminal shows it"
        return None

    def _require_open(self) -> None:
        if self._closed:
            raise Outdated
