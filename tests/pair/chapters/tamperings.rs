//! The table of tamperings: what somebody did to a host, what plan must call it, and how to
//! see that it was undone.

/// One row.
pub struct Tampering {
    /// The step's name.
    pub name: &'static str,
    /// Where it is done, and whose resource then differs.
    pub host: &'static str,
    /// What is done, as root.
    pub tamper: &'static str,
    /// The kind of the resource that plan must name on that host.
    pub kind: &'static str,
    /// Words its entry must contain.
    pub words: &'static [&'static str],
    /// What differs as a consequence: host and kind.
    pub also: &'static [(&'static str, &'static str)],
    /// On which host a script must succeed after the repair.
    pub check: (&'static str, &'static str),
    /// The consent without which apply refuses, because data would be replaced; empty if none is.
    pub consent: &'static str,
}

const UNIT_2: &[(&str, &str)] = &[("erp2", "unit")];
const UNIT_1: &[(&str, &str)] = &[("erp1", "unit")];
const FILE_2: &[(&str, &str)] = &[("erp2", "file")];
const NOTHING: &[(&str, &str)] = &[];

macro_rules! rows {
    ($($name:literal on $host:literal: $tamper:literal => $kind:literal $words:tt also $also:expr, check $where:literal $check:literal $(consent $consent:literal)?;)*) => {
        &[$(Tampering { name: $name, host: $host, tamper: $tamper, kind: $kind, words: &$words, also: $also, check: ($where, $check), consent: concat!("" $(, $consent)?) }),*]
    };
}

/// Every row. They are independent: each begins with a pair that does not differ.
pub const TAMPERINGS: &[Tampering] = rows! {
    // Packages.
    "package_removed" on "erp2": "apt-get remove -qq -y tree >/dev/null"
        => "packages" ["tree"] also NOTHING, check "erp2" "tree --version";
    "package_held" on "erp2": "apt-mark hold tree >/dev/null"
        => "packages" ["tree", "hold"] also NOTHING, check "erp2" "! apt-mark showhold | grep -qx tree";
    "package_released" on "erp2": "apt-mark unhold otr-lab-tool >/dev/null"
        => "packages" ["otr-lab-tool", "hold"] also NOTHING, check "erp2" "apt-mark showhold | grep -qx otr-lab-tool";
    "package_upgraded" on "erp2": "apt-get install -qq -y --allow-change-held-packages otr-lab-tool=1.1 >/dev/null; apt-mark hold otr-lab-tool >/dev/null"
        => "packages" ["otr-lab-tool", "1.1", "1.0"] also NOTHING, check "erp2" "otr-lab-tool | grep -qx 'otr-lab-tool 1.0' && apt-mark showhold | grep -qx otr-lab-tool";

    // Python modules.
    "pip_module_removed" on "erp2": "pip3 uninstall -q -y phonenumbers"
        => "pip" ["phonenumbers", "8.12.1"] also NOTHING, check "erp2" "cd /; python3 -c 'import phonenumbers'";
    "pip_module_of_another_version" on "erp2": "pip3 install -q redis==3.5.2"
        => "pip" ["redis", "3.5.2", "3.5.3"] also NOTHING, check "erp2" "test -d /usr/local/lib/python3.9/dist-packages/redis-3.5.3.dist-info";

    // odoo.conf. The standby's Odoo is masked, so nothing restarts there.
    "odoo_conf_key_changed" on "erp2": "sed -i 's/^limit_time_cpu = .*/limit_time_cpu = 9/' /etc/odoo/odoo.conf"
        => "odoo-conf" ["limit_time_cpu", "9", "120"] also NOTHING, check "erp2" "grep -qx 'limit_time_cpu = 120' /etc/odoo/odoo.conf";
    "odoo_conf_unknown_key" on "erp2": "echo 'colour = red' >>/etc/odoo/odoo.conf"
        => "odoo-conf" ["colour"] also NOTHING, check "erp2" "! grep -q colour /etc/odoo/odoo.conf";
    "odoo_conf_key_lost" on "erp2": "sed -i '/^list_db/d' /etc/odoo/odoo.conf"
        => "odoo-conf" ["list_db"] also NOTHING, check "erp2" "grep -qx 'list_db = False' /etc/odoo/odoo.conf";
    "odoo_conf_other_password" on "erp2": "sed -i 's/^admin_passwd = .*/admin_passwd = guess/' /etc/odoo/odoo.conf"
        => "odoo-conf" ["admin_passwd"] also NOTHING, check "erp2" "! grep -q guess /etc/odoo/odoo.conf";
    "odoo_conf_readable_by_all" on "erp2": "chmod 644 /etc/odoo/odoo.conf"
        => "odoo-conf" ["mode", "0644", "0640"] also NOTHING, check "erp2" "test $(stat -c %a /etc/odoo/odoo.conf) = 640";
    "odoo_conf_of_another_owner" on "erp2": "chown root:root /etc/odoo/odoo.conf"
        => "odoo-conf" ["owner", "root"] also NOTHING, check "erp2" "test $(stat -c %U /etc/odoo/odoo.conf) = odoo";
    "odoo_conf_gone" on "erp2": "rm /etc/odoo/odoo.conf"
        => "odoo-conf" ["db_name"] also NOTHING, check "erp2" "grep -qx 'workers = 0' /etc/odoo/odoo.conf";
    "productions_odoo_conf_changed" on "erp1": "sed -i 's/^workers = .*/workers = 1/' /etc/odoo/odoo.conf; systemctl restart odoo"
        => "odoo-conf" ["workers"] also UNIT_1, check "erp1" "grep -qx 'workers = 2' /etc/odoo/odoo.conf && systemctl is-active -q odoo && grep -q 'Ask Kim' /etc/odoo/odoo.conf";

    // Odoo's service.
    "odoo_started_on_the_standby" on "erp2": "systemctl unmask odoo 2>/dev/null; rm /etc/systemd/system/odoo.service.d/otr-guard.conf; systemctl daemon-reload; systemctl enable --now odoo 2>/dev/null; sleep 1; systemctl is-active -q odoo"
        => "unit" ["odoo.service", "masked"] also FILE_2, check "erp2" "! systemctl is-active -q odoo && test $(systemctl is-enabled odoo) = masked";
    "odoo_unmasked_on_the_standby" on "erp2": "systemctl unmask odoo 2>/dev/null"
        => "unit" ["odoo.service", "masked"] also NOTHING, check "erp2" "test $(systemctl is-enabled odoo) = masked";
    "odoo_stopped_on_production" on "erp1": "systemctl stop odoo"
        => "unit" ["odoo.service", "inactive"] also NOTHING, check "erp1" "systemctl is-active -q odoo";
    "odoo_disabled_on_production" on "erp1": "systemctl disable odoo 2>/dev/null"
        => "unit" ["odoo.service", "disabled"] also NOTHING, check "erp1" "systemctl is-enabled -q odoo";

    // Redis: the file and the server are two things.
    "redis_conf_only" on "erp2": "sed -i 's/^maxmemory .*/maxmemory 32mb/' /etc/redis/redis.conf"
        => "redis" ["maxmemory"] also UNIT_2, check "erp2" "grep -Eq '^maxmemory (64mb|67108864)' /etc/redis/redis.conf";
    "redis_config_set_only" on "erp2": "REDISCLI_AUTH=keys-to-the-shop redis-cli config set maxmemory 32mb >/dev/null"
        => "redis" ["maxmemory"] also NOTHING, check "erp2" "REDISCLI_AUTH=keys-to-the-shop redis-cli config get maxmemory | grep -qx 67108864";
    "redis_config_set_on_production" on "erp1": "REDISCLI_AUTH=keys-to-the-shop redis-cli config set maxmemory-policy noeviction >/dev/null"
        => "redis" ["maxmemory-policy", "noeviction"] also NOTHING, check "erp1" "REDISCLI_AUTH=keys-to-the-shop redis-cli config get maxmemory-policy | grep -qx volatile-lru";
    "redis_replica_set_free" on "erp2": "REDISCLI_AUTH=keys-to-the-shop redis-cli replicaof no one >/dev/null"
        => "redis" [] also NOTHING, check "erp2" "REDISCLI_AUTH=keys-to-the-shop redis-cli info replication | grep -q master_link_status:up" consent "--replace-data erp2";
    "redis_stopped" on "erp2": "systemctl stop redis-server"
        => "unit" ["redis-server.service", "inactive"] also &[("erp2", "redis")], check "erp2" "REDISCLI_AUTH=keys-to-the-shop redis-cli info replication | grep -q master_link_status:up";

    // PostgreSQL.
    "slot_dropped" on "erp1": "cd /; runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c \"do \\$\\$ begin for n in 1..4000 loop perform pg_terminate_backend(active_pid) from pg_replication_slots where active; begin perform pg_drop_replication_slot('otr_erp2'); return; exception when object_in_use then perform pg_sleep(0.005); end; end loop; raise 'the slot is always in use'; end \\$\\$\""
        => "slot" ["otr_erp2"] also &[("erp2", "standby")], check "erp1" "cd /; runuser -u postgres -- psql -Atc 'select active from pg_replication_slots' | grep -qx t";
    "slot_of_nobody" on "erp1": "cd /; runuser -u postgres -- psql -qAtc \"select pg_create_physical_replication_slot('otr_ghost', true)\" >/dev/null"
        => "slot" ["otr_ghost"] also NOTHING, check "erp1" "cd /; test $(runuser -u postgres -- psql -Atc 'select count(*) from pg_replication_slots') = 1";
    "postgresql_value_changed_and_reloaded" on "erp1": "sed -i \"s/^wal_keep_size.*/wal_keep_size = '32MB'/\" /etc/postgresql/13/main/conf.d/50-otr.conf; systemctl reload postgresql@13-main"
        => "file" ["wal_keep_size"] also &[("erp1", "postgresql"), ("erp1", "unit")], check "erp1" "cd /; runuser -u postgres -- psql -Atc 'show wal_keep_size' | grep -qx 64MB";
    "postgresql_value_that_needs_a_restart" on "erp2": "sed -i \"s/^max_connections.*/max_connections = '130'/\" /etc/postgresql/13/main/conf.d/50-otr.conf; systemctl restart postgresql@13-main"
        => "file" ["max_connections"] also &[("erp2", "postgresql"), ("erp2", "unit"), ("erp2", "standby")], check "erp2" "cd /; runuser -u postgres -- psql -Atc 'show max_connections' | grep -qx 120";
    "postgresql_value_by_alter_system" on "erp1": "cd /; runuser -u postgres -- psql -qc \"alter system set wal_keep_size = '16MB'\" -c 'select pg_reload_conf()' >/dev/null"
        => "postgresql" ["wal_keep_size"] also UNIT_1, check "erp1" "cd /; runuser -u postgres -- psql -Atc 'show wal_keep_size' | grep -qx 64MB";
    "pg_hba_line_lost" on "erp1": "sed -i '/otr_repl/d' /etc/postgresql/13/main/pg_hba.conf; systemctl reload postgresql@13-main"
        => "replication" ["pg_hba.conf"] also &[("erp1", "postgresql"), ("erp1", "unit")], check "erp1" "grep -q otr_repl /etc/postgresql/13/main/pg_hba.conf";
    "replication_role_without_its_right" on "erp1": "cd /; runuser -u postgres -- psql -qc 'alter role otr_repl noreplication'"
        => "role" ["otr_repl"] also NOTHING, check "erp1" "cd /; runuser -u postgres -- psql -Atc \"select rolreplication from pg_roles where rolname = 'otr_repl'\" | grep -qx t";
    "standby_stopped" on "erp2": "systemctl stop postgresql@13-main"
        => "unit" ["postgresql@13-main.service"] also &[("erp2", "standby"), ("erp2", "postgresql"), ("erp2", "filestore"), ("erp2", "sessions")], check "erp1" "cd /; runuser -u postgres -- psql -Atc 'select state from pg_stat_replication' | grep -qx streaming";

    // The filestore.
    "file_deleted" on "erp2": "cd /var/lib/odoo/.local/share/Odoo/filestore/acme; find . \\( -path ./checklist -o -path ./.otr-quarantine \\) -prune -o -type f -size +20k -print | sort | head -1 | xargs rm"
        => "filestore" ["acme"] also NOTHING, check "erp2" "cd /var/lib/odoo/.local/share/Odoo/filestore/acme; for f in $(cd /; runuser -u postgres -- psql -Atc \"select distinct store_fname from ir_attachment where store_fname <> ''\" acme); do test -f $f || exit 1; done";
    "file_truncated" on "erp2": "cd /var/lib/odoo/.local/share/Odoo/filestore/acme; find . \\( -path ./checklist -o -path ./.otr-quarantine \\) -prune -o -type f -size +20k -print | sort | head -1 | xargs truncate -s 100"
        => "filestore" ["acme"] also NOTHING, check "erp2" "cd /var/lib/odoo/.local/share/Odoo/filestore/acme; for f in $(find . \\( -path ./checklist -o -path ./.otr-quarantine \\) -prune -o -type f -print); do s=$(sha1sum <$f); test ${s%% *} = ${f##*/} || exit 1; done";
    "one_byte_flipped" on "erp2": "cd /var/lib/odoo/.local/share/Odoo/filestore/acme; f=$(find . \\( -path ./checklist -o -path ./.otr-quarantine \\) -prune -o -type f -size +20k -print | sort | head -1); printf '\\377\\000\\377' | dd of=$f bs=1 seek=5000 conv=notrunc status=none"
        => "filestore" ["acme"] also NOTHING, check "erp2" "cd /var/lib/odoo/.local/share/Odoo/filestore/acme; for f in $(find . \\( -path ./checklist -o -path ./.otr-quarantine \\) -prune -o -type f -print); do s=$(sha1sum <$f); test ${s%% *} = ${f##*/} || exit 1; done";
    "filestore_level_of_root" on "erp2": "chown root:root /var/lib/odoo/.local/share"
        => "directory" ["/var/lib/odoo/.local/share", "root"] also NOTHING, check "erp2" "test -z \"$(find /var/lib/odoo ! -user odoo)\"";

    // Files, drop-ins, timers.
    "file_changed" on "erp2": "echo 'all is well' >>/etc/acme/notice"
        => "file" ["/etc/acme/notice"] also NOTHING, check "erp2" "grep -qx 'erp2 is the standby of acme' /etc/acme/notice && ! grep -q well /etc/acme/notice";
    "file_with_another_mode" on "erp1": "chmod 666 /etc/acme/notice"
        => "file" ["/etc/acme/notice", "mode"] also NOTHING, check "erp1" "test $(stat -c %a /etc/acme/notice) = 640";
    "file_became_a_link" on "erp2": "mv /etc/acme/notice /root/notice; ln -s /root/notice /etc/acme/notice"
        => "file" ["/etc/acme/notice"] also NOTHING, check "erp2" "test -f /etc/acme/notice && test ! -L /etc/acme/notice";
    "directory_gone" on "erp2": "rm -r /etc/acme"
        => "directory" ["/etc/acme"] also &[("erp2", "file")], check "erp2" "test -f /etc/acme/notice";
    "drop_in_edited" on "erp2": "sed -i 's/Nice=5/Nice=9/' /etc/systemd/system/cron.service.d/acme.conf; systemctl daemon-reload; systemctl restart cron"
        => "file" ["acme.conf", "Nice"] also UNIT_2, check "erp2" "test $(systemctl show -p Nice --value cron) = 5 && test $(ps -o ni= -p $(systemctl show -p MainPID --value cron)) -eq 5";
    "drop_in_deleted" on "erp1": "rm /etc/systemd/system/cron.service.d/acme.conf; systemctl daemon-reload"
        => "file" ["acme.conf"] also UNIT_1, check "erp1" "test $(ps -o ni= -p $(systemctl show -p MainPID --value cron)) -eq 5";
    "timer_masked" on "erp2": "systemctl stop otr-sync.timer; mv /etc/systemd/system/otr-sync.timer /root/; systemctl mask otr-sync.timer 2>/dev/null"
        => "unit" ["otr-sync.timer"] also &[("erp2", "file")], check "erp2" "systemctl is-active -q otr-sync.timer && systemctl is-enabled -q otr-sync.timer";
    "timer_stopped" on "erp2": "systemctl stop otr-sync.timer"
        => "unit" ["otr-sync.timer", "inactive"] also NOTHING, check "erp2" "systemctl is-active -q otr-sync.timer";
    "timer_edited" on "erp2": "sed -i 's/^OnCalendar=.*/OnCalendar=monthly/' /etc/systemd/system/otr-sync.timer; systemctl daemon-reload"
        => "file" ["otr-sync.timer"] also UNIT_2, check "erp2" "systemctl is-active -q otr-sync.timer && ! grep -q monthly /etc/systemd/system/otr-sync.timer";
};
