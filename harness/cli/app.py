"""Wires the commands, and catches what they raise, once: a sentence, a hint and an exit code.

bench run dlrm --profile demo
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

import harness
from harness.cli import options
from harness.cli.arguments import completion_words, prescan, spell_booleans
from harness.cli.help_pages import HELP_NAMES, ordered_group, without_types
from harness.errors import BenchError, ExitCode, did_you_mean
from harness.registry import Registry

_SUMMARY = "Benchmarks of recommendation models: one command, every result in one SQLite file, comparisons that hold."
_MEASURE = "Measure"
_LOOK = "Look and compare"
_KEEP = "Keep"
_TOOLS = "Data"
_SETUP = "This machine"
_FIRST = ("run", "sweep", "ab")


def build(registry: Registry, command: str = "") -> typer.Typer:
    """The whole command line for the workloads and devices of a registry; `command` is the one that is going to run."""
    from harness.cli.ab import make_ab
    from harness.cli.calibrate import make_calibrate
    from harness.cli.compare import make_compare
    from harness.cli.config import make_config
    from harness.cli.contributed import add_contributed
    from harness.cli.dashboard import make_dashboard
    from harness.cli.doctor import make_doctor
    from harness.cli.list_results import list_results
    from harness.cli.note import note
    from harness.cli.profiles_command import make_profiles
    from harness.cli.rerun import rerun
    from harness.cli.run import make_run
    from harness.cli.show import show
    from harness.cli.stop import stop
    from harness.cli.sweep import make_sweep
    from harness.cli.tag import tag
    from harness.cli.transfer import export_results, import_results
    from harness.cli.workload_group import workload_group

    app = typer.Typer(
        help=_SUMMARY,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        cls=ordered_group(_FIRST),
        context_settings={"help_option_names": list(HELP_NAMES)},
        epilog="First steps: bench run dlrm --profile demo, then bench list. Exit codes: 0 ok, 1 a run failed, "
        "2 usage, 3 regression, 4 inconclusive, 5 device or package missing, 6 nothing comparable, 130 interrupted.",
    )

    @app.callback()
    def bench(
        version: Annotated[
            bool,
            typer.Option("--version", metavar="", help="print the version", is_eager=True, callback=_print_version),
        ] = False,
        plugin: options.Plugins = None,
        debug: options.Debug = False,
    ) -> None:
        pass

    for name, summary, make in (
        ("run", "Measure one workload: bench run NAME --help lists its settings.", make_run),
        ("sweep", "Measure every combination of some settings, interleaved.", make_sweep),
    ):
        group = typer.Typer(cls=workload_group(registry, make(registry)), no_args_is_help=True)
        group.callback(help=summary)(_nothing)
        app.add_typer(group, name=name, help=summary, subcommand_metavar="WORKLOAD [OPTIONS]", rich_help_panel=_MEASURE)
    app.command("ab", short_help="Two configurations in turns, and which is better.", rich_help_panel=_MEASURE)(
        make_ab(registry, asked=command == "ab")
    )
    app.command("rerun", rich_help_panel=_MEASURE)(rerun)
    app.command("stop", rich_help_panel=_MEASURE)(stop)
    app.command("compare", rich_help_panel=_LOOK, no_args_is_help=True)(make_compare(registry))
    app.command("dashboard", rich_help_panel=_LOOK)(make_dashboard(registry))
    app.command("list", rich_help_panel=_LOOK)(list_results)
    app.command("show", rich_help_panel=_LOOK)(show)
    app.command("tag", rich_help_panel=_KEEP, no_args_is_help=True)(tag)
    app.command("note", rich_help_panel=_KEEP, no_args_is_help=True)(note)
    app.command("export", rich_help_panel=_KEEP, no_args_is_help=True)(export_results)
    app.command("import", rich_help_panel=_KEEP, no_args_is_help=True)(import_results)
    app.command("doctor", rich_help_panel=_SETUP)(make_doctor(registry))
    app.command("calibrate", rich_help_panel=_SETUP)(make_calibrate(registry))
    add_contributed(app, registry, _TOOLS)
    app.add_typer(make_profiles(registry), name="profiles", rich_help_panel=_SETUP)
    app.add_typer(make_config(registry), name="config", rich_help_panel=_SETUP)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; the exit code. Everything that goes wrong ends here."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    _make_output_safe()
    try:
        scanned = prescan(given)
        debug = scanned.debug
        typed = completion_words()
        registry = Registry(prescan(typed).plugins if typed is not None else scanned.plugins)
        words = _spelled(scanned.arguments, registry)
        asked = typed if typed is not None else words
        command = without_types(typer.main.get_command(build(registry, next(iter(asked), ""))))
        found = command.main(
            args=words or ["--help"],
            prog_name=_program_name(),
            standalone_mode=False,
        )
        return int(found) if isinstance(found, int) else ExitCode.OK
    except BenchError as problem:
        _tell(problem.message, problem.hint, problem.details)
        if debug:
            traceback.print_exc()
        return int(problem.exit_code)
    except TyperException as problem:
        if debug:
            traceback.print_exc()
        return _tell_usage(problem)
    except (KeyboardInterrupt, typer.Abort):
        _tell("interrupted", None)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Who read our output has had enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as problem:
        if debug:
            raise
        _tell(
            f"an error of recbench itself: {type(problem).__name__}: {problem}",
            "run it again with --debug, and report it",
        )
        return ExitCode.RUN_FAILED


def _spelled(arguments: Sequence[str], registry: Registry) -> list[str]:
    """The arguments with `--flag=True` as `--flag`, where they are for a workload that has such a setting."""
    words = list(arguments)
    if len(words) < 3 or words[0] not in ("run", "sweep") or words[1] not in registry.workload_names():
        return words
    from harness.sources import all_settings

    items = all_settings(registry.workload(words[1]))
    return spell_booleans(words, {item.flag for item in items if item.base_type is bool})


def _program_name() -> str:
    name = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119  # argv[0] is text, and may be empty
    return name if name in ("bench", "recbench") else "bench"


def _nothing() -> None:
    """The callback of a group that only holds commands."""


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"recbench {harness.__version__}\n")
        raise typer.Exit


def _tell(message: str, hint: str | None, details: Sequence[str] = ()) -> None:
    from harness.report.lines import say

    talk = options.talk()
    say(talk, f"error: {message}", hang=2, style="bold red" if talk.is_terminal else "")
    for line in details:
        say(talk, f"  {line}", hang=4)
    if hint:
        say(talk, f"hint: {hint}", hang=2)


def _tell_usage(problem: TyperException) -> int:
    """What the parser refused, in our form: the nearest flag, or where help is."""
    text = problem.format_message().strip()
    context: Any = getattr(problem, "ctx", None)
    if not text:  # the help page was printed instead of an error
        return ExitCode.USAGE
    hint = f"{context.command_path} --help" if context is not None else None
    unknown = getattr(problem, "option_name", None)
    if context is not None and unknown and text.startswith("No such option"):
        text = f"unknown flag {unknown}"
        flags = [
            name for one in context.command.params for name in (*one.opts, *one.secondary_opts) if name[:2] == "--"
        ]
        near = did_you_mean(unknown, flags)
        hint = near if near.startswith("did you mean") else hint
    elif text.startswith("Got unexpected extra argument"):
        hint = f"quote a pattern, so that the shell leaves it whole: 'logs/*.npz'; {hint}" if "/" in text else hint
    elif text.startswith("No such command"):
        message, separator, near = text.partition(" Did you mean ")
        text = message.rstrip(".").replace("No such command", "unknown command")
        hint = f"did you mean {near}" if separator else hint
    _tell(text[:1].lower() + text[1:].rstrip("."), hint)
    return ExitCode.USAGE


def _make_output_safe() -> None:
    """A character that the terminal's encoding lacks must not end a run: it is shown as `?`."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
