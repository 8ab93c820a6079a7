"""
The console's templates, and what they call.

The rule: Jinja escapes every value; markup that is ready is made in `visible_text`, `json_text`,
`times` and `charts` alone, from escaped parts.
"""

from functools import cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined

from daemon.admin.console import charts, numbers, sizes, times
from daemon.admin.console.form_times import as_field
from daemon.admin.console.form_token import new_form_token
from daemon.admin.console.json_text import json_value, shown_json
from daemon.admin.console.long_text import first_part
from daemon.admin.console.schedules import in_words
from daemon.admin.console.url_query import with_query
from daemon.admin.console.visible_text import visible, visible_lines
from daemon.core.unprintable import escape
from daemon.runtime.offload import Offload


@cache
def templates() -> Environment:
    """The templates; each is compiled once in a process, when it is first used."""
    found = Environment(
        loader=PackageLoader("daemon.admin", "templates/console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,  # it would look at several files for each page
    )
    found.filters |= {
        "visible": visible,
        "visible_lines": visible_lines,
        "json": shown_json,
        "first_part": first_part,
        "escaped": escape,
        "field_time": as_field,
        "tojson_text": json_value,
        "ms": times.milliseconds,
        "in_words": in_words,
        "span": times.span,
        "seconds": times.seconds,
        "moment": times.moment,
        "size": sizes.size,
        "percent": numbers.percent,
        "number": numbers.count,
    }
    found.globals |= {
        "with_query": with_query,
        "once": new_form_token,
        "sparkline": charts.sparkline,
        "timeline": charts.timeline,
        "progress_bar": charts.progress_bar,
        "timing_bar": charts.timing_bar,
    }
    return found


async def compile_all(offload: Offload) -> None:
    """
    Compile every template, without holding the event loop for long.

    All of them take half a second, one up to 50 ms.
    """
    found = templates()
    for name in found.list_templates(["html"]):
        await offload.run_in_thread(partial(found.get_template, name), owner=compile_all)
