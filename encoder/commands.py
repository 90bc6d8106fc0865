"""``coverdex encoder``: train an encoder, and look at one.

Heavy imports stand inside the commands, so that ``--help`` stays quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .training import TrainingConfig, TrainingWorld
    from .training.run_report import StepReport
    from .training.trainer import Trainer

app = typer.Typer(
    name="encoder",
    help="Train encoders and look at their checkpoints.",
    no_args_is_help=True,
    add_completion=False,  # that of `coverdex` completes these, too
    pretty_exceptions_enable=False,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
NamesCheckpoints = Annotated[Path, typer.Argument(help="A TOML file that names checkpoints.")]
MadeFolder = Annotated[
    Path | None, typer.Option("--out", help="Folder to write; runs/NAME/checkpoint if left out.")
]
PreparedFolder = Annotated[
    Path | None,
    typer.Option("--prepared", help="Take the data from here, where `prepare` has written them."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: run.epochs=5"),
]
ReplaceCheckpoint = Annotated[bool, typer.Option("--overwrite", help="Replace a checkpoint.")]

#: Corpora that ``train`` knows by name, and their configurations.
CORPORA = {"da-tacos:coveranalysis": "coverdex-64-da-tacos.toml"}


@app.command()
def info(
    name: Annotated[
        str | None, typer.Argument(help="A shipped name or a checkpoint folder; all if left out.")
    ] = None,
    as_json: JsonOption = False,
    card: Annotated[bool, typer.Option("--card", help="Print the model card.")] = False,
) -> None:
    """Show what encoders there are, or one of them: id, input, size, model card."""
    from .checkpoint import load_checkpoint, shipped_checkpoints
    from .command_tables import print_encoders

    if card:
        typer.echo(load_checkpoint(name).card)
        return
    names = [name] if name is not None else list(shipped_checkpoints())
    described = [_described(load_checkpoint(each)) for each in names]
    if as_json:
        typer.echo(json.dumps(described if name is None else described[0], indent=2))
    else:
        print_encoders(described)


@app.command()
def train(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Argument(help="The training configuration, a TOML file.")
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            "--corpus",
            help="Instead of CONFIG: a corpus that Coverdex has a configuration for, "
            "da-tacos:coveranalysis.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Where the corpus lies, with --corpus.")
    ] = None,
    benchmark_ids: Annotated[
        Path | None,
        typer.Option(
            "--benchmark-ids",
            help="With --corpus: ids that must not be in it, CSV or the metadata of the benchmark "
            "subset; by default the metadata beside the data.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run; runs/NAME if left out.")
    ] = None,
    changes: Changes = None,
    prepared: PreparedFolder = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew where OUT holds a run, instead of going on.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train an encoder as a configuration says; go on where an earlier run was killed."""
    from .training import Trainer, read_config

    if (config is None) == (corpus is None):
        raise typer.BadParameter("give a configuration, or --corpus with --data")
    if config is None:
        assert corpus is not None
        config, of_corpus = _of_corpus(corpus, data, benchmark_ids)
        changes = [*of_corpus, *(changes or ())]
    elif data is not None or benchmark_ids is not None:
        raise typer.BadParameter("--data and --benchmark-ids go with --corpus; use --set data....")
    settings = read_config(config, changes=changes or ())
    folder = out or Path("runs") / settings.name
    trainer = Trainer(
        settings,
        folder,
        base=config.resolve().parent,
        world=_world(ctx.obj),
        prepared=prepared,
        fresh=fresh,
    )
    if trainer.step:
        _say(f"going on at step {trainer.step} of {trainer.n_steps} in {folder}")
    history = _run(trainer, settings)
    answer = {"checkpoint": str(trainer.folder.checkpoint), "result": history[-1]}
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        typer.echo(f"checkpoint in {answer['checkpoint']}")


def _of_corpus(corpus: str, data: Path | None, ids: Path | None) -> tuple[Path, list[str]]:
    """Give the configuration for a corpus and what changes in it: where the data are."""
    if corpus not in CORPORA:
        known = ", ".join(CORPORA)
        raise typer.BadParameter(f"no configuration for the corpus {corpus}; there is {known}")
    if data is None:
        raise typer.BadParameter(f"give the folder of {corpus} with --data")
    changes = [f"data.catalogue={json.dumps(str(data.resolve()))}"]
    if ids is not None:
        changes.append(f"data.benchmark_ids={json.dumps(str(ids.resolve()))}")
    return Path(__file__).parent / "training" / "configs" / CORPORA[corpus], changes


@app.command()
def prepare(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(help="The training configuration, a TOML file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    changes: Changes = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what was prepared there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read what simulated covers are drawn from, once for several runs or another machine."""
    from .training import read_config
    from .training.prepared_covers import prepare_covers

    settings = read_config(config, changes=changes or ())
    _say(f"reading what {settings.name} learns from, which may take minutes")
    materials = prepare_covers(
        settings,
        out,
        base=config.resolve().parent,
        world=_world(ctx.obj),
        overwrite=overwrite,
    )
    trained = materials.corpora.trained
    rendered = sum(len(each.tracks) for each in materials.rendered)
    for each in materials.rendered:
        for reason, count in each.tracks.left_out.items():
            _say(f"{each.origin['catalogue']}: {count:,} left out ({reason})")
    if as_json:
        counts = {"versions": trained.n_versions, "works": trained.n_works, "rendered": rendered}
        typer.echo(json.dumps({"prepared": str(out), **counts}, indent=2))
        return
    typer.echo(
        f"{trained.n_versions:,} versions of {trained.n_works:,} works and {rendered:,} rendered "
        f"performances in {out}"
    )


@app.command()
def average(
    ctx: typer.Context,
    config: NamesCheckpoints,
    out: MadeFolder = None,
    overwrite: ReplaceCheckpoint = False,
) -> None:
    """Average the weights of checkpoints that went on from the same ones."""
    from .training.soup import make_soup, read_soup

    settings = read_soup(config)
    folder = _place(settings.name, out, overwrite)
    made = make_soup(settings, base=config.resolve().parent, world=_world(ctx.obj))
    _write_made(made, folder, overwrite)


@app.command()
def join(
    ctx: typer.Context,
    config: NamesCheckpoints,
    out: MadeFolder = None,
    prepared: PreparedFolder = None,
    overwrite: ReplaceCheckpoint = False,
) -> None:
    """Join checkpoints into an ensemble whose embeddings are no longer than those of one."""
    from .training.joining import join as join_checkpoints
    from .training.joining import read_join

    settings = read_join(config)
    folder = _place(settings.name, out, overwrite)
    made = join_checkpoints(
        settings, base=config.resolve().parent, world=_world(ctx.obj), prepared=prepared
    )
    _write_made(made, folder, overwrite)


def _place(name: str, out: Path | None, overwrite: bool) -> Path:
    """Say where a checkpoint that is made from others goes; refuse a place that is taken."""
    from .checkpoint import check_place

    folder = out or Path("runs") / name / "checkpoint"
    check_place(folder, overwrite=overwrite)
    return folder


def _write_made(made: Checkpoint, folder: Path, overwrite: bool) -> None:
    """Write a checkpoint that was made from others, and say how good it is."""
    from .checkpoint import save_checkpoint

    save_checkpoint(made, folder, overwrite=overwrite)
    for each, figures in made.training["result"]["validation"].items():
        _say(f"MAP {figures['map']:.4f} on {each}")
    typer.echo(f"checkpoint in {folder}")


@app.command()
def search(
    ctx: typer.Context,
    designs: Annotated[Path, typer.Argument(help="A TOML file that says what is tried.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder in which each design gets one of its own.")
    ] = Path("runs/designs"),
    only: Annotated[
        list[str] | None, typer.Option("--design", help="Try this one alone; may be repeated.")
    ] = None,
    prepared: PreparedFolder = None,
    as_json: JsonOption = False,
) -> None:
    """Try designs of an encoder by short runs; go on where an earlier search was stopped."""
    from .command_tables import print_tried
    from .training.design_search import read_search, search_designs

    settings = read_search(designs)
    tried = []
    for each in search_designs(
        settings,
        out,
        base=designs.resolve().parent,
        world=_world(ctx.obj),
        prepared=prepared,
        only=only or (),
    ):
        _say(f"{each.design.name}: loss {each.row['loss']:.3f}, {each.row['seconds']:.0f} s")
        tried.append(each.to_dict())
    if as_json:
        typer.echo(json.dumps(tried, indent=2))
    else:
        print_tried(tried)


@app.command("training-list")
def training_list(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(help="The configuration that it was trained with.")],
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint's folder.")],
    changes: Changes = None,
    prepared: PreparedFolder = None,
) -> None:
    """Write what a checkpoint was trained on beside its weights, where it was made without."""
    from .training import read_config
    from .training.late_list import write_late_list

    seen = write_late_list(
        read_config(config, changes=changes or ()),
        checkpoint,
        base=config.resolve().parent,
        world=_world(ctx.obj),
        prepared=prepared,
    )
    typer.echo(f"{len(seen):,} performances of {seen.n_works:,} works listed in {checkpoint}")


def _world(obj: Any) -> TrainingWorld | None:
    """Get the world from typer's context, where a function that makes it may stand."""
    world: TrainingWorld | None = obj() if callable(obj) else obj
    return world


def _run(trainer: Trainer, config: TrainingConfig) -> list[dict[str, Any]]:
    """Run with a progress bar on a terminal and with lines where there is none."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        Remaining(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(
            config.name, total=trainer.n_steps, completed=trainer.step, loss=float("nan")
        )

        def on_step(report: StepReport) -> None:
            progress.update(task, completed=report.step, loss=report.loss)

        def on_epoch(row: Mapping[str, Any]) -> None:
            progress.console.print(_epoch_line(row), highlight=False, soft_wrap=True)
            _draw(trainer, config)

        return trainer.run(on_step=on_step, on_epoch=on_epoch).history


def _draw(trainer: Trainer, config: TrainingConfig) -> None:
    """Draw the curves where matplotlib is installed; training does not need it."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is not None:
        from .training.curves import draw_curves

        draw_curves(trainer.history, trainer.folder.curves, title=config.name)


def _epoch_line(row: Mapping[str, Any]) -> str:
    parts = [f"epoch {row['epoch']}"]
    for name, value in row.items():
        if isinstance(value, float) and name not in ("learning_rate", "seconds", "waiting"):
            parts.append(f"{name} {value:.4f}")
    for name, figures in row.get("validation", {}).items():
        parts.append(f"MAP {figures['map']:.4f} on {name}")
    parts.append(f"{row['seconds']:.0f} s")
    if row.get("waiting", 0) >= 1:  # epochs of earlier versions have none
        parts.append(f"{row['waiting']:.0f} s of this epoch for batches")
    return "  ".join(parts)


def _described(checkpoint: Checkpoint) -> dict[str, Any]:
    from .encoder import Encoder

    encoder = Encoder(checkpoint)
    return {
        "name": encoder.name,
        "id": encoder.id,
        "kind": str(encoder.kind),
        "dimension": encoder.dimension,
        "parameters": encoder.n_parameters,
        "architecture": dict(checkpoint.architecture),
        "preprocessing": checkpoint.preprocessing.to_config(),
        "result": (checkpoint.training.get("result") or {}).get("validation"),
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr)
