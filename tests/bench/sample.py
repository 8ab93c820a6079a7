"""The benchmarks' events: the specification's example, about 400 bytes, and one of 8 KB."""

import json
import random
import string
from ipaddress import ip_network

from daemon.core.policy.egress_policy import EgressPolicy

SECRET = "whsec_" + "ab" * 32
EVENT_DATA = (
    '{"contact": {"id": "cont_ghi012", "email": "user@example.com", "last_name": "Johnson",'
    ' "first_name": "Sarah"}, "email_id": "msg_xyz789", "location": {"city": "New York",'
    ' "region": "NY", "country": "US"}, "opened_at": "2025-11-25T14:30:00Z", "ip_address":'
    ' "192.168.1.1", "user_agent": "Mozilla/5.0...", "campaign_id": "camp_def456"}'
)
# Random letters, always the same: PostgreSQL hardly compresses them.
LARGE_EVENT_DATA = json.dumps(
    {"text": "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=8_000))}
)
EGRESS = EgressPolicy(
    allow_http=True,
    allow_networks=(ip_network("127.0.0.0/8"),),
    allow_ports=((1, 65535),),
)
