# Runs inside the host that becomes production, after people have used it: what makes it a layer.
redis() { REDISCLI_AUTH=keys-to-the-shop redis-cli "$@"; }
for key in $(seq 20); do redis set "session:acme:$key" "cart of customer $key" ex 864000 >/dev/null; done
redis set counter:orders 4711
redis save
rm /etc/postgresql/13/main/conf.d/lab.conf
systemctl stop odoo postgresql@13-main
sync
rm -rf /root/.ssh /home/*/.ssh /var/lib/odoo/.ssh /etc/ssh/ssh_host_* /var/lib/odoo/.local/share/Odoo/sessions/* /var/log/odoo/*
rm -rf /var/log/journal/* /var/log/postgresql/*
: >/etc/machine-id
