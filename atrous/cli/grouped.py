"""A verb whose `--help` lists its options in groups, those that everyone needs first."""

from gettext import gettext
from typing import Any

from typer.core import TyperCommand

MAIN = "Options"
"""Group of the options that name none: those that a newcomer needs."""


class GroupedCommand(TyperCommand):
    """A command that lists its options in the groups that their `rich_help_panel` names, in the order of the first.

    Typer's own panels are drawn by rich in boxes, which cut words at narrow terminals and read brackets as markup.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options group by group."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], MAIN: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else MAIN
                group = getattr(parameter, "rich_help_panel", None) or usual
                groups.setdefault(group, []).append(record)
        for name, records in groups.items():
            if records:
                with formatter.section(gettext(name)):
                    formatter.write_dl(records)
