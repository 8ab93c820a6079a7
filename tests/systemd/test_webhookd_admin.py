"""
`webhookd-admin` runs commands with the user and the credentials of the systemd unit.

`systemctl` and `systemd-run` are stand-ins: the first prints a unit, the second does with a command
what systemd would do with these properties, except for changing the user.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.commandline import ROOT, CompletedCommand, environment

UNIT = (ROOT / "systemd" / "penguinmails-webhooks.service").read_text()
SYSTEMD_RUN = """\
#!{python}
import os, pathlib, sys
end = sys.argv.index("--")
pathlib.Path("{folder}/options").write_text("\\n".join(sys.argv[1:end]))
for option in sys.argv[1:end]:
    _, name, value = (option + "==").split("=", 2)
    value = value.rstrip("=")
    if name == "LoadCredential":
        credential, source = value.split(":")
        target = pathlib.Path("{folder}/credentials", credential)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(pathlib.Path(source).read_bytes())
        os.environ["CREDENTIALS_DIRECTORY"] = "{folder}/credentials"
    elif name == "Environment":
        os.environ.update([value.strip('"').split("=", 1)])
os.environ.pop("WEBHOOKD_UNIT")  # a unit inherits no variable of the caller
os.chdir("/")
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
"""


def program(path: Path, text: str) -> Path:
    """Write a program that can be run."""
    path.write_text(text)
    path.chmod(0o755)
    return path


async def admin(
    folder: Path, unit: str, *arguments: str, name: str = "penguinmails-webhooks.service"
) -> CompletedCommand:
    """Run the wrapper where systemd has this unit, whose program is ours."""
    webhookd = program(folder / "webhookd", f'#!/bin/sh\nexec {sys.executable} -m daemon "$@"\n')
    (folder / "unit").write_text(
        unit.replace("/opt/penguinmails-webhooks/bin/webhookd", f"{webhookd}")
    )
    program(folder / "id", '#!/bin/sh\n[ "$2" != nobody-there ]\n')
    program(folder / "systemctl", f'#!/bin/sh\n[ "$1" = cat ] && cat {folder}/unit\n')
    program(folder / "systemd-run", SYSTEMD_RUN.format(python=sys.executable, folder=folder))
    process = await asyncio.create_subprocess_exec(
        ROOT / "systemd" / "webhookd-admin",
        *arguments,
        env=environment(
            {
                "PATH": f"{folder}:{os.environ['PATH']}",
                "HOME": str(folder),
                "WEBHOOKD_UNIT": name,
            }
        ),
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return CompletedCommand(process.returncode, out.decode(), err.decode())


async def test_a_command_has_the_credentials_and_the_user_of_the_unit(
    tmp_path: Path, database: str
) -> None:
    (tmp_path / "url").write_text(database)
    drop_in = (
        f"# /etc/systemd/system/x.service.d/override.conf\n[Service]\n# User=nobody\n"
        f"LoadCredential = \\\n database__url:{tmp_path}/url\n"
        'Environment="WEBHOOKD_LOG__LEVEL=error"\n'
    )

    done = await admin(tmp_path, UNIT + drop_in, "list", "--state", "active")

    name = urlsplit(database)
    options = (tmp_path / "options").read_text().splitlines()
    assert (done.code, done.out) == (0, "no webhook is active\n"), done
    assert done.err == (
        f"webhookd: database postgresql://{name.username}@{name.hostname}:{name.port}{name.path}\n"
    )
    assert "--property=User=penguinmails-webhooks" in options
    assert "--property=User=nobody" not in options
    assert f"--property=LoadCredential=database__url:{tmp_path}/url" in options
    assert {"--wait", "--pipe", "--pty"} <= set(options)


async def test_a_unit_without_credentials_is_said_so_and_nothing_is_answered(
    tmp_path: Path,
) -> None:
    done = await admin(tmp_path, UNIT, "migrate")

    first, second = done.err.splitlines()
    assert (done.code, done.out) == (2, "")
    assert first == (
        "webhookd-admin: penguinmails-webhooks.service has no credentials:"
        " its configuration file and environment alone name the database"
    )
    assert second.startswith("webhookd: there is no database: database.url is not set")


async def test_without_a_program_in_the_unit_the_wrapper_refuses(tmp_path: Path) -> None:
    done = await admin(tmp_path, "[Service]\nUser=me\n", "check")

    assert (done.code, done.out) == (2, "")
    assert done.err == "webhookd-admin: penguinmails-webhooks.service has no ExecStart\n"


async def test_a_user_that_does_not_exist_is_named(tmp_path: Path) -> None:
    done = await admin(tmp_path, UNIT + "[Service]\nUser=nobody-there\n", "check")

    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "webhookd-admin: the user nobody-there of penguinmails-webhooks.service does not exist:"
        " run systemd-sysusers\n"
    )


async def test_an_instance_of_the_template_has_its_own_configuration(tmp_path: Path) -> None:
    template = (ROOT / "systemd" / "webhookd@.service").read_text()
    name = "webhookd@eu.service"

    done = await admin(tmp_path, template, "check", name=name)

    options = (tmp_path / "options").read_text().splitlines()
    file = "/etc/penguinmails-webhooks/eu.toml"
    assert f"--property=Environment=WEBHOOKD_CONFIG={file}" in options
    assert (done.code, file in done.err) == (2, True)
