//! `otr sync filestore --follow`: a service on a standby. Runs until it is told to stop or its
//! host is promoted.

use std::io::{self, Read};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};

use super::notify::notify;
use super::pause::resting_here;
use super::{Exit, Session, print};
use crate::action::{Action, Gift};
use crate::cli::Global;
use crate::epoch::Epoch;
use crate::filestore::follow::{Follow, Round};
use crate::filestore::production::Asked;
use crate::history::Copied;
use crate::history::pause::Pause;
use crate::host::{Connect, Host, local};
use crate::name::HostName;
use crate::report::visible::one_line;
use crate::spec::Spec;
use crate::spec::host::HostSpec;
use crate::sync::{Stores, stores};

/// A connection nobody needed for so long is closed: with nothing new there is no traffic.
const IDLE: Duration = Duration::from_secs(30);
/// Where the spec does not say.
const EVERY: Duration = Duration::from_secs(5);
const RECONCILE: Duration = Duration::from_secs(3600);

pub fn run(global: &Global, every: Option<Duration>) -> Result<Exit> {
    let session = Session::open(global)?;
    let spec = &session.loaded.spec;
    let here = session.here.clone().or_else(|| spec.standbys().find(|host| spec.hosts.get(*host).is_some_and(|h| h.is_local())).cloned());
    let here = here.context("--follow runs on the standby itself: say which host this is with --here HOST")?;
    if here == spec.production {
        print(&format!("{here} is production: there is nothing to follow"))?;
        return Ok(Exit::Done);
    }
    let every = every.or(spec.filestore.follow.map(|span| span.0)).unwrap_or(EVERY).max(Duration::from_millis(200));
    let reconcile = spec.filestore.reconcile.map_or(RECONCILE, |span| span.0);
    let jobs: Vec<_> = stores(spec, Stores::default()).into_iter().filter(|(host, _)| *host == here).map(|(_, job)| job).collect();
    ensure!(!jobs.is_empty(), "the spec names no database to follow (odoo.databases)");
    let mut production = Link { connector: session.connector.as_ref(), name: &spec.production, open: None, used: Instant::now() };
    let mut follows: Vec<_> =
        jobs.into_iter().map(|job| (job.directory.clone(), job.database.clone(), Follow::new(job, reconcile))).collect();
    notify("READY=1\nSTATUS=comparing everything");
    let alive = || notify("WATCHDOG=1");
    let record = Pause::path(spec);
    let mut said = String::new();
    loop {
        alive();
        let begun = Instant::now();
        let (mut pause, mut status) = (every, Vec::new());
        let rest = resting_here(&record).or_else(|| superseded(spec));
        status.extend(rest.clone());
        for (directory, database, follow) in follows.iter_mut().filter(|_| rest.is_none()) {
            let before = follow.compared();
            let round = follow.round(&mut Asked { source: directory, give: &mut |gift| production.give(gift) }, &alive);
            if let Some((_, ok)) = follow.compared().filter(|now| before.is_none_or(|before| before.0 != now.0)) {
                put_on_record(spec, &here, ok);
            }
            match round {
                Round::Well { files, waiting } => {
                    if files > 0 {
                        print(&format!("{database}: {files} files fetched in {:.1} s", begun.elapsed().as_secs_f64()))?;
                    }
                    status.push(match waiting {
                        0 => format!("{database} is in step"),
                        n => format!("{database}: {n} files are not whole on production"),
                    });
                }
                Round::Failed(why) => {
                    production.open = None;
                    status.push(format!("{database}: {why}"));
                }
                Round::Promoted => {
                    print("this host follows no production any more: it was promoted, or is none yet. Nothing is left to do")?;
                    notify("STOPPING=1\nSTATUS=this host was promoted");
                    return Ok(Exit::Done);
                }
            }
            pause = pause.max(follow.pause(every));
        }
        let status = status.join("; ");
        if status != said {
            print(&status.to_string())?;
            notify(&format!("STATUS={}", one_line(&status)));
            said = status;
        }
        production.rest();
        std::thread::sleep(pause.saturating_sub(begun.elapsed()).max(Duration::from_millis(50)));
    }
}

/// Another host was promoted than the spec says: what this one would fetch is not production's. Whoever
/// makes this host follow the new one gives it the new spec, and starts this service again.
fn superseded(spec: &Spec) -> Option<String> {
    let text = std::fs::read_to_string(Epoch::path(spec.name.as_str())).ok()?;
    let production = Epoch::parse(&text)?.production.filter(|production| *production != spec.production)?;
    Some(format!("rests: {production} was promoted since, and the spec here says `production: {}`", spec.production))
}

/// `otr status` shows when everything was compared last, and when that last went well.
fn put_on_record(spec: &Spec, here: &HostName, ok: bool) {
    let copied = Copied { at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(), ok, what: Some("follow".into()) };
    let append = || -> Result<()> {
        let spec_here = HostSpec { becomes: None, ..spec.hosts.get(here).cloned().context("this host is not in the spec")? };
        let action = Action::AppendJournal { path: Copied::path(spec), line: serde_json::to_string(&copied)?, rotates: true };
        Ok(local::open(&spec_here).act(&action)?)
    };
    if let Err(error) = append() {
        let _ = print(&format!("this comparison is not on record: {}: {error}", Copied::path(spec).display()));
    }
}

/// A connection to production that is made when it is needed.
struct Link<'a> {
    connector: &'a dyn Connect,
    name: &'a HostName,
    open: Option<Box<dyn Host>>,
    used: Instant,
}

impl Link<'_> {
    fn give(&mut self, gift: &Gift) -> io::Result<Box<dyn Read + Send>> {
        self.used = Instant::now();
        let host = match &mut self.open {
            Some(host) => host,
            none => none.insert(self.connector.connect(self.name).map_err(|e| io::Error::other(e.to_string()))?),
        };
        host.give(gift).map_err(|e| {
            self.open = None;
            io::Error::other(e.to_string())
        })
    }

    fn rest(&mut self) {
        if self.used.elapsed() > IDLE {
            self.open = None;
        }
    }
}
