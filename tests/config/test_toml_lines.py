"""Line numbers of keys and list elements in TOML."""

import json
import string
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from daemon.config.toml_lines import KeyPath, lines_of


def test_lines_are_found_for_every_construct_of_toml() -> None:
    text = '''# a comment with [brackets] = 1
top = 1
"quo\\u0074ed.key" . 'lit eral' = 2  # dotted
[ table ] # comment
list = [ # comment ]
  1, [2,
  3], { x = 4, y = 5 },
  "]", # comment
]
text = """
key = "not a key"
[nor a table]
\\""" still """""
raw = \'\'\'
'k' = 1\'\'\'
after = 1979-05-27 07:32:00
inline = { a.b = [ ] }
[[array]]
name = "one"
[[array]]
[array.sub]
x = "#"
[["array" . inner]]
y = 1
'''

    found = lines_of(text)

    expected: dict[KeyPath, int] = {
        ("top",): 2,
        ("quoted.key",): 3,
        ("quoted.key", "lit eral"): 3,
        ("table",): 4,
        ("table", "list"): 5,
        ("table", "list", 0): 6,
        ("table", "list", 1): 6,
        ("table", "list", 1, 0): 6,
        ("table", "list", 1, 1): 7,
        ("table", "list", 2): 7,
        ("table", "list", 2, "x"): 7,
        ("table", "list", 2, "y"): 7,
        ("table", "list", 3): 8,
        ("table", "text"): 10,
        ("table", "raw"): 14,
        ("table", "after"): 16,
        ("table", "inline"): 17,
        ("table", "inline", "a"): 17,
        ("table", "inline", "a", "b"): 17,
        ("array",): 18,
        ("array", 0): 18,
        ("array", 0, "name"): 19,
        ("array", 1): 20,
        ("array", 1, "sub"): 21,
        ("array", 1, "sub", "x"): 22,
        ("array", 1, "inner"): 23,
        ("array", 1, "inner", 0): 23,
        ("array", 1, "inner", 0, "y"): 24,
    }
    assert found == expected
    assert found.keys() == paths_in(tomllib.loads(text))


KEYS = st.text(string.ascii_letters + "-_ .\"'\\#[]=\u00e9", max_size=5)
NOISE = st.sampled_from(["", " ", "  # ] } = [x]\n\n", "\n"])
SCALARS = st.sampled_from(["1", "true", '"]"', "'#'", '"""\n[x]\n"a" = 1"""', "'''\n]\n'''", "{}"])


@st.composite
def values(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(SCALARS)
    items = draw(st.lists(values(depth - 1), max_size=3))
    return "[" + "".join(f"{draw(NOISE)}{item}{draw(NOISE)}," for item in items) + "]"


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines = []
    for table in draw(st.lists(KEYS, max_size=3, unique=True)):
        lines.append(f"[ {json.dumps(table, ensure_ascii=False)} ] # ]\n")
        for key in draw(st.lists(KEYS, max_size=3, unique=True)):
            noise = draw(NOISE)
            lines.append(f"{json.dumps(key, ensure_ascii=False)} = {draw(values())}\n{noise}\n")
    return "".join(lines)


def paths_in(tree: object, path: KeyPath = ()) -> set[KeyPath]:
    children: list[tuple[str | int, object]] = []
    if isinstance(tree, dict):
        children = list(tree.items())
    elif isinstance(tree, list):
        children = list(enumerate(tree))
    found = {path} if path else set()
    return found.union(*(paths_in(child, (*path, name)) for name, child in children))


@given(documents())
def test_lines_are_found_for_exactly_the_paths_that_tomllib_reads(text: str) -> None:
    found = lines_of(text)

    assert found.keys() == paths_in(tomllib.loads(text))
    written = text.split("\n")
    for path, line in found.items():
        if isinstance(path[-1], str):
            assert json.dumps(path[-1], ensure_ascii=False) in written[line - 1]
