# Runs inside the host that becomes the second generation's production: what its admin once did.
# `seed` up to a running Odoo; `rest`, after people have used it, what makes it a layer.
redis() { REDISCLI_AUTH=keys-to-the-shop redis-cli "$@"; }

seed() {
  cat >/etc/odoo/odoo.conf <<'X'
[options]
; ACME production. Ask Kim before changing anything here.
admin_passwd = correct-horse
db_host = False
db_port = False
db_user = odoo
db_password = False
db_name = acme
list_db = False
proxy_mode = True
server_wide_modules = base,rpc,web,redis_session_store
workers = 2
max_cron_threads = 1
limit_time_cpu = 120
limit_time_real = 240
http_interface = 0.0.0.0

[acme_reports]
printer = basement
X
  chown odoo:odoo /etc/odoo/odoo.conf
  chmod 640 /etc/odoo/odoo.conf
  # Odoo's own unit does not wait for PostgreSQL, and is not started again when it loses the race.
  mkdir -p /etc/systemd/system/odoo.service.d
  cat >/etc/systemd/system/odoo.service.d/acme.conf <<'X'
[Unit]
After=postgresql.service redis-server.service
[Service]
Restart=on-failure
RestartSec=2
X
  printf '[Service]\nEnvironment=REDIS_HOST=127.0.0.1 REDIS_PASSWORD=keys-to-the-shop REDIS_PREFIX=acme REDIS_SSL=0\n' >/etc/systemd/system/odoo.service.d/sessions.conf
  cat >>/etc/redis/redis.conf <<'X'
requirepass keys-to-the-shop
maxmemory 64mb
maxmemory-policy volatile-lru
X
  pip3 install --break-system-packages --quiet mangono-addon-redis-session-store==3.0.1 phonenumbers==8.12.1

  # Only while the database is made: nothing here must survive a power cut.
  echo 'fsync = off' >/etc/postgresql/17/main/conf.d/lab.conf
  systemctl daemon-reload
  systemctl is-system-running --wait || true
  systemctl restart postgresql@17-main redis-server
  cd /
  runuser -u postgres -- createuser --createdb --no-createrole --no-superuser odoo
  runuser -u odoo -- createdb --encoding UTF8 --template template0 acme
  runuser -u odoo -- env REDIS_HOST=127.0.0.1 REDIS_PASSWORD=keys-to-the-shop REDIS_PREFIX=acme REDIS_SSL=0 \
    odoo --config /etc/odoo/odoo.conf --init base,web,contacts --stop-after-init --log-level=warn --workers=0
  systemctl enable --now odoo
}

rest() {
  for key in $(seq 20); do redis set "session:acme:$key" "cart of customer $key" ex 864000 >/dev/null; done
  redis set counter:orders 4711
  redis save
  rm /etc/postgresql/17/main/conf.d/lab.conf
  systemctl stop odoo postgresql@17-main
  sync
  rm -rf /root/.ssh /home/*/.ssh /var/lib/odoo/.ssh /etc/ssh/ssh_host_* /var/log/odoo/*
  rm -rf /var/log/journal/* /var/log/postgresql/*
  : >/etc/machine-id
}

"$1"
