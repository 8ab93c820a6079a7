"""
Types, campaigns and contacts of recent events, to pick from.

The rule: however many and however large the events are, a bounded number of bytes is read and
returned, within a bounded time.
"""

from dataclasses import dataclass
from typing import Any

from daemon.core.model.ids import TenantId
from daemon.store.search import fetch_step
from daemon.store.session import Connection

# Fewer rows are tried if these take too long: the data are large.
ROWS = (2000, 200, 20)
LARGEST_DATA = 64 * 1024  # bytes as stored; larger data are not looked into
MOST_OF_EACH = 50
LONGEST_TEXT = 320  # characters; what identifies something is short


def _printed(value: str) -> str:
    """SQL: a short string, or a number as text; NULL for what may print without end."""
    return f"""
               CASE WHEN jsonb_typeof({value}) = 'string'
                         AND length({value} #>> '{{}}'::text[]) BETWEEN 1 AND {LONGEST_TEXT}
                    THEN {value} #>> '{{}}'::text[]
                    WHEN jsonb_typeof({value}) <> 'number' THEN NULL
                    WHEN abs({value}::numeric) < 1e40 AND scale({value}::numeric) < 40
                    THEN {value} #>> '{{}}'::text[] END"""


FIND = f"""
    WITH read AS MATERIALIZED (
        SELECT coalesce(event_type, '')::text AS type,
               CASE WHEN pg_catalog.pg_column_size(event_data) <= {LARGEST_DATA}
                    THEN event_data END AS data
          FROM webhook_events
         WHERE tenant_id = $1 AND created_at <= 'infinity'
         ORDER BY created_at DESC, id DESC
         LIMIT $2
    ), named AS MATERIALIZED (
        SELECT coalesce(data -> 'campaign_id'::text, data -> 'campaignId'::text,
                        data #> '{{campaign,id}}'::text[]) AS campaign,
               coalesce(data #> '{{campaign,name}}'::text[], data -> 'campaign_name'::text,
                        data -> 'campaignName'::text) AS campaign_name,
               coalesce(data -> 'contact_id'::text, data -> 'contactId'::text,
                        data #> '{{contact,id}}'::text[]) AS contact,
               coalesce(data #> '{{contact,email}}'::text[], data -> 'contact_email'::text,
                        data -> 'contactEmail'::text, data -> 'email'::text) AS address
          FROM read
         WHERE jsonb_typeof(data) = 'object'
    ), printed AS MATERIALIZED (
        SELECT {_printed("campaign")} AS campaign,
               {_printed("campaign_name")} AS campaign_name,
               {_printed("contact")} AS contact,
               {_printed("address")} AS address
          FROM named
    )
    (SELECT 'type'::text AS kind, type AS id, NULL::text AS name, pg_catalog.count(*) AS count
       FROM read
      GROUP BY type
      ORDER BY count DESC, id
      LIMIT $3)
     UNION ALL
    (SELECT 'campaign'::text, campaign, pg_catalog.max(campaign_name), pg_catalog.count(*) AS count
       FROM printed
      WHERE campaign IS NOT NULL
      GROUP BY campaign
      ORDER BY count DESC, campaign
      LIMIT $3)
     UNION ALL
    (SELECT 'contact'::text, contact, pg_catalog.max(address), pg_catalog.count(*) AS count
       FROM printed
      WHERE contact IS NOT NULL
      GROUP BY contact
      ORDER BY count DESC, contact
      LIMIT $3)
     UNION ALL
    -- Contacts without an id.
    (SELECT 'contact'::text, NULL, address, pg_catalog.count(*) AS count
       FROM printed
      WHERE contact IS NULL AND address IS NOT NULL
      GROUP BY address
      ORDER BY count DESC, address
      LIMIT $3)
     UNION ALL
    SELECT NULL, NULL, NULL, pg_catalog.count(*) FROM read
"""  # noqa: S608  made of constants only


@dataclass(frozen=True, slots=True)
class Facet:
    """One value that `count` events hold; a contact has an `id`, an address as `name`, or both."""

    id: str | None
    name: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """Values in the newest `looked` events, by frequency, at most MOST_OF_EACH of a kind."""

    types: list[Facet]
    campaigns: list[Facet]
    contacts: list[Facet]
    looked: int


async def find_facets(db: Connection, tenant_id: TenantId) -> Facets:
    """Look at the newest events of a tenant; at none if even a few of them take too long."""
    for rows in ROWS:
        found = await fetch_step(db, FIND, tenant_id, rows, MOST_OF_EACH)
        if found is not None:
            return Facets(
                types=_of_kind(found, "type"),
                campaigns=_of_kind(found, "campaign"),
                contacts=_of_kind(found, "contact"),
                looked=found[-1]["count"],
            )
    return Facets([], [], [], 0)


def _of_kind(found: list[Any], kind: str) -> list[Facet]:
    facets = [Facet(row["id"], row["name"], row["count"]) for row in found if row["kind"] == kind]
    return sorted(facets, key=lambda each: -each.count)[:MOST_OF_EACH]
