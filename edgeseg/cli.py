"""The command line. One table: command -> module, imported on use."""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from edgeseg import __version__
from edgeseg.commands.page import CommandWithPage
from edgeseg.commands.signals import Terminated, end_by_signal, terminated_by_exception
from edgeseg.errors import EdgeSegError, UnknownNameError

COMMANDS = {
    "demo": "edgeseg.commands.demo",
    "models": "edgeseg.commands.models",
    "convert": "edgeseg.commands.convert",
    "stream": "edgeseg.commands.stream",
    "batch": "edgeseg.commands.batch",
    "probe": "edgeseg.commands.probe",
    "sources": "edgeseg.commands.sources",
    "eval": "edgeseg.commands.eval",
    "bench": "edgeseg.commands.bench",
    "report": "edgeseg.commands.report",
    "compare": "edgeseg.commands.compare",
    "diff": "edgeseg.commands.diff",
    "export": "edgeseg.commands.export",
    "adopt": "edgeseg.commands.adopt",
    "calibrate": "edgeseg.commands.calibrate",
    "quantize": "edgeseg.commands.quantize",
    "sensitivity": "edgeseg.commands.sensitivity",
    "build": "edgeseg.commands.build",
    "inspect": "edgeseg.commands.inspect",
    "data": "edgeseg.commands.data",
    "train": "edgeseg.commands.train",
    "doctor": "edgeseg.commands.doctor",
}
USAGE_ERROR, INTERRUPTED = 2, 130

# typer has its own copy of click from 0.26 on, and uses click before: the bases of BadParameter are right in both.
ClickException: type[Exception] = typer.BadParameter.__mro__[2]


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, in the order in which a new user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command `cmd_name`. UnknownNameError, with the nearest name, for an unknown one."""
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:  # the shell completes a line
                return None
            raise UnknownNameError.among("command", cmd_name, COMMANDS)
        module = importlib.import_module(COMMANDS[cmd_name])
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        summary = (module.command.__doc__ or "").partition("\n")[0]
        examples = f"Examples:{module.EXAMPLES}"
        single.command(cmd_name, cls=CommandWithPage, short_help=summary, epilog=examples)(module.command)
        command = get_command(single)
        command.name = cmd_name
        return command


app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def edgeseg(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    verbose: bool = typer.Option(False, "-v", "--verbose", help="Log each step to stderr."),
) -> None:
    """Convert, stream and benchmark real-time semantic segmentation.

    MODEL is a bundled name (edgeseg models) or a file. Sizes are WIDTHxHEIGHT. An error prints its code and a hint, and
    exits with 2.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run a command; an error of the user's ends with a line of error, a line of hint and exit code 2."""
    code: Any = None
    if "EDGESEG_PARENT" in os.environ:
        from edgeseg.child import PARENT, end_with_parent

        end_with_parent(int(os.environ.pop(PARENT)))  # what it starts itself has another parent
    if isinstance(sys.stdout, io.TextIOWrapper):
        # file names may hold characters that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with terminated_by_exception():
            code = app(standalone_mode=False, prog_name="edgeseg")
    except EdgeSegError as problem:
        code = fail(problem.message, problem.hint, problem.code)
    except ClickException as problem:
        context = getattr(problem, "ctx", None)
        hint = f"{context.command_path if context else 'edgeseg'} --help"
        code = fail(problem.format_message(), hint, "ES-USAGE")  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        print("stopped", file=sys.stderr)
        code = INTERRUPTED
    except Terminated as terminated:
        print("stopped", file=sys.stderr)
        end_by_signal(terminated.number)
    except BrokenPipeError:
        code = 0
    except OSError as problem:  # a name that is too long, a folder that is closed, a full disk
        logging.getLogger(__name__).info("this ended the command", exc_info=True)
        code = fail(str(problem), "check the path, its permissions and the disk", "ES-SYSTEM")
    sys.exit(code if isinstance(code, int) else 0)


def fail(message: str, hint: str, code: str) -> int:
    """Print an error as every command does; where --json promises JSON on stdout, as JSON too."""
    message, hint = one_line(message), one_line(hint)
    print(f"error [{code}]: {message}", file=sys.stderr)
    print(f"hint: {hint}", file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps({"error": {"code": code, "message": message, "hint": hint}}))
    return USAGE_ERROR


def one_line(text: str) -> str:
    """`text` without line breaks."""
    return " ".join(text.split())


if __name__ == "__main__":
    main()
