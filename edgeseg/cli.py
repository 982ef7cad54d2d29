"""The command line. One table: command -> module, imported on use."""

from __future__ import annotations

import importlib
import io
import logging
import sys
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from edgeseg import __version__
from edgeseg.errors import EdgeSegError, UnknownNameError

COMMANDS = {
    "demo": "edgeseg.commands.demo",
    "models": "edgeseg.commands.models",
    "convert": "edgeseg.commands.convert",
    "stream": "edgeseg.commands.stream",
    "eval": "edgeseg.commands.eval",
    "bench": "edgeseg.commands.bench",
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

# typer brings its own copy of click from 0.26 on, and click's before: the bases of BadParameter are right in both.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
ClickException: type[Exception] = typer.BadParameter.__mro__[2]


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of a first day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command `cmd_name`. UnknownNameError, with the nearest name, where there is none."""
        if cmd_name not in COMMANDS:
            raise UnknownNameError.among("command", cmd_name, COMMANDS)
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(importlib.import_module(COMMANDS[cmd_name]).command)
        command = get_command(single)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup, add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.callback(invoke_without_command=True)
def edgeseg(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    verbose: bool = typer.Option(False, "-v", "--verbose", help="Log what is done to stderr."),
) -> None:
    """Convert a segmentation model to an engine, stream video through it, measure it.

    MODEL is a bundled name (edgeseg models) or a file. Sizes are WIDTHxHEIGHT.
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
    """Run; a user's error ends with one line of error, one of hint and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file may name what the terminal cannot show
    try:
        code = app(standalone_mode=False)
    except EdgeSegError as problem:
        code = fail(problem.message, problem.hint)
    except UsageError as problem:
        context = getattr(problem, "ctx", None)
        code = fail(message_of(problem), f"{context.command_path if context else 'edgeseg'} --help")
    except ClickException as problem:
        code = fail(message_of(problem), "edgeseg --help")
    except (KeyboardInterrupt, typer.Abort):
        print("stopped", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        code = 0
    except OSError as problem:  # a name that is too long, a folder that is closed, a full disk
        logging.getLogger(__name__).info("this ended the command", exc_info=True)
        code = fail(str(problem), "check the path, its permissions and the disk")
    sys.exit(code if isinstance(code, int) else 0)


def fail(message: str, hint: str) -> int:
    """Print an error as every command does."""
    print(f"error: {one_line(message)}", file=sys.stderr)
    print(f"hint: {one_line(hint)}", file=sys.stderr)
    return USAGE_ERROR


def message_of(problem: Any) -> str:
    """What a misused command line says."""
    return str(problem.format_message())


def one_line(text: str) -> str:
    """`text` without line breaks."""
    return " ".join(text.split())


if __name__ == "__main__":
    main()
