//! Follow mode: asks the replica what is new since the last look and fetches it, again and
//! again; compares everything now and then; ends by itself when its host is promoted.
//!
//! With nothing new nobody is asked but the replica, and it only for its position.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::keep::{KeepError, fetch_some, keep};
use super::names::{NeededFile, StoreName, sort_needed};
use super::production::Production;
use super::replica::{Position, Replica, ReplicaError, Since};
use crate::action::keep::{Keep, Kept, Needed};

/// A row's id is drawn before its transaction commits: rows of transactions this long are
/// seen by their ids; those of longer ones by the next look at every row.
const LONGEST: Duration = Duration::from_secs(600);
/// A look at every row may take this share of the time.
const SHARE: u32 = 100;
/// A file that production did not have whole is asked for again so often, twice as long each time,
const AGAIN: Duration = Duration::from_secs(2);
/// up to this; then it is left to the next comparison of everything.
const GIVE_UP: Duration = Duration::from_secs(300);
/// Between two attempts after errors.
const BACK_OFF: Duration = Duration::from_secs(60);

/// What one round brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Round {
    /// All went well.
    Well {
        /// Files that were fetched.
        files: u64,
        /// Files production does not have whole yet.
        waiting: usize,
    },
    /// Something failed; it is tried again.
    Failed(String),
    /// This host is no standby any more.
    Promoted,
}

/// Following one database.
pub struct Follow {
    job: Keep,
    reconcile: Duration,
    replica: Option<Replica>,
    /// Up to here every row was seen.
    position: Option<Position>,
    ids: VecDeque<(Instant, i64)>,
    compared: Option<Instant>,
    went_well: bool,
    scan_again: Instant,
    waiting: BTreeMap<StoreName, (NeededFile, Duration, Instant)>,
    failures: u32,
}

impl Follow {
    /// Begins with a comparison of everything.
    pub fn new(job: Keep, reconcile: Duration) -> Self {
        let scan_again = Instant::now();
        Self {
            job,
            reconcile,
            replica: None,
            position: None,
            ids: VecDeque::new(),
            compared: None,
            went_well: false,
            scan_again,
            waiting: BTreeMap::new(),
            failures: 0,
        }
    }

    /// When everything was compared last, and whether all was well then.
    pub fn compared(&self) -> Option<(Instant, bool)> {
        self.compared.map(|at| (at, self.went_well))
    }

    /// How long to wait before the next round.
    pub fn pause(&self, every: Duration) -> Duration {
        every.saturating_mul(1 << self.failures.min(6)).min(BACK_OFF.max(every))
    }

    /// Looks once, and fetches what is new.
    pub fn round(&mut self, production: &mut dyn Production, alive: &dyn Fn()) -> Round {
        match self.look(production, alive) {
            Ok(kept) => {
                self.failures = 0;
                match kept.problems.first() {
                    None => Round::Well { files: kept.files, waiting: self.waiting.len() },
                    Some(problem) => {
                        self.failures = 1;
                        Round::Failed(problem.clone())
                    }
                }
            }
            Err(KeepError::Replica(ReplicaError::Promoted)) => Round::Promoted,
            Err(error) => {
                self.replica = None;
                self.failures += 1;
                Round::Failed(error.to_string())
            }
        }
    }

    fn look(&mut self, production: &mut dyn Production, alive: &dyn Fn()) -> Result<Kept, KeepError> {
        let Needed::Database(cluster) = &self.job.needed else {
            return Err(KeepError::Other("there is no replica to follow: the spec has no `replication:`".into()));
        };
        let replica = match &mut self.replica {
            Some(replica) => replica,
            none => none.insert(Replica::open(cluster, &self.job.database)?),
        };
        let now = Instant::now();
        if self.position.is_none() || self.compared.is_none_or(|at| now.duration_since(at) >= self.reconcile) {
            // The position first: what comes while everything is compared is new afterwards.
            let position = replica.position()?;
            alive();
            let kept = keep(&self.job, production, &|_| alive())?;
            self.ids = VecDeque::from([(now, position.max_id)]);
            self.position = Some(position);
            self.compared = Some(now);
            self.went_well = kept.complaint().is_none();
            self.waiting.clear();
            return Ok(kept);
        }
        let Some(before) = self.position.clone() else { return Ok(Kept::default()) };
        let mut files = Vec::new();
        if replica.replayed()? != before.replayed {
            files = self.news(&before, now)?;
        }
        let due = |(_, _, at): &&(NeededFile, Duration, Instant)| *at <= now;
        files.extend(self.waiting.values().filter(due).map(|(file, ..)| *file));
        sort_needed(&mut files);
        if files.is_empty() {
            return Ok(Kept::default());
        }
        alive();
        let kept = fetch_some(&self.job, &files, production)?;
        self.wait_for(&files, &kept, now);
        Ok(kept)
    }

    /// Files of rows that are new or changed since the position.
    fn news(&mut self, before: &Position, now: Instant) -> Result<Vec<NeededFile>, KeepError> {
        let Some(replica) = &mut self.replica else { return Ok(Vec::new()) };
        let whole = now >= self.scan_again;
        while self.ids.len() > 1 && self.ids.get(1).is_some_and(|(at, _)| now.duration_since(*at) > LONGEST) {
            self.ids.pop_front();
        }
        let from = self.ids.front().map_or(before.max_id, |(_, id)| *id);
        let begun = Instant::now();
        let (files, position) = replica.news(if whole { Since::Snapshot(before.xmin) } else { Since::Id(from) })?;
        if self.ids.back().is_none_or(|(at, id)| *id != position.max_id && now.duration_since(*at) > Duration::from_secs(5)) {
            self.ids.push_back((now, position.max_id));
        }
        match whole {
            true => {
                self.scan_again = Instant::now() + begun.elapsed() * SHARE;
                self.position = Some(position);
            }
            // Not every row was seen: the old snapshot stays, so the next whole look sees them.
            false => self.position = Some(Position { xmin: before.xmin, ..position }),
        }
        Ok(files)
    }

    /// Files that were not whole on production are asked for again.
    fn wait_for(&mut self, files: &[NeededFile], kept: &Kept, now: Instant) {
        for file in files {
            let name = file.name.to_string();
            let not_whole = kept.damaged.contains(&name) || kept.absent.iter().any(|absent| absent.starts_with(&name));
            let pause = self.waiting.get(&file.name).map_or(AGAIN, |(_, pause, _)| *pause * 2);
            if (not_whole || !kept.problems.is_empty()) && pause <= GIVE_UP {
                self.waiting.insert(file.name, (*file, pause, now + pause));
            } else {
                self.waiting.remove(&file.name);
            }
        }
    }
}
