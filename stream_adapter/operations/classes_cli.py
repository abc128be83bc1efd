"""The commands on classes, thin."""

from pathlib import Path
from typing import Annotated

import typer

from stream_adapter.operations.cli import AsJson, ConfigFile, load_config
from stream_adapter.output_file import is_standard_output
from stream_adapter.standard_streams import confirm, say

classes_app = typer.Typer(help="Class names and their text vectors, also while workers run.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Names = Annotated[list[str], typer.Argument(help="Class names.", show_default=False)]
_IN_FORCE = "workers that run have it within about a second"


@classes_app.command("build")
def classes_build(
    file: ConfigFile,
    output: Annotated[Path, typer.Option(help="The .npz file to write.")] = Path("classes.npz"),
) -> None:
    """Embed the vocabulary's prompts once, into a file for `vocabulary.vectors`."""
    from stream_adapter.encode.loading import load_models
    from stream_adapter.encode.vocabulary_file import save_vocabulary

    loaded = load_config(file)
    encoder, vocabulary = load_models(loaded.encoder, loaded.vocabulary)
    save_vocabulary(output, vocabulary, fingerprint=encoder.fingerprint)
    written = f"{len(vocabulary.class_names)} classes, {vocabulary.d} dimensions, written to {output}"
    say(written, err=is_standard_output(output))


@classes_app.command("list")
def classes_list(file: ConfigFile, as_json: AsJson = False) -> None:
    """Show every name: classes, other names of classes, and what was removed; who said so last."""
    from stream_adapter.operations import classes, showing

    showing.show_classes(classes.KnownClasses(load_config(file)).lines(), as_json=as_json)


@classes_app.command("add")
def classes_add(
    file: ConfigFile,
    names: Names,
    prompt: Annotated[
        list[str] | None, typer.Option(help="Describes it, in place of the templates; {} is its name. More than once.")
    ] = None,
    vector: Annotated[Path | None, typer.Option(help="An .npy file with its text vector, of length 1.")] = None,
    canary: Annotated[bool | None, typer.Option(help="Whether it is scored and never learned.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="It is a class already, and gets another text or canary flag.")
    ] = False,
) -> None:
    """Add classes; their text vectors are made here, by the configured model."""
    from stream_adapter.operations import classes

    said = classes.add_classes(load_config(file), names, prompts=prompt, vector=vector, canary=canary, replace=replace)
    say(f"{'changed' if replace else 'added'} {', '.join(one.name for one in said)}; {_IN_FORCE}")


@classes_app.command("rename")
def classes_rename(
    file: ConfigFile,
    name: Annotated[str, typer.Argument(help="A class.")],
    to: Annotated[str, typer.Argument(help="What it is called from now on.")],
) -> None:
    """Give a class another name: it keeps its anchors and its text, and labels with the old name mean it."""
    from stream_adapter.operations import classes

    classes.rename_class(load_config(file), name, to)
    say(f"{name} is {to} now; {_IN_FORCE}")


@classes_app.command("merge")
def classes_merge(
    file: ConfigFile,
    names: Names,
    into: Annotated[str, typer.Option(help="The class that they are part of from now on.")],
) -> None:
    """Make classes part of another one: their anchors are its, and labels with their names mean it."""
    from stream_adapter.operations import classes

    classes.merge_classes(load_config(file), names, into)
    say(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} part of {into} now; {_IN_FORCE}")


@classes_app.command("remove")
def classes_remove(file: ConfigFile, names: Names, yes: Yes = False) -> None:
    """Take classes out: nothing is predicted as one any more, and their anchors are deleted."""
    from stream_adapter.operations import classes

    loaded = load_config(file)
    counts = classes.anchors_of(loaded, names)
    shown = ", ".join(f"{name} ({number} anchors)" for name, number in counts.items())
    if not yes:
        confirm(f"Remove {shown}? The anchors are deleted; merging keeps them.")
    classes.remove_classes(loaded, names)
    say(f"removed {shown}; {_IN_FORCE}, and delete the anchors 10 s later")
