# Runs inside the host that becomes production: what its admin once did. Up to a running Odoo.
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
workers = 2
max_cron_threads = 1
limit_time_cpu = 120
limit_time_real = 240
# read by our own reports add-on
acme_region = north

[acme_reports]
printer = basement
X
chown odoo:odoo /etc/odoo/odoo.conf
chmod 640 /etc/odoo/odoo.conf
usermod --shell /bin/bash odoo
# Odoo's own unit does not wait for PostgreSQL, and is not started again when it loses the race.
mkdir -p /etc/systemd/system/odoo.service.d
printf '[Unit]\nAfter=postgresql.service\n[Service]\nRestart=on-failure\nRestartSec=2\n' >/etc/systemd/system/odoo.service.d/acme.conf

cat >>/etc/redis/redis.conf <<'X'
requirepass keys-to-the-shop
maxmemory 64mb
maxmemory-policy volatile-lru
X
pip3 install phonenumbers==8.12.1 redis==3.5.3

# Only while the database is made: nothing here must survive a power cut.
echo 'fsync = off' >/etc/postgresql/13/main/conf.d/lab.conf
systemctl is-system-running --wait || true
systemctl restart postgresql@13-main redis-server
cd /
sudo -u postgres createuser --createdb --no-createrole --no-superuser odoo
sudo -u odoo createdb --encoding UTF8 --template template0 acme
sudo -u odoo odoo --config /etc/odoo/odoo.conf --init base,web,contacts --without-demo=all --stop-after-init --logfile= --log-level=warn --workers=0
systemctl enable --now odoo
