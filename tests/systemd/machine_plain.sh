# The operator's machine in a folder, of any user and without systemd: what needs either is stood in for.
PRIMARY=localhost:$PRIMARY_PORT STANDBY=localhost:$STANDBY_PORT
STANDBY_URL=postgresql:///mail?port=$STANDBY_PORT
export PGHOST=127.0.0.1 PGPORT=$PRIMARY_PORT PGUSER
CREDENTIALS=$MACHINE/credentials
apt-get() { :; }
su() { :; }
ln() { :; }
python3() { [ "$1" = -m ]; }
pip() { :; }
systemd-sysusers() { :; }
systemd-tmpfiles() { mkdir -p "$MACHINE/etc/penguinmails-webhooks"; }
webhookd() { "$PYTHON" -m daemon "$@"; }
# Runs a command with what the unit would have: its file, its credentials.
as_unit() {
    rm -rf "$CREDENTIALS"
    mkdir "$CREDENTIALS"
    cp "$MACHINE"/etc/penguinmails-webhooks/*__* "$CREDENTIALS"
    WEBHOOKD_CONFIG=$MACHINE/etc/penguinmails-webhooks/config.toml CREDENTIALS_DIRECTORY=$CREDENTIALS "$@"
}
webhookd-admin() { as_unit "$PYTHON" -m daemon "$@"; }
systemctl() {
    case $1 in
    restart)
        kill "$DAEMON"
        wait "$DAEMON"
        ;;&
    enable | restart)
        as_unit exec env WEBHOOKD_ADMIN__PORT="$ADMIN_PORT" "$PYTHON" -m daemon run --no-embedded &
        DAEMON=$!
        until_true ready
        ;;
    esac
}
prepare_machine() { "$PYTHON" "$OUTSIDE" "$SHARE" "$RECEIVER_PORT" "$SMTP_PORT" & OUTSIDE_PID=$!; }
seed() {
    createdb mail
    psql -q --set ON_ERROR_STOP=1 mail < "$SHARE/seed.sql"
    TENANT=$(psql -qtAX mail -c 'SELECT id FROM tenants')
    APP_URL=postgresql://app:app@localhost/mail
}
release() { :; }
is_upgraded() { [ "$1" = "$2" ]; }
make_standby() { ask_for standby; }
stop_primary() { ask_for stop; }
# Of the test, which may start and stop PostgreSQL.
ask_for() {
    touch "$SHARE/asked-$1"
    until_true test -e "$SHARE/done-$1"
}
finish() {
    kill "$OUTSIDE_PID" ${DAEMON:+"$DAEMON"}
    wait
    exit
}
