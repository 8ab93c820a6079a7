"""
Conditions on event data, inverted: from a path and a value to the webhooks that want it.

The rule: an event costs what matches it and what it contains, not how many conditions there are.
Each webhook is found by one of its conditions only, the rarest; the others are checked afterwards.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from daemon.core.matching.event_data import ComparisonKey, keys_among, objects_among, pieces
from daemon.core.matching.matcher import Condition, Matcher
from daemon.core.matching.paths import Path, members_of, other_spellings
from daemon.core.model.ids import WebhookId

Found = dict[WebhookId, Matcher]


@dataclass(slots=True)
class _Node:
    """
    A place in the data: `by_value` has the webhooks that want a value there.

    `spelled` has the segments of `children` by every name that they may have in the data.
    """

    children: dict[str, "_Node"] = field(default_factory=dict)
    spelled: dict[str, set[str]] = field(default_factory=dict)
    by_value: dict[ComparisonKey, Found] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether no webhook is found by this place or by one below."""
        return not self.children and not self.by_value


class ConditionIndex:
    """The webhooks of one tenant that have conditions, each with its matcher."""

    def __init__(self) -> None:
        self._root = _Node()
        self._found_by: dict[WebhookId, Condition] = {}

    def __len__(self) -> int:
        return len(self._found_by)

    def add(self, webhook_id: WebhookId, matcher: Matcher) -> None:
        """Add a webhook that is not in the index; its matcher has at least one condition."""
        condition = min(matcher.conditions, key=self._cost)
        self._found_by[webhook_id] = condition
        for path, value in _places(condition):
            self._node(path).by_value.setdefault(value, {})[webhook_id] = matcher

    def remove(self, webhook_id: WebhookId) -> None:
        """Remove a webhook, if it is in the index."""
        condition = self._found_by.pop(webhook_id, None)
        if condition is None:
            return
        for path, value in _places(condition):
            _remove(self._root, path, value, webhook_id)

    def search(self, data: object, found: Found) -> Iterator[None]:
        """Add the webhooks of which the indexed condition holds for this data, in pieces."""
        yield from _search(self._root, [data], found)

    def _cost(self, condition: Condition) -> tuple[int, int]:
        """How many webhooks are found already where this condition would be, and its size."""
        webhooks = sum(len(self._webhooks_at(path, value)) for path, value in _places(condition))
        return webhooks, len(condition.values)

    def _webhooks_at(self, path: Path, value: ComparisonKey) -> Found:
        node: _Node | None = self._root
        for segment in path:
            node = node.children.get(segment) if node is not None else None
        return {} if node is None else node.by_value.get(value, {})

    def _node(self, path: Path) -> _Node:
        node = self._root
        for segment in path:
            if segment not in node.children:
                node.children[segment] = _Node()
                for name in (segment, *other_spellings(segment)):
                    node.spelled.setdefault(name, set()).add(segment)
            node = node.children[segment]
        return node


def _places(condition: Condition) -> Iterator[tuple[Path, ComparisonKey]]:
    for path in condition.paths:
        for value in condition.values:
            yield path, value


def _search(node: _Node, reached: list[object], found: Found) -> Iterator[None]:
    # A piece of an array is searched to the end before the next: any element may match.
    for piece in pieces(reached):
        if node.by_value:
            for key in keys_among(piece):
                found.update(node.by_value.get(key, {}))
        if node.children and (objects := objects_among(piece)):
            for segment in _segments(node, objects):
                if members := members_of(objects, segment):
                    yield from _search(node.children[segment], members, found)
        yield


def _segments(node: _Node, objects: list[dict[str, object]]) -> Iterable[str]:
    """The children that may be in the objects: by whichever there are fewer of."""
    if len(node.children) <= sum(map(len, objects)):
        return node.children
    names = {name for value in objects for name in value if name in node.spelled}
    return {segment for name in names for segment in node.spelled[name]}


def _remove(node: _Node, path: Path, value: ComparisonKey, webhook_id: WebhookId) -> None:
    if not path:
        webhooks = node.by_value.get(value, {})
        webhooks.pop(webhook_id, None)
        if not webhooks:
            node.by_value.pop(value, None)
        return
    segment = path[0]
    child = node.children.get(segment)
    if child is None:
        return
    _remove(child, path[1:], value, webhook_id)
    if child.empty:
        del node.children[segment]
        for name in (segment, *other_spellings(segment)):
            node.spelled.get(name, set()).discard(segment)
            if not node.spelled.get(name):
                node.spelled.pop(name, None)
