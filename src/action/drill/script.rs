//! The drill's actions as POSIX shell.

use super::{BUSY, DrilledOdoo, ODOO, PLACE, UNIT, psql};
use crate::look::{ClusterName, quote, quote_path};
use crate::name::{DatabaseName, Word};

const COPY: &str = "otr-drill-copy.service";
const POSTGRES: &str = "otr-drill-postgres.service";
/// What an interrupted drill leaves is removed by it. Whoever stops a drill, a promotion above all,
/// waits for what runs to end, and never for the removal of a large database.
const CLEAR: &str = "otr-drill-clear.service";
/// In memory: what Odoo writes into its filestore, and its environment.
const MEMORY: &str = "/run/otr-drill";
/// A drill that nobody ends ends after that.
const LIMIT: &str = "12h";

/// Stops all that runs. No dollar sign and no single quote: systemd reads it too. An overlay is taken
/// away before anything is removed, and the store below it is out of reach of what is removed in it.
fn still() -> String {
    format!(
        "systemctl stop {CLEAR} {ODOO} {POSTGRES} {COPY} 2>/dev/null || true; \
         [ ! -d {PLACE}/odoo/filestore ] || find {PLACE}/odoo/filestore -mindepth 1 -maxdepth 1 -type d -exec umount -l {{}} \";\" 2>/dev/null || true"
    )
}

fn remove() -> String {
    format!("rm -rf --one-file-system {PLACE} {MEMORY}")
}

/// The unit lives as long as the shell that this script runs in, which ends with its connection.
pub(super) fn begin(user: &Word) -> String {
    let (still, remove) = (still(), remove());
    let later = format!("systemd-run --quiet --collect --unit={CLEAR} -p Nice=19 -p IOSchedulingClass=idle {remove}");
    format!(
        "! systemctl is-active --quiet {UNIT} || {{ echo '{BUSY}' >&2; exit 75; }}\n\
         systemctl reset-failed {UNIT} {COPY} {POSTGRES} {ODOO} 2>/dev/null || :\n\
         systemd-run --quiet --collect --unit={UNIT} --description='otr drill' -p RuntimeMaxSec={LIMIT} -p TimeoutStopSec=90 \
         -p 'ExecStopPost=-/bin/sh -c '\\''{still}; {later}'\\' -- tail --pid=$$ -f /dev/null\n\
         {still}\n{remove}\n\
         group=$(id -gn {user})\n\
         [ ! -d /var/lib/otr ] || chmod o+x /var/lib/otr\n\
         install -d -m 0711 {PLACE} {MEMORY}\n\
         install -d -m 0700 -o postgres -g postgres {PLACE}/pg\n\
         install -d -m 0750 -o postgres -g \"$group\" {PLACE}/socket\n\
         install -d -m 0700 -o {user} -g \"$group\" {PLACE}/odoo {PLACE}/odoo/filestore"
    )
}

/// A unit of the drill's: it ends with the drill, yields processor and disk to everybody, sees no
/// network and no socket of a service, and writes nowhere but where it is told.
fn unit(name: &str, user: &str, writes: &[&str]) -> String {
    let writes: String = writes.iter().map(|place| format!(" {PLACE}/{place}")).collect();
    format!(
        "systemd-run --quiet --collect --unit={name} -p BindsTo={UNIT} -p After={UNIT} -p User={user} -p Nice=19 -p IOSchedulingClass=idle \
         -p NoNewPrivileges=yes -p PrivateTmp=yes -p ProtectSystem=strict -p 'ReadWritePaths={}' \
         -p PrivateNetwork=yes -p TemporaryFileSystem=/run:ro",
        writes.trim_start()
    )
}

/// systemd goes on without a network namespace where it cannot make one: then nothing is started.
const ALONE: &str = "sh -c '[ \"$(readlink /proc/self/ns/net)\" != \"$0\" ] || { echo \"no network of its own: PrivateNetwork= does not work here\" >&2; exit 78; }; exec \"$@\"' \"$(readlink /proc/1/ns/net)\"";

pub(super) fn copy(cluster: &ClusterName) -> String {
    let (version, port) = (cluster.version, cluster.port);
    format!(
        "systemd-run --quiet --collect --wait --pipe --unit={COPY} -p BindsTo={UNIT} -p After={UNIT} -p User=postgres -p Nice=19 -p IOSchedulingClass=idle \
         -p ProtectSystem=strict -p ReadWritePaths={PLACE}/pg -- \
         /usr/lib/postgresql/{version}/bin/pg_basebackup --pgdata={PLACE}/pg --port={port} --no-password --wal-method=stream --checkpoint=fast --no-sync </dev/null\n\
         rm -f {PLACE}/pg/standby.signal {PLACE}/pg/recovery.signal {PLACE}/pg/recovery.conf\n\
         : >{PLACE}/pg/postgresql.auto.conf"
    )
}

/// What the copy takes over from the server it was copied from: without these it may not start,
/// or reads its data otherwise.
const TAKEN: &str = "'shared_preload_libraries', 'session_preload_libraries', 'dynamic_library_path', 'max_connections', \
                     'max_prepared_transactions', 'max_locks_per_transaction', 'max_worker_processes', 'default_text_search_config', \
                     'DateStyle', 'IntervalStyle', 'TimeZone', 'lc_messages', 'lc_monetary', 'lc_numeric', 'lc_time'";

/// Small, alone, and of no use to anybody once it stops.
const SETTINGS: &str = "listen_addresses = ''
unix_socket_permissions = 0777
port = 5432
shared_buffers = 64MB
huge_pages = off
max_wal_size = 256MB
fsync = off
synchronous_commit = off
synchronous_standby_names = ''
full_page_writes = off
autovacuum = off
archive_mode = off
max_wal_senders = 0
max_logical_replication_workers = 0
max_parallel_workers_per_gather = 0
hot_standby = off
logging_collector = off
log_destination = stderr
ssl = off
external_pid_file = ''";

pub(super) fn recover(cluster: &ClusterName) -> String {
    let (version, start) = (cluster.version, unit(POSTGRES, "postgres", &["pg", "socket"]));
    let (from, to) = (crate::look::postgres::psql(cluster, "postgres"), psql("postgres"));
    format!(
        "f={PLACE}/postgresql.conf\n\
         cat >$f <<'OTR-EOF'\n{SETTINGS}\ndata_directory = '{PLACE}/pg'\nhba_file = '{PLACE}/pg_hba.conf'\nident_file = '{PLACE}/pg_ident.conf'\nunix_socket_directories = '{PLACE}/socket'\nOTR-EOF\n\
         {from} >>$f <<'SQL'\nSELECT name || ' = ' || quote_literal(setting) FROM pg_settings WHERE name IN ({TAKEN});\nSQL\n\
         echo 'local all all trust' >{PLACE}/pg_hba.conf\n: >{PLACE}/pg_ident.conf\n: >{PLACE}/postgresql.log\n\
         chmod 0644 $f {PLACE}/pg_hba.conf {PLACE}/pg_ident.conf\n\
         {start} -p KillSignal=SIGQUIT -p TimeoutStopSec=20 -p StandardOutput=append:{PLACE}/postgresql.log -p StandardError=append:{PLACE}/postgresql.log -- \
         {ALONE} /usr/lib/postgresql/{version}/bin/postgres -c config_file=$f\n\
         until said=$({to} -c 'SELECT pg_is_in_recovery()' 2>&1); do\n\
         systemctl is-active --quiet {POSTGRES} || {{ tail -n 15 {PLACE}/postgresql.log >&2; echo 'the copy of the database does not start' >&2; exit 1; }}\n\
         sleep 0.2\ndone\n\
         [ \"$said\" = f ] || {{ echo \"the copy takes no writes: $said\" >&2; exit 1; }}"
    )
}

pub(super) fn neutralise(_: &ClusterName, database: &DatabaseName) -> String {
    format!("{} <<'SQL'\n{}\nSQL", psql(database.as_str()), super::neutral::sql())
}

pub(super) fn odoo(odoo: &DrilledOdoo) -> String {
    let user = odoo.user.as_str();
    let start = unit(ODOO, user, &["odoo"]);
    let mut mounts = String::new();
    for (number, database) in odoo.databases.iter().enumerate() {
        let (lower, at) = (odoo.filestore.join(database.as_str()), quote(&format!("{PLACE}/odoo/filestore/{database}")));
        let (shown, lower) = (lower.display().to_string(), quote_path(&lower));
        // A colon or comma in a lower directory's name would end it: the working directory has none.
        mounts += &format!(
            "if [ -d {lower} ]; then\n\
             install -d -m 0700 -o {user} -g \"$group\" {at} {MEMORY}/{number} {MEMORY}/{number}/upper {MEMORY}/{number}/work\n\
             (cd {lower} && mount -t overlay otr-drill -o lowerdir=.,upperdir={MEMORY}/{number}/upper,workdir={MEMORY}/{number}/work {at}) || \
             {{ echo {} >&2; exit 1; }}\nfi\n",
            quote(&format!("{shown} cannot be shown to the drill through an overlay (kernel module overlay)"))
        );
    }
    let program: Vec<String> = odoo.program.iter().map(|word| quote(word)).collect();
    let hidden: String =
        odoo.hidden.iter().map(|path| format!(" -p {}", quote(&format!("InaccessiblePaths=-{}", path.display())))).collect();
    format!(
        "group=$(id -gn {user})\numask 077\n\
         cat >{MEMORY}/environment <<'OTR-EOF'\n{}\nOTR-EOF\n\
         cat >{PLACE}/odoo.conf <<'OTR-EOF'\n{}\nOTR-EOF\n\
         chown {user}:\"$group\" {PLACE}/odoo.conf\n: >{PLACE}/odoo.log\n\
         {mounts}\
         {start}{hidden} -p EnvironmentFile={MEMORY}/environment -p Environment=HOME={PLACE}/odoo -p KillSignal=SIGKILL \
         -p StandardOutput=append:{PLACE}/odoo.log -p StandardError=append:{PLACE}/odoo.log -- \
         {ALONE} {} --config {PLACE}/odoo.conf",
        odoo.environment.expose(),
        odoo.config.expose(),
        program.join(" "),
    )
}

pub(super) fn end() -> String {
    format!(
        "systemctl stop {UNIT} 2>/dev/null || :\n{}\n{}\n[ ! -e {PLACE} ] || {{ echo '{PLACE} is still there' >&2; exit 1; }}",
        still(),
        remove()
    )
}
