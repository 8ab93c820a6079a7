"""The code that customers copy from the console (tests/docs/test_receivers.py runs it)."""

from daemon.admin.console.receiver_code import receiver_code


def test_the_code_has_the_path_of_the_webhook_unless_it_could_end_a_string() -> None:
    def node_code(url: str) -> str:
        return next(each.text for each in receiver_code(url) if each.id == "node-signature")

    assert 'app.post("/hooks/crm"' in node_code("https://example.com/hooks/crm?x=1")
    assert 'app.post("/webhooks/penguinmails"' in node_code('https://example.com/a");alert(1)//')
