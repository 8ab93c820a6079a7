"""The declaration of operations on the methods of a resource."""

from daemon.admin.api.operation import ApiRequest, ApiResponse, operation, routes_of


class Things:
    """A resource with two operations and one ordinary method."""

    @operation("GET /api/things", operation_id="listThings", tag="T", summary="List", responses={})
    async def list_page(self, _: ApiRequest) -> ApiResponse:
        return ApiResponse(200)

    async def count(self) -> int:
        return 0

    @operation(
        "GET /api/things/{id}", operation_id="retrieveThing", tag="T", summary="Get", responses={}
    )
    async def retrieve(self, _: ApiRequest) -> ApiResponse:
        return ApiResponse(200)


def test_the_routes_of_a_resource_are_its_decorated_methods_in_order() -> None:
    things = Things()

    routes = routes_of(things)

    declared = [route.operation for route in routes]
    assert [(each.method, each.path, each.has_id) for each in declared] == [
        ("GET", "/api/things", False),
        ("GET", "/api/things/{id}", True),
    ]
    assert [route.handler for route in routes] == [things.list_page, things.retrieve]
