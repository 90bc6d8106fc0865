r"""The ``coverdex`` command: the one place that knows all five folders.

Each folder brings its own commands (``<folder>/commands.py``); this module mounts them under their
names and turns errors into exit codes. A command's module is imported when that command is called,
and imports torch, faiss and the like only inside the command, so ``coverdex --help`` stays quick.

Exit codes
----------
====  ==========================================================
0     done
1     failed: the line on stderr says what, why and what to do
2     the command line itself is wrong
3     something named does not exist (performance, column, file, index)
4     an index and an encoder that do not belong together
130   interrupted from the keyboard
====  ==========================================================

What a command answers goes to stdout (with ``--json``: one JSON document and nothing else);
progress, warnings and errors go to stderr. Signs that the encoding of stdout does not have, such as
the ü of a title where it is ASCII, are escaped as JSON does: ``F\u00fcr Elise``.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command as click_command_of

from . import __version__
from .encoder.errors import CoverdexError, IncompatibleError, NotFoundError

if TYPE_CHECKING:
    from .encoder.training import TrainingWorld

#: name on the command line -> (module, attribute): a typer app, or a function that is a command.
COMMANDS = {
    "index": ("indexer.commands", "app"),
    "embed": ("indexer.commands", "embed"),
    "query": ("search.commands", "query"),
    "evaluate": ("benchmarks.commands", "evaluate"),
    "serve": ("service.commands", "serve"),
    "encoder": ("encoder.commands", "app"),
    "benchmark": ("benchmarks.commands", "benchmark"),
    "datasets": ("benchmarks.commands", "datasets"),
}

#: Commands of one folder that stand in another folder's group, because imports run one way only:
#: comparing encoders takes the evaluation, which the encoder's folder must not know.
GUESTS = {
    "encoder": {"evaluate": ("benchmarks.baselines.commands", "evaluate_systems")},
}


EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_INCOMPATIBLE = 4
EXIT_INTERRUPTED = 130


def _load(module: str, attribute: str) -> Any:
    """Import one command as what typer's groups hold."""
    found = getattr(import_module(f".{module}", __package__), attribute)
    if isinstance(found, typer.Typer):
        return click_command_of(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command()(found)
    return click_command_of(alone)


class CommandsOnDemand(TyperGroup):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (typer's signature)
        """Name the commands in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import and return the command ``cmd_name``; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = _load(*COMMANDS[cmd_name])
        command.name = cmd_name
        for name, place in GUESTS.get(cmd_name, {}).items():
            command.commands[name] = _load(*place)
            command.commands[name].name = name
        return command


app = typer.Typer(
    name="coverdex",
    cls=CommandsOnDemand,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"coverdex {__version__}")
        raise typer.Exit


@app.callback()
def coverdex(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Find the cover versions of a musical track.

    A trained encoder turns the HPCP chroma of every performance into one
    64-dimensional vector, a FAISS index finds the nearest ones, and MAP and
    MR1 say how well that works.
    """


def exit_code_of(error: CoverdexError) -> int:
    """Return the exit code by which the command line reports ``error``."""
    if isinstance(error, NotFoundError):
        return EXIT_NOT_FOUND
    if isinstance(error, IncompatibleError):
        return EXIT_INCOMPATIBLE
    return EXIT_FAILED


def training_world() -> TrainingWorld:
    """Hand the training commands what lies above their folder: catalogues and the evaluation."""
    from .benchmarks import evaluate_embeddings
    from .benchmarks.work_lists import read_work_list
    from .encoder.training import TrainingWorld
    from .indexer import open_catalogue

    return TrainingWorld(
        open_catalogue=open_catalogue,
        evaluate_embeddings=evaluate_embeddings,
        read_work_list=read_work_list,
    )


def escape_as_json(error: UnicodeError) -> tuple[str, int]:
    r"""Escape what an encoding does not have: as ``\u00fc``, beyond U+FFFF as two surrogates.

    What is printed is a title on a terminal or in a JSON document, and in both this can be read
    back. Python's own ``backslashreplace`` writes ``\xfc``, which JSON does not know.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    units = (missing[at : at + 2].hex() for at in range(0, len(missing), 2))
    return "".join(rf"\u{unit}" for unit in units), error.end


def prepare_streams() -> None:
    """Make stdin, stdout and stderr fit for any command.

    A stream that the caller closed leads nowhere, so that no file that a command opens gets its
    number, and with it what a library prints. What stdout cannot encode is escaped. ``COLUMNS=0``
    is taken as not set, as a terminal that doesn't know its width has it: rich would print nothing.
    """
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False)
            setattr(sys, name, stream)
    if isinstance(sys.stdout, io.TextIOWrapper):
        utf_8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        if sys.stdout.errors == "strict" or not utf_8:
            codecs.register_error("coverdex.json", escape_as_json)
            sys.stdout.reconfigure(errors="coverdex.json")


def refuse_empty(arguments: Sequence[str]) -> None:
    """End with a wrong usage where an argument is empty.

    Nothing means anything by that; as a path it would be the working folder. Who gives it has an
    unset variable in a script, as in ``--out "$OUT"``.
    """
    for before, argument in zip(["coverdex", *arguments], arguments, strict=False):
        name, given, value = argument.partition("=")
        if argument == "" or (name.startswith("--") and given and value == ""):
            where = f"the value of {name}" if given else f"the argument after {before}"
            print(f"coverdex: {where} is empty; is a variable not set?", file=sys.stderr)
            sys.exit(EXIT_USAGE)


def main() -> None:
    """Run the command line of this process and exit with its code."""
    prepare_streams()
    refuse_empty(sys.argv[1:])
    try:
        app(prog_name="coverdex", obj=training_world)
    except CoverdexError as error:
        print(f"coverdex: {error}", file=sys.stderr)
        sys.exit(exit_code_of(error))
    except OSError as error:
        # The machine said no (disk full, no permission): its own words, not a traceback.
        print(f"coverdex: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        print("coverdex: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as end:  # which typer makes of an interrupt, without a word
        if end.code == EXIT_INTERRUPTED:
            print("coverdex: interrupted", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
