"""Lock what the image installs, with hashes: `make lock`.

One resolution of `pyproject.toml` is split by where a wheel comes from: `base.txt` is the same in both variants of the
image, `torch-cuda.txt` and `torch-cpu.txt` are the rest. `--cpu` reads pytorch's index, which has the CPU wheels that
PyPI lacks; without it `torch-cpu.txt` stays as it is, and must be of the same version.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TARGET = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28")
CUDA = re.compile(r"(torch|torchvision|cuda-.*|nvidia-.*)==")
LEFT_OUT = re.compile(r"triton==")  # 1 GB for torch.compile, which the worker does not use; torch runs without it
HEADER = "# Made by `make lock`; do not edit. Python 3.11 on Linux x86-64.\n"


def compiled(*arguments: str, text: str | None = None) -> dict[str, str]:
    """What uv resolves: the first line of each requirement, which has its name and version, to its whole block."""
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--generate-hashes", *TARGET, *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603
    if done.returncode != 0:
        sys.exit(f"`{' '.join(command)}` failed:\n{done.stderr}")
    blocks = re.findall(r"^\S.*\n(?:[ ].*\n)*", done.stdout, re.MULTILINE)
    return {block.splitlines()[0]: block for block in blocks if "==" in block.splitlines()[0]}


def write(name: str, blocks: dict[str, str]) -> None:
    """Write one lock file."""
    (HERE / name).write_text(HEADER + "".join(blocks.values()))
    print(f"{name}: {len(blocks)} packages")  # noqa: T201


def main() -> None:
    """Write the lock files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", nargs="?", const=CPU_INDEX, metavar="INDEX", help="also lock the CPU wheels")
    parser.add_argument("--upgrade", action="store_true", help="to the newest versions that pyproject.toml allows")
    options = parser.parse_args()

    # What is locked stays, unless an upgrade is asked for.
    kept = () if options.upgrade else ("--constraint=deploy/requirements/base.txt",)
    found = compiled("pyproject.toml", "--extra=worker", "--constraint=deploy/requirements/torch.in", *kept)
    write("torch-cuda.txt", {line: block for line, block in found.items() if CUDA.match(line)})
    rest = {line: block for line, block in found.items() if not CUDA.match(line) and not LEFT_OUT.match(line)}
    write("base.txt", rest)
    write("build.txt", compiled("deploy/requirements/build.in", "--constraint=deploy/requirements/base.txt"))
    if options.cpu is not None:
        wanted = "".join(
            f"{name}=={version}+cpu\n"
            for name, version in re.findall(r"^(torch\w*)==(\S+)$", (HERE / "torch.in").read_text(), re.MULTILINE)
        )
        write("torch-cpu.txt", compiled("-", "--no-deps", f"--default-index={options.cpu}", text=wanted))


if __name__ == "__main__":
    main()
