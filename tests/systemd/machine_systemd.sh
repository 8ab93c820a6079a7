# The operator's machine in a container: Debian's PostgreSQL, systemd, and pip with the wheels in /share.
export SHARE=/share PIP_NO_INDEX=1 PIP_FIND_LINKS=/share/wheels
PRIMARY=localhost:5432 STANDBY=localhost:5433 STANDBY_PORT=5433
STANDBY_URL=postgresql:///mail?port=5433
prepare_machine() {
    python3 /share/outside.py /share 9000 25 &
    until_true runuser -u postgres -- psql -c 'SELECT 1'
}
as_postgres() { runuser -u postgres -- "$@"; }
seed() {
    as_postgres createdb mail
    as_postgres psql -q --set ON_ERROR_STOP=1 mail < /share/seed.sql
    TENANT=$(as_postgres psql -qtAX mail -c 'SELECT id FROM tenants')
    APP_URL=postgresql://app:app@localhost/mail
    export TENANT APP_URL
}
release() { cp /share/newer/*.whl /share/wheels; }
is_upgraded() { [ "$1" = "webhookd $OLD_VERSION" ] && [ "$2" = "webhookd $NEW_VERSION" ]; }
version() { pg_lsclusters -h | awk '{print $1; exit}'; }
make_standby() {
    pg_createcluster "$(version)" standby --port 5433
    data=$(pg_conftool -s "$(version)" standby show data_directory)
    rm -r "$data"
    as_postgres pg_basebackup -R -X stream -c fast -D "$data"
    pg_ctlcluster "$(version)" standby start
}
stop_primary() { pg_ctlcluster "$(version)" main stop -m immediate; }
finish() {
    journalctl -q --no-pager -u penguinmails-webhooks -o cat | tail -n 200
    systemctl poweroff --no-block
    exit
}
