//! What the scripts of Debian's packages do: users, files, units, the first cluster.
//!
//! The texts are those of bullseye's packages, cut down to what otr or a daemon reads.

use std::path::Path;

use super::files::Node;
use super::machine::Machine;
use super::packages::Archive;
use super::postgres::Data;

const ODOO_CONF: &str = "[options]\n; This is the password that allows database operations:\n; admin_passwd = admin\ndb_host = False\ndb_port = False\ndb_user = odoo\ndb_password = False\n;addons_path = /usr/lib/python3/dist-packages/odoo/addons\ndefault_productivity_apps = True\n";
const ODOO_UNIT: &str = "[Unit]\nDescription=Odoo Open Source ERP and CRM\nAfter=network.target\n\n[Service]\nType=simple\nUser=odoo\nGroup=odoo\nExecStart=/usr/bin/odoo --config /etc/odoo/odoo.conf --logfile /var/log/odoo/odoo-server.log\nKillMode=mixed\n\n[Install]\nWantedBy=multi-user.target\n";
const REDIS_CONF: &str = "bind 127.0.0.1 ::1\nprotected-mode yes\nport 6379\ntcp-backlog 511\ntimeout 0\ntcp-keepalive 300\ndaemonize yes\nsupervised no\npidfile /run/redis/redis-server.pid\nloglevel notice\nlogfile /var/log/redis/redis-server.log\ndatabases 16\nsave 900 1\nsave 300 10\nsave 60 10000\nstop-writes-on-bgsave-error yes\nrdbcompression yes\nrdbchecksum yes\ndbfilename dump.rdb\ndir /var/lib/redis\nreplica-serve-stale-data yes\nreplica-read-only yes\nrepl-diskless-sync no\nreplica-priority 100\nappendonly no\nappendfilename \"appendonly.aof\"\nappendfsync everysec\n";
const POSTGRESQL_CONF: &str = "data_directory = '/var/lib/postgresql/13/main'\t\t# use data in another directory\nhba_file = '/etc/postgresql/13/main/pg_hba.conf'\t# host-based authentication file\nport = 5432\t\t\t\t# (change requires restart)\nmax_connections = 100\t\t\t# (change requires restart)\n#listen_addresses = 'localhost'\t\t# what IP address(es) to listen on;\nssl = on\nshared_buffers = 128MB\t\t\t# min 128kB\nmax_wal_size = 1GB\nmin_wal_size = 80MB\ncluster_name = '13/main'\t\t\t# added to process titles if nonempty\n\ninclude_dir = 'conf.d'\t\t\t# include files ending in '.conf' from\n";
const PG_HBA: &str = "# Database administrative login by Unix domain socket\nlocal   all             postgres                                peer\n\n# TYPE  DATABASE        USER            ADDRESS                 METHOD\n\nlocal   all             all                                     peer\nhost    all             all             127.0.0.1/32            md5\nhost    all             all             ::1/128                 md5\nlocal   replication     all                                     peer\nhost    replication     all             127.0.0.1/32            md5\nhost    replication     all             ::1/128                 md5\n";

const ROOT: (&str, &str, u32) = ("root", "root", 0o644);
const POSTGRES: (&str, &str, u32) = ("postgres", "postgres", 0o644);

impl Machine {
    /// A package's postinst; `first` says that it was not installed before.
    pub(super) fn configure(&mut self, package: &str, first: bool, archive: &mut Archive) -> Result<(), String> {
        let now = self.tick();
        match package {
            "odoo-14" => {
                self.add_account("odoo", "/var/lib/odoo");
                let own = ("odoo", "odoo", 0o755);
                for directory in ["/var/lib/odoo", "/var/log/odoo"] {
                    self.files.make_parents(directory.as_ref(), own, now);
                }
                self.files.make_parents("/etc/odoo".as_ref(), ("root", "root", 0o755), now);
                self.conffile("/etc/odoo/odoo.conf", ODOO_CONF, ("odoo", "odoo", 0o640));
                self.files.make_parents("/usr/lib/python3/dist-packages/odoo/addons".as_ref(), ("root", "root", 0o755), now);
                self.package_unit("odoo.service", ODOO_UNIT, first)
            }
            "postgresql-common" => {
                self.add_account("postgres", "/var/lib/postgresql");
                self.files.make_parents("/var/lib/postgresql".as_ref(), ("postgres", "postgres", 0o755), now);
                self.files.make_parents("/etc/postgresql".as_ref(), ("postgres", "postgres", 0o755), now);
                self.files.make_parents("/etc/postgresql-common".as_ref(), ("root", "root", 0o755), now);
                let template = "[Unit]\nPartOf=postgresql.service\n[Service]\nType=forking\nExecReload=/usr/bin/pg_ctlcluster %I reload\n[Install]\nWantedBy=multi-user.target\n";
                self.files.write("/lib/systemd/system/postgresql@.service", template, ROOT, now);
                self.package_unit(
                    "postgresql.service",
                    "[Service]\nType=oneshot\nExecStart=/bin/true\nExecReload=/bin/true\nRemainAfterExit=on\n[Install]\nWantedBy=multi-user.target\n",
                    first,
                )
            }
            "postgresql-13" => self.configure_postgresql(first, archive),
            "redis-server" => {
                self.add_account("redis", "/var/lib/redis");
                for directory in ["/var/lib/redis", "/var/log/redis"] {
                    self.files.make_parents(directory.as_ref(), ("redis", "redis", 0o750), now);
                }
                self.files.make_parents("/etc/redis".as_ref(), ("redis", "redis", 0o770), now);
                self.conffile("/etc/redis/redis.conf", REDIS_CONF, ("redis", "redis", 0o640));
                self.package_unit("redis-server.service", "[Service]\nType=notify\nExecStart=/usr/bin/redis-server /etc/redis/redis.conf\n[Install]\nWantedBy=multi-user.target\n", first)
            }
            "nginx" | "haproxy" => {
                let unit = format!("{package}.service");
                self.files.make_parents(Path::new("/etc").join(package).as_path(), ("root", "root", 0o755), now);
                self.package_unit(&unit, "[Service]\nExecReload=/bin/kill -HUP $MAINPID\n[Install]\nWantedBy=multi-user.target\n", first)
            }
            _ => Ok(()),
        }
    }

    fn configure_postgresql(&mut self, first: bool, archive: &mut Archive) -> Result<(), String> {
        let key = (13, "main".to_owned());
        let unit = "postgresql@13-main.service";
        let wanted = !self
            .files
            .text("/etc/postgresql-common/createcluster.conf")
            .lines()
            .any(|line| line.replace(' ', "") == "create_main_cluster=false");
        if first && wanted && !self.files.is_directory("/etc/postgresql/13/main") {
            let now = self.tick();
            let (etc, data) = (Path::new("/etc/postgresql/13/main"), Path::new("/var/lib/postgresql/13/main"));
            self.files.make_parents(&etc.join("conf.d"), ("postgres", "postgres", 0o755), now);
            self.files.write(etc.join("postgresql.conf"), POSTGRESQL_CONF, POSTGRES, now);
            self.files.write(etc.join("pg_hba.conf"), PG_HBA, ("postgres", "postgres", 0o640), now);
            self.files.make_parents(data, ("postgres", "postgres", 0o700), now);
            self.files.make_parents(&data.join("global"), ("postgres", "postgres", 0o700), now);
            let private = ("postgres", "postgres", 0o600);
            self.files.write(data.join("global/pg_control"), "", private, now);
            self.files.write(data.join("PG_VERSION"), "13\n", private, now);
            self.files.write(
                data.join("postgresql.auto.conf"),
                "# Do not edit this file manually!\n# It will be overwritten by the ALTER SYSTEM command.\n",
                private,
                now,
            );
            self.clusters.entry(key).or_default().data = Some(Data::new(archive.next_identifier.to_string()));
            archive.next_identifier += 7_919;
        }
        if !first {
            self.stop_unit(unit);
        }
        match !self.clusters.is_empty() && !self.is_masked(unit) && !self.is_masked("postgresql.service") {
            // postinst leaves a cluster that does not start to its admin.
            true => self.start_unit(unit).or(Ok(())),
            false => Ok(()),
        }
    }

    /// dpkg keeps a configuration file that is there already (`--force-confold`).
    fn conffile(&mut self, path: &str, text: &str, attributes: (&str, &str, u32)) {
        if self.files.get(path).is_none() {
            let now = self.now;
            self.files.put(path, Node::File(text.into()), attributes, now);
        }
    }

    /// Enables a unit at the first installation, and starts or restarts it unless it is masked or disabled.
    fn package_unit(&mut self, unit: &str, text: &str, first: bool) -> Result<(), String> {
        let now = self.now;
        self.files.write(Path::new("/lib/systemd/system").join(unit), text, ROOT, now);
        let state = self.units.entry(unit.to_owned()).or_default();
        state.enabled |= first;
        let enabled = state.enabled;
        self.daemon_reload();
        if !enabled || self.is_masked(unit) {
            return Ok(());
        }
        self.stop_unit(unit);
        self.start_unit(unit).or(Ok(()))
    }

    /// A package's prerm and what removing its files takes away.
    pub(super) fn deconfigure(&mut self, package: &str) {
        let units: &[&str] = match package {
            "odoo-14" => &["odoo.service"],
            "redis-server" => &["redis-server.service"],
            "postgresql-13" => &["postgresql@13-main.service"],
            "postgresql-common" => &["postgresql.service"],
            "nginx" => &["nginx.service"],
            "haproxy" => &["haproxy.service"],
            _ => &[],
        };
        for unit in units {
            self.stop_unit(unit);
            self.files.remove_tree(&Path::new("/lib/systemd/system").join(unit));
        }
        self.daemon_reload();
        if package == "odoo-14" {
            self.accounts.users.remove("odoo");
            self.accounts.groups.remove("odoo");
        }
    }
}
