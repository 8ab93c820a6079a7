#!/bin/bash
# What an operator does with the Debian package, in the container of test_container.py. Each line of
# output is the name of a step and what came of it; everything else goes to stderr.
PACKAGE=$(echo /share/*.deb)
UNIT=penguinmails-webhooks
exec 3>/share/steps 2>/share/errors
report() { printf '%s: %s\n' "$1" "$2" >&3; }
query() { runuser -u postgres -- psql -qtAX -d mail "$@"; }
until_true() { for _ in $(seq 150); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; return 1; }
answers() { curl -fsS --max-time 20 http://127.0.0.1:8484/readyz; }
status_text() { systemctl show -p StatusText --value $UNIT; }
delivered() { [ "$(query -c "SELECT count(*) FROM webhook_deliveries WHERE status = 'success'")" = "$1" ]; }

dpkg -i "$PACKAGE" >&2; report install $?
report user "$(id -un $UNIT), $(stat -c '%U:%G %a' /etc/penguinmails-webhooks)"

systemctl start $UNIT; until_true systemctl is-failed $UNIT
report unconfigured "$(systemctl show -p Result,ExecMainStatus,NRestarts --value $UNIT | sort | paste -sd ' ')"

until_true runuser -u postgres -- psql -c 'SELECT 1'
runuser -u postgres -- psql -qc "CREATE ROLE hooks LOGIN PASSWORD 'hooks'" -c 'CREATE DATABASE mail OWNER hooks' >&2
cat > /etc/penguinmails-webhooks/config.toml <<'END'
[egress]
allow_http = true
allow_networks = ["127.0.0.0/8"]
allow_ports = ["9000"]
END
install -m 600 /dev/stdin /etc/penguinmails-webhooks/database__url <<<'postgresql://hooks:hooks@127.0.0.1/mail'
mkdir -p /etc/systemd/system/$UNIT.service.d
printf '[Service]\nLoadCredential=database__url:/etc/penguinmails-webhooks/database__url\n' \
    > /etc/systemd/system/$UNIT.service.d/credentials.conf
systemctl daemon-reload
webhookd-admin migrate >&2; report migrate $?
systemctl reset-failed $UNIT
systemctl enable --now $UNIT.socket $UNIT >&2; report start $?
until_true answers; report ready $?

python3 - >&2 <<'END' &
from http.server import BaseHTTPRequestHandler, HTTPServer
class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
HTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()
END
TENANT=$(query -c 'INSERT INTO tenants (id) VALUES (gen_random_uuid()) RETURNING id')
query -c "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)
          VALUES ('$TENANT', 'first', 'http://127.0.0.1:9000/', 'whsec_MDEyMzQ1Njc4OWFiY2RlZg==')" >&2
webhookd-admin trigger email.opened --tenant "$TENANT" >&2; report trigger $?
until_true delivered 1; report delivered $?
until_true eval 'status_text | grep -q pending'; report status "$(status_text)"

echo 'mistake = 1' >> /etc/penguinmails-webhooks/config.toml
systemctl reload $UNIT >&2; report reload_with_a_mistake $?
report still "$(systemctl is-active $UNIT)"
sed -i '$d' /etc/penguinmails-webhooks/config.toml
printf '[log]\nlevel = "warning"\n[delivery]\nconcurrency = 9\n' >> /etc/penguinmails-webhooks/config.toml
systemctl reload $UNIT >&2; report reload $?
webhookd-admin trigger email.opened --tenant "$TENANT" >&2
until_true delivered 2; report delivered_after_reload $?

systemctl restart $UNIT & RESTART=$!
# The daemon that stops may be the one that answers: not ready, but not refused.
curl -fsS --max-time 20 http://127.0.0.1:8484/healthz >/dev/null; report connection_during_restart $?
wait $RESTART
report priorities "$(journalctl -q -u $UNIT -o json --output-fields=PRIORITY,_COMM | grep _COMM.*webhookd \
    | grep -o '"PRIORITY":"[0-9]"' | sort | uniq | paste -sd ' ')"
report sandbox "$(systemd-analyze security --no-pager $UNIT | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')"

dpkg -i "$PACKAGE" >&2; report upgrade "$? $(systemctl is-active $UNIT)"
dpkg-deb -R "$PACKAGE" newer
folder=$(dirname "$(find newer -name '0001_*.sql')")
echo "INSERT INTO webhookd_migrations (name) VALUES ('9999_newer')" > "$folder/9999_newer.sql"
dpkg-deb -Zgzip -z1 --build newer newer.deb >&2
pid=$(systemctl show --property=MainPID --value $UNIT)
dpkg -i newer.deb >&2
report upgrade_with_migrations "$? $([ "$pid" = "$(systemctl show --property=MainPID --value $UNIT)" ]; echo $?)"
dpkg -r $UNIT >&2; report remove "$? $(systemctl is-active $UNIT) $(ls /usr/lib/$UNIT 2>/dev/null | wc -l)"
journalctl -q --no-pager -u $UNIT | grep -v delivery.attempted >&2
report end 0
systemctl poweroff --no-block
