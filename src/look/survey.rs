//! What stands on a machine that nobody has described yet: Odoo's services, PostgreSQL's clusters,
//! servers, mounts, and what the predecessor of otr left there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError};

/// What stands there, as far as the login may see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Survey {
    /// Services that run Odoo.
    pub services: Vec<Service>,
    /// Odoo processes that no service of these runs.
    pub strays: Vec<String>,
    /// Virtual environments the services' programs live in.
    pub venvs: BTreeSet<PathBuf>,
    /// Odoo's major versions, as the `release.py` of its code says.
    pub releases: BTreeSet<u32>,
    /// PostgreSQL clusters (pg_lsclusters).
    pub clusters: Vec<Cluster>,
    /// File systems of a network or of user space.
    pub mounts: Vec<Mount>,
    /// Servers that are installed, and whether each runs.
    pub servers: BTreeMap<String, bool>,
    /// Configuration that belongs to Odoo and that no package of Odoo's brings.
    pub files: BTreeSet<PathBuf>,
    /// What of the predecessor is there.
    pub traces: BTreeSet<Trace>,
    /// What the login may not read.
    pub hidden: BTreeSet<PathBuf>,
}

/// A service that runs Odoo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its unit.
    pub unit: String,
    /// Whether it runs.
    pub active: bool,
    /// Its account; empty is root.
    pub user: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables of its environment that session modules read. Those that may hold a password are
    /// named without their value.
    pub variables: BTreeMap<String, String>,
}

/// A line of pg_lsclusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its major version.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// It runs.
    pub online: bool,
    /// It follows another one.
    pub recovery: bool,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where.
    pub at: PathBuf,
    /// What.
    pub from: String,
    /// The kernel's word for its type.
    pub kind: String,
}

/// Something the predecessor left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trace {
    /// Where.
    pub path: PathBuf,
    /// Which of its commands it calls; empty for its configuration and its summary.
    pub command: String,
}

/// The servers that are asked for, by unit.
const SERVERS: [&str; 6] = ["redis-server", "valkey-server", "memcached", "nginx", "haproxy", "pgbouncer"];

/// Variables that are shown with their value: addresses, names and times, never a password.
const SHOWN: &str = "ODOO_SESSION_REDIS|ODOO_SESSION_REDIS_HOST|ODOO_SESSION_REDIS_PORT|ODOO_SESSION_REDIS_PREFIX\
|ODOO_SESSION_REDIS_EXPIRATION|ODOO_SESSION_REDIS_EXPIRATION_ANONYMOUS|REDIS_HOST|REDIS_PORT|REDIS_PREFIX|REDIS_SSL";

/// Variables whose presence alone is told.
const NAMED: &str = "ODOO_SESSION_REDIS_URL|ODOO_SESSION_REDIS_PASSWORD|REDIS_URL|REDIS_PASSWORD|SESSION_DB_URI";

/// The predecessor's commands (its manual, "The script suite").
const COMMANDS: &str = "ot-(attachments?|apt|pip|project|conf)-sync|ot-sync-from-source";

pub(super) fn script() -> String {
    let servers = SERVERS.join(" ");
    format!(
        r#"line() {{ printf '%s\t' "$@" | sed 's/\t$//'; echo; }}
names=$(systemctl list-unit-files --type=service --no-legend --no-pager 2>/dev/null | awk '{{print $1}}' | grep -iE 'odoo|openerp')
more=$(grep -lE '^ExecStart=.*(odoo|openerp)' /etc/systemd/system/*.service /lib/systemd/system/*.service 2>/dev/null | sed 's,.*/,,')
for unit in $(printf '%s\n' $names $more | grep -v '@' | sort -u); do
  exec=$(systemctl show -p ExecStart --value -- "$unit" | sed -n 's/.*argv\[\]=\(.*\) ; ignore_errors.*/\1/p' | head -n 1)
  [ -n "$exec" ] || continue
  case $unit in otr-*) continue;; esac
  echo "service $unit"
  line active "$(systemctl is-active -- "$unit")"
  line user "$(systemctl show -p User --value -- "$unit")"
  line exec "$exec"
  file=$(systemctl show -p EnvironmentFiles --value -- "$unit" | sed -n 's/ (ignore_errors=.*//p')
  {{ systemctl show -p Environment --value -- "$unit" | tr ' ' '\n'; [ -z "$file" ] || cat $file 2>/dev/null; }} |
    sed -nE -e 's/^"?({SHOWN})=("?)(.*[^"])"?$/variable\t\1\t\3/p' -e 's/^"?({NAMED})=.*/variable\t\1\t/p'
  for word in $exec; do
    case $word in /*) ;; *) continue;; esac
    [ ! -e "${{word%/bin/*}}/pyvenv.cfg" ] || line venv "${{word%/bin/*}}"
    shebang=$(head -c 200 -- "$word" 2>/dev/null | head -n 1 | tr -d '\000' | sed -n 's,^#! *\(/[^ ]*\)/bin/python.*,\1,p')
    [ -z "$shebang" ] || [ ! -e "$shebang/pyvenv.cfg" ] || line venv "$shebang"
    for release in "${{word%/*}}/odoo/release.py" "${{word%/*}}"/../lib/python3*/site-packages/odoo/release.py; do
      [ -r "$release" ] && sed -n 's/^version_info *= *(\([0-9]*\),.*/release\t\1/p' "$release"
    done
  done
done
for release in /usr/lib/python3/dist-packages/odoo/release.py /usr/share/core-odoo/odoo/release.py; do
  [ -r "$release" ] && sed -n 's/^version_info *= *(\([0-9]*\),.*/release\t\1/p' "$release"
done
ps -eo cgroup:500,args 2>/dev/null | awk '/\/(odoo|odoo-bin|openerp-server)( |$)/ && !/\.service/ && !/awk|otr/ {{ $1 = ""; print "stray\t" substr($0, 2, 200) }}'
command -v pg_lsclusters >/dev/null && pg_lsclusters -h | awk '{{ print "cluster\t" $1 "\t" $2 "\t" $3 "\t" $4 }}'
findmnt -rn -o TARGET,SOURCE,FSTYPE | awk '$3 ~ /^(nfs4?|cifs|smb3|ceph|glusterfs|fuse\..*)$/ && $3 != "fuse.lxcfs" {{ print "mount\t" $1 "\t" $2 "\t" $3 }}'
for server in {servers}; do
  state=$(systemctl show -p LoadState,ActiveState --value -- "$server.service" 2>/dev/null | tr '\n' ' ')
  case $state in loaded*) case $state in *" active "*) line server $server active;; *) line server $server inactive;; esac;; esac
done
for file in /etc/nginx/sites-enabled/* /etc/nginx/conf.d/*.conf /etc/haproxy/haproxy.cfg /etc/pgbouncer/pgbouncer.ini /etc/odoo/odoo.tools; do
  [ -e "$file" ] && line file "$file"
done
for unit in $(systemctl list-unit-files --type=service --no-legend --no-pager 2>/dev/null | awk '{{print $1}}' | grep -iE 'odoo|openerp'); do
  for file in /etc/systemd/system/$unit.d/*.conf; do [ -e "$file" ] && case $file in */otr*) ;; *) line file "$file";; esac; done
done
for file in /etc/cron.d/* /etc/cron.hourly/* /etc/cron.daily/* /etc/cron.weekly/* /etc/cron.monthly/* /etc/crontab /var/spool/cron/crontabs/*; do
  [ -f "$file" ] || continue
  [ -r "$file" ] || {{ line hidden "$file"; continue; }}
  grep -oE '{COMMANDS}' "$file" | sort -u | while read -r command; do line trace "$file" "$command"; done
done
[ -r /var/spool/cron/crontabs ] || [ ! -d /var/spool/cron/crontabs ] || line hidden /var/spool/cron/crontabs
settings=/etc/odoo/ot-redundancy-sync.conf
if [ -e $settings ]; then
  line trace $settings ""
  if [ -r $settings ]; then
    summary=$(sed -n 's/^[[:space:]]*SUMMARYFILE=["'\'']\{{0,1\}}\([^"'\'' ]*\).*/\1/p' $settings | tail -n 1)
    [ -z "$summary" ] || [ ! -e "$summary" ] || line trace "$summary" ""
  else line hidden $settings; fi
fi; :"#
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Survey, SightError> {
    let mut survey = Survey::default();
    for line in reply.text(limit)?.lines() {
        let wrong = || SightError::Unreadable(format!("line {line:?}"));
        if let Some(unit) = line.strip_prefix("service ") {
            survey.services.push(Service {
                unit: unit.to_owned(),
                active: false,
                user: String::new(),
                argv: Vec::new(),
                variables: BTreeMap::new(),
            });
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let service = survey.services.last_mut();
        match (fields.as_slice(), service) {
            (["active", state], Some(service)) => service.active = matches!(*state, "active" | "reloading" | "activating"),
            (["user"], _) => {}
            (["user", user], Some(service)) => service.user = (*user).to_owned(),
            (["exec", exec], Some(service)) => service.argv = exec.split_whitespace().map(str::to_owned).collect(),
            (["variable", name, value], Some(service)) => {
                service.variables.insert((*name).to_owned(), (*value).to_owned());
            }
            (["venv", path], _) => {
                survey.venvs.insert(path.into());
            }
            (["release", version], _) => {
                survey.releases.insert(version.parse().map_err(|_| wrong())?);
            }
            (["stray", process], _) => survey.strays.push((*process).to_owned()),
            (["cluster", version, name, port, status], _) => survey.clusters.push(Cluster {
                version: version.parse().map_err(|_| wrong())?,
                name: (*name).to_owned(),
                port: port.parse().map_err(|_| wrong())?,
                online: status.starts_with("online"),
                recovery: status.ends_with("recovery"),
            }),
            (["mount", at, from, kind], _) => {
                survey.mounts.push(Mount { at: at.into(), from: (*from).to_owned(), kind: (*kind).to_owned() })
            }
            (["server", name, state], _) => {
                survey.servers.insert((*name).to_owned(), *state == "active");
            }
            (["file", path], _) => {
                survey.files.insert(path.into());
            }
            (["trace", path], _) => {
                survey.traces.insert(Trace { path: path.into(), command: String::new() });
            }
            (["trace", path, command], _) => {
                survey.traces.insert(Trace { path: path.into(), command: (*command).to_owned() });
            }
            (["hidden", path], _) => {
                survey.hidden.insert(path.into());
            }
            _ => return Err(wrong()),
        }
    }
    Ok(survey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_production_of_odootools_is_read() {
        let text = "service odoo.service\nactive\tactive\nuser\todoo\nexec\t/usr/bin/odoo --config /etc/odoo/odoo.conf\n\
            variable\tODOO_SESSION_REDIS\t1\nvariable\tODOO_SESSION_REDIS_PASSWORD\t\nvenv\t/opt/odoo/venv\nrelease\t14\n\
            cluster\t13\tmain\t5432\tonline\ncluster\t13\told\t5433\tdown\nmount\t/srv\tnas:/odoo\tnfs4\nserver\tnginx\tactive\n\
            file\t/etc/nginx/sites-enabled/odoo\ntrace\t/etc/cron.hourly/ot\tot-attachments-sync\n\
            trace\t/etc/odoo/ot-redundancy-sync.conf\nhidden\t/var/spool/cron/crontabs\n";
        let survey = read(&Reply { stdout: text.into(), ..Reply::default() }, 1).unwrap();
        let service = &survey.services[0];
        assert!(service.active && service.user == "odoo" && service.argv[1] == "--config");
        assert_eq!(service.variables["ODOO_SESSION_REDIS_PASSWORD"], "");
        assert_eq!((survey.clusters.len(), survey.clusters[1].online, survey.clusters[0].port), (2, false, 5432));
        assert_eq!(survey.traces.len(), 2);
        assert!(survey.servers["nginx"] && survey.releases.contains(&14) && survey.venvs.len() == 1 && survey.hidden.len() == 1);
        assert!(read(&Reply { stdout: b"surprise\n".into(), ..Reply::default() }, 1).is_err());
    }
}
