"""Clients that send their requests slowly, or never to the end: they are given up, and do not keep others out."""

import asyncio
from typing import Any

SECONDS = 10.0
"""A request whose head takes longer to arrive is given up; the guard does the same for its body."""
CONNECTIONS = 600
"""More connections at the same time are closed at once. Most systems give a process 1024 open files."""


def patient_protocol() -> Any:
    """Return uvicorn's protocol with a limit on the time that the head of a request takes.

    uvicorn itself waits for ever for the end of a head, and counts who never ends as one of the requests at work.
    """
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class PatientProtocol(H11Protocol):
        """One connection."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > CONNECTIONS:
                transport.close()
            else:
                self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Begin to wait for the end of a head, or end it."""
            if not self._waits():
                self._cancel()
            elif self._timer is None:
                self._timer = self.loop.call_later(SECONDS, self._give_up)

        def _waits(self) -> bool:
            answering = self.cycle is not None and not self.cycle.response_complete
            return not answering and self.conn.their_state is h11.IDLE

        def _cancel(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if self._waits():
                self.transport.close()

    return PatientProtocol
