//! `otr init --retire-predecessor`: its cron jobs go, as `otr` has taken over.
//!
//! Files of cron.d, cron.hourly … that call its commands are removed; a copy is kept in /var/lib/otr/backup.
//! A crontab may hold other lines, and its package may still be wanted: both are named only.

use crate::command::complain;
use anyhow::{Result, ensure};
use indexmap::IndexMap;

use super::super::{Exit, ask, diff::side, holder, locked, print, spec_path};
use crate::action::Action;
use crate::cli::{Global, InitArgs};
use crate::draft::predecessor::{found, jobs};
use crate::fleet::Fleet;
use crate::host::Connect;
use crate::host::connect::Connector;
use crate::look::Look;
use crate::name::HostName;
use crate::spec::load::read;
use crate::spec::{Access, HostSpec};

pub fn run(global: &Global, args: &InitArgs) -> Result<Exit> {
    let mut hosts: IndexMap<HostName, HostSpec> = IndexMap::new();
    for (address, otherwise) in [(&args.production, "production"), (&args.standby, "standby")] {
        if let Some(address) = address {
            hosts.extend([side(None, address, otherwise)?]);
        }
    }
    if let (true, Some(path)) = (hosts.is_empty(), spec_path(global)) {
        hosts = read(&path, &global.sets)?.spec.hosts;
    }
    ensure!(!hosts.is_empty(), "no host: name one, or a spec with --spec FILE");
    let connector = Connector { hosts: hosts.clone(), accept_new: global.accept_new, here: global.here.clone() };
    with(global, args, &connector, &hosts)
}

/// Looks at the hosts, asks, and removes.
pub(super) fn with(global: &Global, args: &InitArgs, connect: &dyn Connect, hosts: &IndexMap<HostName, HostSpec>) -> Result<Exit> {
    let fleet = Fleet::open(connect, hosts.keys());
    let facts = fleet.look(hosts.keys().map(|host| (host.clone(), Look::Survey)));
    let (mut work, mut left, mut unseen) = (Vec::new(), Vec::new(), Vec::new());
    for (host, spec) in hosts {
        match facts.survey(host) {
            Ok(survey) => {
                let jobs = jobs(survey);
                let may = spec.access == Access::Manage;
                left.extend(found(survey).into_iter().filter(|found| !may || !jobs.contains(&found.path)).map(|found| (host, found)));
                work.extend(jobs.into_iter().filter(|_| may).map(|path| (host, path)));
            }
            Err(error) => {
                unseen.push(facts.unreachable(host).map_or_else(|| error.to_string(), |why| format!("{host} cannot be reached: {why}")))
            }
        }
    }
    for (host, found) in &left {
        print(&format!("{host}: {} {}: it stays; {} replaces it", found.path.display(), found.what, found.replaced_by))?;
    }
    for (host, path) in &work {
        print(&format!("{host}: remove {}", path.display()))?;
    }
    for error in &unseen {
        complain(format!("error: {error}"));
    }
    let failed = if unseen.is_empty() { Exit::Done } else { Exit::Failed };
    if work.is_empty() {
        ensure!(unseen.len() < hosts.len(), "no host could be seen, so nothing was removed; run it again when they answer");
        print("no cron job of odooredundancy was found that otr may remove")?;
        return Ok(failed);
    }
    if args.dry_run {
        return Ok(failed);
    }
    if !args.yes && ask("Remove them? y/n")?.is_none_or(|answer| !answer.eq_ignore_ascii_case("y")) {
        print("nothing was changed; --yes says so beforehand")?;
        return Ok(Exit::Failed);
    }
    if let Err((host, error)) = fleet.lock(work.iter().map(|(host, _)| *host), &holder("init")) {
        return locked(global, &host, &error);
    }
    for (host, path) in work {
        fleet
            .act(host, &Action::RemoveFile { path: path.clone() })
            .map_err(|error| anyhow::anyhow!("{host}: {}: {error}", path.display()))?;
    }
    print("removed; a copy of each is kept in /var/lib/otr/backup on its host")?;
    Ok(failed)
}
