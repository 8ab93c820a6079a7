"""What a session may see: pages about objects that the API hides from its caller are 404."""

from tests.support.console import Console


async def test_a_tenant_does_not_see_operators_webhooks(console: Console) -> None:
    webhook = await console.api.create_webhook("http://127.0.0.1:9/", scope="operator")
    path = console.path(f"/webhooks/{webhook['id']}")

    async with console.portal() as portal, console.operator() as operator:
        seen = [(await portal.get(path + below)).status for below in ("", "/settings")]
        seen_by_operator = await operator.get(path)

    assert seen == [404, 404]
    assert seen_by_operator.status == 200
