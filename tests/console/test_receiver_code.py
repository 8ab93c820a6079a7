"""The code that customers copy from the console (tests/docs/test_receivers.py runs it)."""

import pytest

from daemon.admin.console.receiver_code import SAMPLE_PATH, receiver_code


def test_the_code_has_the_path_of_the_webhook_unless_it_could_end_a_string() -> None:
    def node_code(url: str) -> str:
        return next(each.text for each in receiver_code(url) if each.id == "node-signature")

    assert 'app.post("/hooks/crm"' in node_code("https://example.com/hooks/crm?x=1")
    assert 'app.post("/a/b~c"' in node_code("https://[2001:db8::1]:8443/a/b~c")
    assert 'app.post("/"' in node_code("HTTPS://example.com")
    assert 'app.post("/webhooks/penguinmails"' in node_code('https://example.com/a");alert(1)//')


@pytest.mark.parametrize(
    "url",
    [
        *("http://[", "http://[::1", "https://[v1.x]]/a#", "", "ftp://example.com/a", "//a"),
        *("https://example.com/a$(id)", "https://example.com/a\nb", "https://example.com/\u2028"),
    ],
)
def test_a_url_that_the_application_stored_and_that_is_none_keeps_the_sample(url: str) -> None:
    code = {each.id: each.text for each in receiver_code(url)}

    assert code == {each.id: each.text for each in receiver_code(f"https://a.b{SAMPLE_PATH}")}
