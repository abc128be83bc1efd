"""The tutorial's commands and files are ones that the package takes; `make tutorial-test` walks through it."""

import re
import shlex

import typer

from stream_adapter.cli import app
from stream_adapter.config import parse
from tests.tutorial import blocks

COMMANDS = [
    line
    for block in blocks()
    for line in re.findall(
        r"(?:^|; )(stream-adapter .*)$", re.sub(r"<<'(\w+)'.*?^\1$", "", block.commands, flags=re.M | re.S), re.M
    )
]


def test_there_is_something_to_type() -> None:
    assert len(list(blocks())) > 25
    assert len(COMMANDS) > 15


def test_every_command_is_one_that_the_package_takes() -> None:
    root = typer.main.get_command(app)
    for line in COMMANDS:
        words = shlex.split(line.partition("|")[0])[1:]
        command, parent = root, None
        while hasattr(command, "commands"):  # down to the command itself, past its groups
            name = words.pop(0)
            assert name in command.commands, line
            command = command.commands[name]
        command.make_context(command.name, words, parent=parent)  # refuses what it does not take


def test_the_configuration_is_valid() -> None:
    (text,) = [
        found for block in blocks() for found in re.findall(r"<<'YAML'\n(.*?)^YAML$", block.commands, re.M | re.S)
    ]
    config = parse(text)
    assert config.adapter.canaries == ("pink circle",)
    assert set(config.adapter.canaries) < set(config.vocabulary.classes or ())


def test_its_scripts_are_python() -> None:
    scripts = [
        text for block in blocks() for text in re.findall(r"<<'PYTHON'\n(.*?)^PYTHON$", block.commands, re.M | re.S)
    ]
    assert len(scripts) == 3
    for script in scripts:
        compile(script, "tutorial.md", "exec")
