"""The templates of pages are compiled before people open them."""

from daemon.admin.console.templates import templates
from tests.support.console import Console
from tests.support.daemons import until


async def test_with_the_first_page_the_templates_of_all_others_are_compiled(
    console: Console,
) -> None:
    templates.cache_clear()
    async with console.client() as visitor:
        await visitor.get("/console/sign-in")

    found = templates()
    names = set(found.list_templates(["html"]))
    await until(lambda: {name for _, name in found.cache or ()} >= names)
    assert len(names) > 40
