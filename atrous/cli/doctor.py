"""`atrous doctor`: what the installation and the machine can do."""

from typing import Annotated

import typer

NAME = "doctor"


def command(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Report versions, devices, engines that work, memory and its limits, threads, and a speed measured in ten seconds.

    Each engine streams a small network, so that it is tried and not only imported; compiling takes up to a minute.
    Paste the text into an issue.

    Example: atrous doctor
    """
    from atrous.cli.output import quiet_libraries, say, show
    from atrous.verbs.doctor import doctor

    quiet_libraries()
    found = doctor(say)
    show(found.text(), found.to_dict(), json)
