"""Help in groups: every option stands once, and those that a newcomer needs stand first."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from atrous.cli import main
from atrous.cli.grouped import GroupedCommand

FIRST = {
    "predict": ("-o, --out", "--overlay", "--memory", "--json", "-h, --help"),
    "train": ("--out", "--minutes", "--epochs", "--set", "--resume", "--json", "-h, --help"),
    "evaluate": ("--split", "--dataset", "--report", "--device", "--json", "-h, --help"),
}


def sections(help_text):
    """The lines of each section of a help text, by its title."""
    found, lines = {}, []
    for line in help_text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            lines = found.setdefault(line[:-1], [])
        elif line.startswith("  -"):
            lines.append(line.strip())
    return found


@pytest.mark.parametrize("verb", FIRST)
def test_options_that_everyone_needs_come_first_and_no_option_is_lost(verb):
    said = sections(CliRunner().invoke(main.app, [verb, "--help"]).stdout)
    options = [title for title in said if said[title]]
    assert options[0] == "Options"
    starts = [tuple(line.startswith(name) for line in said["Options"]) for name in FIRST[verb]]
    assert all(any(row) for row in starts)
    assert len(said["Options"]) == len(FIRST[verb])
    command = typer.main.get_command(main.app).commands[verb]
    named = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    assert sum(map(len, said.values())) == len(named) + 1  # and --help
    assert len(options) > 2


def test_a_verb_without_groups_is_shown_as_before():
    app = typer.Typer(rich_markup_mode=None, add_completion=False)

    def command(name: str, loud: Annotated[bool, typer.Option("--loud", help="Shout [a lot].")] = False) -> None:
        """Greet."""

    app.command()(command)
    plain = CliRunner().invoke(app, ["--help"]).stdout
    grouped = typer.Typer(rich_markup_mode=None, add_completion=False)
    grouped.command(cls=GroupedCommand)(command)
    assert CliRunner().invoke(grouped, ["--help"]).stdout == plain
    assert "Shout [a lot]." in plain
