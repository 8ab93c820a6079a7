# An operator's walk. A line `@doc PAGE: SECTION` stands for all commands of that section of the
# documentation, `… #2` for its second block; what is between them is the application, the receiver,
# and what breaks. `steps` gets a line for each thing that was seen to be so; everything else that is
# printed goes to `output`. The machine on which it runs defines the functions and variables that are
# not defined here: test_operator_walk.py.
set -eEuo pipefail
exec 3>"$SHARE/steps" >>"$SHARE/output" 2>&1
failed() {
    echo "failed: after $SEEN, $(head -n 1 <<<"$1")" >&3
    finish
}
trap 'failed "$BASH_COMMAND"' ERR
SEEN=nothing
saw() { SEEN=$1; echo "$1: yes" >&3; }
until_true() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for $*"; return 1; }
ready() { curl -fsS http://127.0.0.1:8484/readyz; }
# So many events in one transaction; prints their ids.
publish() {
    psql "$APP_URL" -qtAX --set ON_ERROR_STOP=1 --command "INSERT INTO webhook_events (id, tenant_id,
        event_type, event_data) SELECT gen_random_uuid(), '$TENANT', 'email.opened', '{\"n\": 1}'
        FROM generate_series(1, ${1:-1}) RETURNING id"
}
is_paused() { webhookd-admin list --state paused | grep -q "$WEBHOOK"; }
# How many different events the receiver has accepted at this path.
accepted() { [ "$(sort -u "$SHARE/accepted$1" | wc -l)" = "$2" ]; }

prepare_machine
seed
@doc installation: 1. The program
@doc installation: 2. The unit, its user and its folder
saw installed
@doc installation: 3. Roles
@doc adoption: The walk
@doc installation: 4. Tables
[ "$(psql "$ADMIN_URL" -qtAX -c "SELECT (SELECT count(*) FROM webhook_events)
    || '/' || (SELECT count(*) FROM webhook_deliveries)")" = 3/200 ]
saw adopted
@doc installation: 5. Configuration
cat >> /etc/penguinmails-webhooks/config.toml <<'END'
[egress]
allow_http = true
allow_networks = ["127.0.0.0/8"]
allow_ports = ["9000"]
[delivery]
failing_after = 1
pause_after = 2
retry_schedule = ["1s", "1h"]
END
@doc installation: 6. Check, and start
saw started
RECEIVER=http://127.0.0.1:9000/first
@doc installation: 7. A first event
WEBHOOK=$(psql "$ADMIN_URL" -qtAX -c "SELECT id FROM webhooks WHERE name = 'first'")
until_true accepted /first 1
until_true accepted /crm 1
saw delivered

FROM=$(date -u +%FT%TZ)
touch "$SHARE/broken"
EVENT=$(publish 4 | tail -n 1)
until_true grep -q '^Subject: ' "$SHARE/mails"
saw mailed
until_true is_paused
@doc runbook: An event did not arrive
webhookd-admin explain "$EVENT" "$WEBHOOK" | grep ' pending '
webhookd-admin show "$EVENT" | grep 'the receiver answered 500'
webhookd-admin list --state paused | grep "$WEBHOOK"
saw explained
until_true accepted /crm 5
publish
until_true accepted /crm 6
rm "$SHARE/broken"
saw fixed
@doc runbook: Repair, resume, replay
until_true accepted /first 6
saw replayed

OLD=$(webhookd --version)
release
publish
@doc runbook: Upgrade
is_upgraded "$OLD" "$(webhookd --version)"
publish
until_true accepted /first 8
saw upgraded

make_standby
@doc runbook: Failover #1
publish
until_true accepted /first 9
stop_primary
until_true eval '! ready'
saw unready
@doc runbook: Failover #2
export PGPORT=$STANDBY_PORT
until_true ready
publish
until_true accepted /first 10
saw failed_over

DATABASE_URL=$ADMIN_URL RESTORED_URL=postgresql:///restored
export BACKUP=$SHARE/backup
mkdir "$BACKUP"
@doc databases: Backup and restore #1
@doc databases: Backup and restore #2
unset DATABASE_URL
@doc runbook: Restore
until_true ready
APP_URL=${APP_URL/mail/restored}
publish
until_true accepted /first 11
accepted /crm 11
saw restored
echo "end: yes" >&3
finish
