"""`webhookd files`: the units, SQL, documentation and examples that the package contains."""

import json as json_module
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import JsonOption, switch
from daemon.core.errors import CopyError, UsageError


@app.command()
def files(
    name: Annotated[
        str | None,
        typer.Argument(help="Print this file.", show_default=False, metavar="[NAME]"),
    ] = None,
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Copy it to this folder or file instead.", show_default=False, metavar="PATH"
        ),
    ] = None,
    force: Annotated[bool, switch("--force", "Let --to replace an existing file.")] = False,
    json: JsonOption = False,
) -> None:
    """
    List, print or copy the files that the package contains.

    They are the units, SQL, the example configuration, the documentation, the man page and shell
    completions. The last part of a NAME is enough where no other file has it.
    """
    if name is None and (to is not None or force):
        raise UsageError("--to, --force: need the name of a file")
    if name is not None and json:
        raise UsageError("--json: lists files, and takes no name")
    if name is None:
        _list(as_json=json)
    elif to is None:
        sys.stdout.buffer.write(_path_of(name).read_bytes())
    else:
        _copy(_path_of(name), to, replace=force)


def _list(*, as_json: bool) -> None:
    from daemon.cli.support.console import plain_output
    from daemon.cli.support.tables import table
    from daemon.runtime.package_data import package_root, shipped_files

    root, uses = package_root(), shipped_files()
    plain_output()
    if as_json:
        listed = [
            {"name": name, "path": str(root / name), "use": use} for name, use in uses.items()
        ]
        print(json_module.dumps(listed))
        return
    print(f"in {root}:")
    print("\n".join(table([*uses.items()])))


def _path_of(name: str) -> Path:
    """Find a file by its name, or by the last part of it. Raises UsageError."""
    from daemon.runtime.package_data import package_root, shipped_files

    names = shipped_files()
    fitting = [name] if name in names else [each for each in names if Path(each).name == name]
    if len(fitting) > 1:
        raise UsageError(f"{name} is one of: {', '.join(fitting)}")
    if not fitting:
        raise UsageError(f"there is no file {name}: `webhookd files` lists them")
    return package_root() / fitting[0]


def _copy(source: Path, target: Path, *, replace: bool) -> None:
    """Copy with the mode, and make folders. Raises UsageError if it exists, CopyError."""
    path = target / source.name if target.is_dir() else target
    if path.exists() and not replace:
        raise UsageError(f"{path} exists already: --force replaces it")
    try:
        # /etc/sysusers.d is not there on Debian, for instance.
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
    except OSError as error:
        raise CopyError(f"cannot write {path}: {error.strerror}") from None
    print(path)
