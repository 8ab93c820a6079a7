"""Forms of pages, as a browser sends them unchanged."""

from html.parser import HTMLParser


def form_of(html: str, action: str) -> dict[str, str]:
    """The fields with their values of the form with this end of its action."""
    parser = _Form(action)
    parser.feed(html)
    assert parser.found, f"no form with the action {action}"
    return parser.fields


class _Form(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self._action = action
        self._inside = self.found = False
        self._select = self._area = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = given.get("action", "").endswith(self._action)
            self.found |= self._inside
        if not self._inside or not (name := given.get("name", self._select)):
            return
        if tag == "select":
            self._select = name
        elif tag == "option" and (name not in self.fields or "selected" in given):
            self.fields[name] = given.get("value", "")
        elif tag == "textarea":
            self._area, self.fields[name] = name, ""
        elif tag == "input" and (
            given.get("type") not in {"checkbox", "radio"} or "checked" in given
        ):
            self.fields[name] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._inside and self._area:
            self.fields[self._area] += data
