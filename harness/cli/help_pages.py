"""What typer shows on help pages by itself, put right: flags without a value show none, commands keep our order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

HELP_NAMES = ("-h", "--help")


def ordered_group(first: Sequence[str]) -> type[TyperGroup]:
    """The class of a group that lists `first` before its other commands."""

    class OrderedGroup(TyperGroup):
        """Typer lists plain commands before groups, whichever came first."""

        def list_commands(self, ctx: Any) -> list[str]:
            names = super().list_commands(ctx)
            return [*(name for name in first if name in names), *(name for name in names if name not in first)]

    return OrderedGroup


def without_labels(command: Any) -> Any:
    """The command, and all below it, with no `<bool>` beside the flags that typer adds by itself."""
    context = command.context_class(command, help_option_names=list(HELP_NAMES))
    for option in (command.get_help_option(context), *command.params):
        if option is not None and getattr(option, "is_flag", False) and option.metavar is None:
            option.metavar = ""
    for below in getattr(command, "commands", {}).values():
        without_labels(below)
    return command
