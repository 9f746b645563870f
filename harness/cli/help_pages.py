"""What typer shows on help pages by itself, put right: no types of Python's, arguments as declared, our order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperArgument, TyperGroup

HELP_NAMES = ("-h", "--help")


def ordered_group(first: Sequence[str]) -> type[TyperGroup]:
    """The class of a group that lists `first` before its other commands."""

    class OrderedGroup(TyperGroup):
        """Typer lists plain commands before groups, whichever came first."""

        def list_commands(self, ctx: Any) -> list[str]:
            names = super().list_commands(ctx)
            return [*(name for name in first if name in names), *(name for name in names if name not in first)]

    return OrderedGroup


def without_types(command: Any) -> Any:
    """The command, and all below it, with no `<bool>` beside flags and no `<str>` beside arguments."""
    context = command.context_class(command, help_option_names=list(HELP_NAMES))
    for parameter in (command.get_help_option(context), *command.params):
        if isinstance(parameter, TyperArgument):
            _as_declared(parameter)
        elif getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    for below in getattr(command, "commands", {}).values():
        without_types(below)
    return command


def _as_declared(argument: Any) -> None:
    """Its metavar alone, in the usage line and in the table: ours say themselves what may be left out."""
    written = [argument.display_name_raw]
    argument.get_usage_pieces = lambda ctx: written
    argument.display_type_rich = lambda ctx: None
