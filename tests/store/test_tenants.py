"""The application's own table: reading or writing it runs nothing that its owner attached."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from daemon.core.model.ids import TenantId
from daemon.store import migrations, tenants
from daemon.store.connection import connected
from daemon.store.tenants import UnreadableTenantsError
from tests.support.api_client import serving_api
from tests.support.roles import name_of
from tests.support.squatters import Squatted, squatted

TENANTS = "CREATE TABLE tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(255))"
ATTACHED = {
    "a policy": "CREATE POLICY p ON tenants USING (hostile() = 'x');"
    " ALTER TABLE tenants ENABLE ROW LEVEL SECURITY",
    "an index": "CREATE INDEX ON tenants (name) WHERE hostile() = 'x'",
    "statistics": "CREATE STATISTICS ON (hostile() || name), name FROM tenants",
    "a domain": "CREATE DOMAIN hostile_id AS uuid CHECK (hostile() = 'x');"
    " ALTER TABLE tenants ALTER COLUMN id TYPE hostile_id",
    "triggers": "CREATE TRIGGER t BEFORE INSERT ON tenants FOR EACH ROW"
    " EXECUTE FUNCTION hostile_trigger()",
    "a rule": "CREATE RULE r AS ON INSERT TO tenants DO ALSO SELECT hostile()",
    "a view": "DROP TABLE tenants CASCADE; CREATE VIEW tenants AS"
    " SELECT gen_random_uuid() AS id, hostile() AS name",
}


@pytest.fixture
async def scene(empty_database: str) -> AsyncIterator[Squatted]:
    """A migrated database whose `tenants` belongs to the application, which is hostile."""
    async with squatted(empty_database) as scene:
        await scene.squatter.execute(f"{TENANTS}; GRANT ALL ON tenants TO PUBLIC")
        await migrations.migrate(scene.owner)
        await scene.admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await scene.admin.execute(
            f"GRANT CREATE ON SCHEMA public TO {await name_of(scene.squatter)}"
        )
        yield scene


@pytest.mark.parametrize("attached", ATTACHED)
async def test_nothing_that_is_attached_to_tenants_runs_when_it_is_read_or_written(
    scene: Squatted, attached: str
) -> None:
    tenant = TenantId(uuid4())
    await scene.squatter.execute(f"{ATTACHED[attached]}; GRANT ALL ON tenants TO PUBLIC")

    for url in (scene.owner, scene.superuser):
        async with connected(url) as db:
            assert await tenants.exists(db, tenant) is None
            with pytest.raises(UnreadableTenantsError):
                await tenants.some(db, limit=10)
            with pytest.raises(UnreadableTenantsError):
                await tenants.create(db)
            with pytest.raises(UnreadableTenantsError):
                await tenants.add(db, tenant, "a name")
    assert not await scene.calls()


async def test_webhooks_refer_to_tenants_of_the_application_whatever_is_attached_to_it(
    scene: Squatted,
) -> None:
    """
    As the owner of the tables, over the API, with all that its owner may attach to it.

    The foreign key's check runs it with the rights of its owner, in the session of the daemon.
    """
    tenant, unknown = uuid4(), uuid4()
    await scene.squatter.execute("; ".join(ATTACHED[each] for each in ATTACHED if each != "a view"))
    await scene.squatter.execute("INSERT INTO tenants (id) VALUES ($1)", tenant)
    await scene.admin.execute("GRANT ALL ON tenants TO PUBLIC")

    async with serving_api(scene.owner, tenant) as api, serving_api(scene.owner, unknown) as other:
        listed = [await each.get("/api/webhooks") for each in (api, other)]
        body = {"name": "a webhook", "endpointUrl": "https://example.com/hook"}
        created = [await each.post("/api/webhooks", body) for each in (api, other)]

    assert [each.status for each in listed] == [200, 200]
    assert [each.status for each in created] == [201, 404]
    assert not await scene.calls()


async def test_tenants_of_a_trusted_role_are_read(scene: Squatted) -> None:
    await scene.admin.execute(f"ALTER TABLE tenants OWNER TO {urlsplit(scene.owner).username}")
    known = uuid4()
    await scene.admin.execute("INSERT INTO tenants (id) VALUES ($1)", known)

    async with connected(scene.owner) as db:
        assert await tenants.exists(db, TenantId(known)) is True
        assert await tenants.exists(db, TenantId(uuid4())) is False
        assert await tenants.some(db, limit=10) == [known]
        created = await tenants.create(db)
        await tenants.add(db, TenantId(uuid4()), "a name")
        assert await tenants.exists(db, created)


async def test_a_trigger_of_another_role_on_tenants_is_not_fired(scene: Squatted) -> None:
    await scene.squatter.execute(ATTACHED["triggers"])
    await scene.admin.execute(f"ALTER TABLE tenants OWNER TO {urlsplit(scene.owner).username}")

    async with connected(scene.owner) as db:
        assert await tenants.exists(db, TenantId(uuid4())) is False
        with pytest.raises(
            UnreadableTenantsError, match="trigger t of the table tenants uses hostile_trigger"
        ):
            await tenants.create(db)
    assert not await scene.calls()


async def test_tenants_is_not_read_with_what_its_former_owner_attached(scene: Squatted) -> None:
    await scene.squatter.execute(ATTACHED["an index"])
    await scene.admin.execute(f"ALTER TABLE tenants OWNER TO {urlsplit(scene.owner).username}")

    async with connected(scene.owner) as db:
        assert await tenants.exists(db, TenantId(uuid4())) is None
        with pytest.raises(UnreadableTenantsError, match="index tenants_name_idx of the table"):
            await tenants.some(db, limit=10)
    assert not await scene.calls()


async def test_a_role_that_may_not_read_tenants_knows_none(scene: Squatted) -> None:
    connection = await asyncpg.connect(scene.owner)
    await scene.admin.execute(
        "ALTER TABLE tenants OWNER TO CURRENT_USER; REVOKE ALL ON tenants FROM PUBLIC"
    )

    assert await tenants.exists(connection, TenantId(uuid4())) is None
    await connection.close()
