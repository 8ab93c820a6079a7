"""What the owner of `tenants` attached to it runs in no session of `webhookd migrate`."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from daemon.core.errors import MigrationError
from daemon.store import migrations
from daemon.store.adoption import Options, adopt
from tests.support import specification
from tests.support.roles import name_of
from tests.support.squatters import Squatted, squatted

# Called when a query of the table is planned. Unlike `hostile`, it also counts calls in a session
# of another role that PostgreSQL makes with the rights of the table's owner.
ATTACH = """
    CREATE FUNCTION in_session() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        IF session_user <> '{role}' THEN PERFORM nextval('public.hostile_calls'); END IF;
        RETURN 'x';
    END $$;
    CREATE STATISTICS attached ON (in_session() || name), name FROM tenants
"""
KEY = "webhooks_tenant_id_fkey"
DROP_KEY = f"ALTER TABLE webhooks DROP CONSTRAINT {KEY}"
ADD_KEY = "ADD CONSTRAINT {} FOREIGN KEY (tenant_id) REFERENCES tenants (id)"
KEYS = {
    "missing": DROP_KEY,
    "not valid": f"{DROP_KEY}; ALTER TABLE webhooks {ADD_KEY.format(KEY)} NOT VALID",
    "of another name": f"{DROP_KEY}; ALTER TABLE webhooks {ADD_KEY.format('own')}",
}
# Two columns of one row get a value, where the specification has a default only.
LACKING = "UPDATE webhooks SET is_active = NULL, is_failing = NULL"
IS_VALID = "SELECT convalidated FROM pg_constraint WHERE conname = $1"


@pytest.fixture
async def scene(empty_database: str) -> AsyncIterator[Squatted]:
    """Tables of the specification, with a row; all but `tenants` were handed over."""
    async with squatted(empty_database) as scene:
        await specification.create_tables(scene.squatter)
        await scene.squatter.execute(f"{specification.INSERT_WEBHOOK}; {LACKING}")
        await scene.squatter.execute(ATTACH.format(role=await name_of(scene.squatter)))
        await scene.squatter.execute("GRANT ALL ON tenants TO PUBLIC")
        yield scene


async def hand_over(scene: Squatted, url: str) -> None:
    """Give the tables to the role of this URL, which migrates."""
    connection = await asyncpg.connect(url)
    role = await name_of(connection)
    await connection.close()
    for table in ("webhooks", "webhook_events", "webhook_deliveries"):
        await scene.admin.execute(f"ALTER TABLE {table} OWNER TO {role}")


async def migrate(url: str) -> list[str]:
    """Do what `webhookd migrate` does, after a dry run; return what both say."""
    said: list[str] = []
    trial = await adopt(url, Options(), dry_run=True, say=said.append)
    assert trial is not None
    said += trial.lines(Options())
    await adopt(url, Options(), say=said.append)
    await migrations.migrate(url)
    return said


@pytest.mark.parametrize("as_superuser", [True, False])
@pytest.mark.parametrize("key", KEYS)
async def test_a_foreign_key_to_tenants_of_the_application_is_not_validated(
    scene: Squatted, key: str, as_superuser: bool
) -> None:
    url = scene.superuser if as_superuser else scene.owner
    await scene.squatter.execute(KEYS[key])
    await hand_over(scene, url)

    said = await migrate(url)

    assert not await scene.calls()
    assert await scene.admin.fetchval(IS_VALID, KEY) is False
    sentences = [each.strip() for each in said if "checked for new rows only" in each]
    assert len(sentences) == 2
    assert f"{await name_of(scene.squatter)}, which is not trusted. Once" in sentences[0]
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await scene.admin.execute("UPDATE webhooks SET tenant_id = gen_random_uuid()")


async def test_a_valid_foreign_key_to_tenants_of_the_application_stays_valid(
    scene: Squatted,
) -> None:
    await hand_over(scene, scene.owner)

    said = await migrate(scene.owner)

    assert not await scene.calls()
    assert await scene.admin.fetchval(IS_VALID, KEY) is True
    assert not any("checked for new rows only" in each for each in said)


@pytest.mark.parametrize("key", KEYS)
async def test_a_foreign_key_to_tenants_of_a_trusted_role_is_validated(
    scene: Squatted, key: str
) -> None:
    await scene.squatter.execute(f"{KEYS[key]}; DROP STATISTICS attached")
    await hand_over(scene, scene.owner)
    await scene.admin.execute("ALTER TABLE tenants OWNER TO CURRENT_USER")

    said = await migrate(scene.owner)

    assert await scene.admin.fetchval(IS_VALID, KEY) is True
    assert not any("checked for new rows only" in each for each in said)


async def test_what_its_former_owner_attached_to_tenants_keeps_it_from_being_compared(
    scene: Squatted,
) -> None:
    await scene.squatter.execute(KEYS["missing"])
    await hand_over(scene, scene.superuser)
    await scene.admin.execute("ALTER TABLE tenants OWNER TO CURRENT_USER")

    said = await migrate(scene.superuser)

    assert not await scene.calls()
    assert any("because statistics attached of the table tenants uses" in each for each in said)


@pytest.mark.parametrize(
    ("arranged", "sentence"),
    [
        (
            (
                "CREATE SCHEMA own; CREATE TABLE own.webhooks (id uuid PRIMARY KEY);"
                " ALTER TABLE webhook_deliveries"
                " DROP CONSTRAINT webhook_deliveries_webhook_id_fkey,"
                " ADD CONSTRAINT webhook_deliveries_webhook_id_fkey FOREIGN KEY (webhook_id)"
                " REFERENCES own.webhooks (id) NOT VALID"
            ),
            (
                "the foreign key webhook_deliveries_webhook_id_fkey of webhook_deliveries refers to"
                " another table than webhooks: ALTER TABLE webhook_deliveries DROP CONSTRAINT"
            ),
        ),
        (
            (
                "CREATE TABLE times (at timestamp PRIMARY KEY);"
                " ALTER TABLE webhooks ADD FOREIGN KEY (last_success_at) REFERENCES times (at)"
            ),
            "foreign key webhooks_last_success_at_fkey depends on webhooks.last_success_at",
        ),
        (
            "CREATE STATISTICS theirs ON (in_session() || name), name FROM webhooks",
            "statistics theirs of the table webhooks uses in_session() of role",
        ),
    ],
)
async def test_what_would_run_code_of_another_role_in_the_session_is_refused(
    scene: Squatted, arranged: str, sentence: str
) -> None:
    await scene.admin.execute(
        "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO PUBLIC',"
        " current_database()); END $$"
    )
    await scene.squatter.execute(arranged)
    await hand_over(scene, scene.superuser)

    with pytest.raises(MigrationError) as refused:
        await adopt(scene.superuser, Options(), say=print)

    assert sentence in str(refused.value)
    assert not await scene.calls()
