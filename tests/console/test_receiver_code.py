"""The code that customers copy accepts every delivery and no forgery, in each language."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE
from uuid import uuid4

import orjson
import pytest

from daemon.admin.console.receiver_code import LANGUAGES, SCHEMES, receiver_code, source
from daemon.core.wire.signing import request_headers
from daemon.runtime.package_data import package_file
from tests.support.javascript import NODE

SECRET, OTHER = "whsec_bXkgc2VjcmV0IGtleQ==", "whsec_YW5vdGhlciBrZXk="
BODY = '{"id":"evt_1","data":{"name":"Grüße"}}'
# Reads the body and the headers as JSON from the standard input, and prints whether they are ours.
MAIN = {
    "python": """
import email.message, json, sys
given = json.load(sys.stdin)
headers = email.message.Message()
for name, value in given["headers"].items():
    headers[name] = value
print(json.dumps(bool(is_ours(given["body"].encode(), headers))))
""",
    "node": """
const given = JSON.parse(require("node:fs").readFileSync(0));
const headers = {};
for (const [name, value] of Object.entries(given.headers)) headers[name.toLowerCase()] = value;
console.log(JSON.stringify(isOurs(Buffer.from(given.body), headers)));
""",
    "go": """
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	var given struct {
		Body    string
		Headers map[string]string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	headers := http.Header{}
	for name, value := range given.Headers {
		headers.Set(name, value)
	}
	fmt.Println(IsOurs([]byte(given.Body), headers))
}
""",
}


def signed(*, secret: str = SECRET, previous: str | None = None, age: int = 0) -> dict[str, str]:
    return dict(
        request_headers(
            body=BODY.encode(),
            message_id="evt_1",
            event_type="email.opened",
            delivery_id=uuid4(),
            timestamp=int(time.time()) - age,
            secret=secret,
            previous_secret=previous,
        )
    )


def command(language: str, scheme: str, folder: Path) -> list[str]:
    """Write the program that asks the code; returns how it is run."""
    code = source(language, scheme)
    if language == "python":
        (folder / "main.py").write_text(code + MAIN[language])
        return [shutil.which("python3") or "python3", str(folder / "main.py")]
    if language == "node":
        (folder / "main.js").write_text(code + MAIN[language])
        return [str(NODE), str(folder / "main.js")]
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not Path(go).exists():
        pytest.skip("no Go on this machine")
    (folder / "code.go").write_text(code.replace("package receiver", "package main"))
    (folder / "main.go").write_text(MAIN[language])
    (folder / "go.mod").write_text("module receiver\n\ngo 1.20\n")
    environment = os.environ | {"GOPROXY": "off", "GOTOOLCHAIN": "local"}
    build = [go, "build", "-o", "program", "."]
    subprocess.run(build, cwd=folder, env=environment, check=True)
    return [str(folder / "program")]


@pytest.mark.parametrize("scheme", [name for name, _ in SCHEMES])
@pytest.mark.parametrize(
    "language",
    [
        "python",
        "node",
        # The first build compiles the library, which takes minutes.
        pytest.param("go", marks=[pytest.mark.full, pytest.mark.timeout(900)]),
    ],
)
def test_the_code_accepts_deliveries_and_refuses_forgeries(
    language: str, scheme: str, tmp_path: Path
) -> None:
    run = command(language, scheme, tmp_path)

    def accepts(headers: Mapping[str, str], body: str = BODY) -> bool:
        given = orjson.dumps({"headers": headers, "body": body})
        environment = {"WEBHOOK_SECRET": SECRET}
        done = subprocess.run(run, input=given, env=environment, stdout=PIPE, check=True)
        return bool(orjson.loads(done.stdout))

    assert accepts(signed())
    # With the former secret while it is rotated, and with the new one.
    assert accepts(signed(secret=OTHER, previous=SECRET))
    assert accepts(signed(previous=OTHER))
    assert not accepts(signed(secret=OTHER))
    assert not accepts(signed(), body=BODY.replace("1", "2"))
    assert not accepts({})
    assert accepts(signed(age=3600)) == (scheme == "signature")


def test_the_documentation_shows_the_same_code() -> None:
    guide = package_file("docs/receivers.md").read_text()

    missing = [
        (language, scheme)
        for language, _ in LANGUAGES
        for scheme, _ in SCHEMES
        if source(language, scheme) not in guide
    ]
    assert missing == []


def test_the_code_has_the_path_of_the_webhook_unless_it_could_end_a_string() -> None:
    def node_code(url: str) -> str:
        return next(each.text for each in receiver_code(url) if each.id == "node-signature")

    assert 'app.post("/hooks/crm"' in node_code("https://example.com/hooks/crm?x=1")
    assert 'app.post("/webhooks/penguinmails"' in node_code('https://example.com/a");alert(1)//')
