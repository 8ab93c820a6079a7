"""
Conditions on event data, inverted: from a path and a value to the webhooks that want it.

The rule: an event costs what matches it and what it contains, not how many conditions there are.
Each webhook is found by one of its conditions only, the rarest; the others are checked afterwards.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from daemon.core.matching import memory
from daemon.core.matching.event_data import ComparisonKey, keys_among, objects_among, pieces
from daemon.core.matching.matcher import Condition, Matcher
from daemon.core.matching.paths import Path, members_of, other_spellings
from daemon.core.model.ids import WebhookId

# Of a condition by which a webhook is found. To ask a matcher costs an event no more if its
# condition has thousands of values, but so many entries would take far more memory than it does.
MOST_VALUES = 100

Found = dict[WebhookId, Matcher]
Entry = tuple[WebhookId, Matcher]


@dataclass(slots=True)
class _Node:
    """
    A place in the data: `by_value` has the webhooks that want a value there, or the only one.

    `spelled` has the segments of `children` by every name that they may have in the data.
    """

    children: dict[str, "_Node"] = field(default_factory=dict)
    spelled: dict[str, set[str]] = field(default_factory=dict)
    by_value: dict[ComparisonKey, Entry | Found] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether no webhook is found by this place or by one below."""
        return not self.children and not self.by_value


class ConditionIndex:
    """Webhooks of one tenant that have conditions, each with its matcher; `bytes` of memory."""

    def __init__(self) -> None:
        self._root = _Node()
        self._found_by: dict[WebhookId, Condition] = {}
        self.bytes = 0

    def add(self, webhook_id: WebhookId, matcher: Matcher) -> bool:
        """Add a webhook that is not in the index; False if it has no condition to find it by."""
        indexable = [each for each in matcher.conditions if len(each.values) <= MOST_VALUES]
        if not indexable:
            return False
        condition = min(indexable, key=self._cost)
        self._found_by[webhook_id] = condition
        self.bytes += _entries(condition) * memory.ENTRY
        for path in condition.paths:
            by_value = self._node(path).by_value
            for value in condition.values:
                _add(by_value, value, (webhook_id, matcher))
        return True

    def remove(self, webhook_id: WebhookId) -> None:
        """Remove a webhook, if it is in the index."""
        condition = self._found_by.pop(webhook_id, None)
        if condition is None:
            return
        self.bytes -= _entries(condition) * memory.ENTRY
        for path in condition.paths:
            self._remove(self._root, path, condition.values, webhook_id)

    def search(self, data: object, found: Found) -> Iterator[None]:
        """Add the webhooks of which the indexed condition holds for this data, in pieces."""
        yield from _search(self._root, [data], found)

    def _cost(self, condition: Condition) -> tuple[int, int]:
        """How many webhooks are found already where this condition would be, and its size."""
        webhooks = 0
        for path in condition.paths:
            node: _Node | None = self._root
            for segment in path:
                node = node.children.get(segment) if node is not None else None
            if node is not None:
                webhooks += sum(len(_found(node.by_value, each)) for each in condition.values)
        return webhooks, len(condition.values)

    def _node(self, path: Path) -> _Node:
        node = self._root
        for segment in path:
            if segment not in node.children:
                node.children[segment] = _Node()
                self.bytes += memory.of_segment(segment)
                for name in (segment, *other_spellings(segment)):
                    node.spelled.setdefault(name, set()).add(segment)
            node = node.children[segment]
        return node

    def _remove(
        self, node: _Node, path: Path, values: Iterable[ComparisonKey], webhook_id: WebhookId
    ) -> None:
        if not path:
            for value in values:
                _discard(node.by_value, value, webhook_id)
            return
        segment = path[0]
        child = node.children[segment]
        self._remove(child, path[1:], values, webhook_id)
        if child.empty:
            del node.children[segment]
            self.bytes -= memory.of_segment(segment)
            for name in {segment, *other_spellings(segment)}:
                node.spelled[name].discard(segment)
                if not node.spelled[name]:
                    del node.spelled[name]


def _entries(condition: Condition) -> int:
    return len(condition.paths) * len(condition.values)


def _found(by_value: dict[ComparisonKey, Entry | Found], value: ComparisonKey) -> Found:
    found = by_value.get(value, {})
    return dict((found,)) if isinstance(found, tuple) else found


def _add(by_value: dict[ComparisonKey, Entry | Found], value: ComparisonKey, entry: Entry) -> None:
    present = by_value.setdefault(value, entry)
    if isinstance(present, dict):
        present[entry[0]] = entry[1]
    elif present is not entry:
        by_value[value] = dict((present, entry))


def _discard(
    by_value: dict[ComparisonKey, Entry | Found], value: ComparisonKey, webhook_id: WebhookId
) -> None:
    present = by_value[value]
    if isinstance(present, dict):
        del present[webhook_id]
        if present:
            return
    del by_value[value]


def _search(node: _Node, reached: list[object], found: Found) -> Iterator[None]:
    # A piece of an array is searched to the end before the next: any element may match.
    for piece in pieces(reached):
        if node.by_value:
            for key in set(keys_among(piece)):
                if webhooks := _found(node.by_value, key):
                    found.update(webhooks)
                    yield
        if node.children and (objects := objects_among(piece)):
            for segment in _segments(node, objects):
                if members := members_of(objects, segment):
                    yield from _search(node.children[segment], members, found)
        yield


def _segments(node: _Node, objects: list[dict[str, object]]) -> Iterable[str]:
    """The children that may be in the objects: by whichever there are fewer of."""
    if len(node.children) <= sum(map(len, objects)):
        return tuple(node.children)
    names = {name for value in objects for name in value if name in node.spelled}
    return {segment for name in names for segment in node.spelled[name]}
