//! Look, decide, act, round by round, until everything holds.
//!
//! A round acts only on what the facts of that round ask for; the last round looks at
//! everything again and is the proof that nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::action::{Action, Moved};
use crate::facts::Facts;
use crate::fleet::Fleet;
use crate::host::HostError;
use crate::look::Look;
use crate::name::HostName;
use crate::plan::check::{Violation, check};
use crate::plan::{Item, Plan, Verdict, interruption, split};
use crate::report::{Outcome, ResourceReport, State};
use crate::resource::{Change, ResourceId, Wanted};
use crate::spec::{Role, Spec};

/// The limits of a run.
#[derive(Debug, Clone)]
pub struct Limits<'a> {
    /// The spec, for roles and rights.
    pub spec: &'a Spec,
    /// How long to wait for what happens by itself (streaming begins, replay ends).
    pub patience: Duration,
    /// Hosts whose data may be replaced.
    pub consent: &'a BTreeSet<HostName>,
    /// The host a promotion is under way for.
    pub promoting: Option<&'a HostName>,
    /// What interrupts the users of a live production may be done.
    pub restarts: bool,
    /// Users wait: what was done without an error counts as true, and is looked at later.
    pub trusting: bool,
}

/// Is told what happens. Must not fail.
pub trait Watch: Sync {
    /// An action begins.
    fn begins(&self, id: &ResourceId, title: &str);
    /// An action ended.
    fn ended(&self, id: &ResourceId, title: &str, error: Option<&HostError>);
    /// How far a long copy is.
    fn moves(&self, _id: &ResourceId, _moved: Moved) {}
    /// A store was kept; what is wrong with it, if anything is.
    fn kept(&self, _id: &ResourceId, _complaint: Option<&str>) {}
    /// Nothing can be done for now; this is waited for.
    fn waits(&self, on: &str);
}

/// A watch that looks away.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Watch for Silent {
    fn begins(&self, _: &ResourceId, _: &str) {}
    fn ended(&self, _: &ResourceId, _: &str, _: Option<&HostError>) {}
    fn waits(&self, _: &str) {}
}

/// The same difference after this many attempts means that the action does not help.
const ATTEMPTS: u32 = 3;
/// More rounds than any spec needs; a guard against two resources undoing each other.
const ROUNDS: u32 = 40;

/// Looks once and decides.
pub fn plan(fleet: &Fleet, wanted: &[Wanted]) -> Plan {
    Plan::make(wanted, &look(fleet, wanted, Vec::new()))
}

/// Everything that some resources ask for, and besides.
pub fn look<'a>(fleet: &Fleet, wanted: impl IntoIterator<Item = &'a Wanted> + Clone, also: Vec<(HostName, Look)>) -> Facts {
    let facts = fleet.look(wanted.clone().into_iter().flat_map(|w| w.resource.looks()).chain(also));
    let further: Vec<(HostName, Look)> = wanted.into_iter().flat_map(|w| w.resource.further(&facts)).collect();
    if further.is_empty() { facts } else { facts.and(fleet.look(further)) }
}

/// Makes everything hold, as far as it can be.
///
/// # Errors
/// The plan breaks a rule that no plan may break; nothing was done in that round.
pub fn converge(fleet: &Fleet, wanted: &[Wanted], limits: &Limits<'_>, watch: &dyn Watch) -> Result<Vec<ResourceReport>, Violation> {
    let mut run = Run { fleet, wanted, limits, watch, held: BTreeSet::new(), records: BTreeMap::new(), agreed: None };
    let mut deadline = Instant::now() + limits.patience;
    let mut rounds = 0;
    while rounds < ROUNDS {
        let full = run.held.is_empty();
        let (plan, facts) = run.look();
        // As it was at the beginning: what a package of this very run started has no users.
        run.agreed.get_or_insert_with(|| limits.agrees(&facts));
        if let Some(words) = run.split_brain(&facts).filter(|_| full) {
            return Err(Violation::SplitBrain(words));
        }
        let stale = split::stale(limits.spec, &facts).filter(|_| full && limits.promoting.is_none());
        if let Some(newer) = stale {
            return Err(Violation::StaleSpec(newer.words(&limits.spec.production)));
        }
        if let Some(violation) = check(&plan, limits.spec, limits.promoting).into_iter().next() {
            return Err(violation);
        }
        run.held.extend(plan.items.iter().filter(|item| item.verdict == Verdict::Holds).map(|item| item.id.clone()));
        if run.act(&plan) {
            if let Some(done) = run.taken_at_its_word(&plan).filter(|_| limits.trusting) {
                return Ok(run.report(&done));
            }
            rounds += 1;
            deadline = Instant::now() + limits.patience;
            continue;
        }
        let settling = plan.items.iter().find_map(|item| match &item.verdict {
            Verdict::Waits { on, by_itself: true } => Some(on),
            _ => None,
        });
        match settling {
            Some(on) if Instant::now() < deadline => {
                watch.waits(on);
                std::thread::sleep(Duration::from_millis(250));
            }
            // All that can be done is done: look at everything once more, unless this was that look.
            _ if !full => run.held.clear(),
            _ => return Ok(run.report(&plan)),
        }
    }
    let plan = run.look_at_all();
    Ok(run.report(&plan))
}

/// What was tried about one resource.
#[derive(Debug, Default, Clone)]
struct Record {
    change: Change,
    done: Vec<String>,
    attempts: u32,
    error: Option<String>,
    /// The error is that no attempt helped.
    still_differs: bool,
    acted: bool,
}

/// What was touched on one host, and what is satisfied after it.
type Worked = (Vec<(ResourceId, Record)>, BTreeSet<ResourceId>);

struct Run<'a> {
    fleet: &'a Fleet,
    wanted: &'a [Wanted],
    limits: &'a Limits<'a>,
    watch: &'a dyn Watch,
    held: BTreeSet<ResourceId>,
    records: BTreeMap<ResourceId, Record>,
    /// Users of production may be interrupted, or there are none.
    agreed: Option<bool>,
}

impl Limits<'_> {
    /// Whether users of production may be interrupted, or nobody works there.
    fn agrees(&self, facts: &Facts) -> bool {
        self.restarts || self.promoting.is_some() || !interruption::is_live(self.spec, facts) || interruption::in_window(self.spec, facts)
    }
}

impl Run<'_> {
    /// Looks at what does not hold yet; at the beginning, whether two hosts take writes.
    fn look(&self) -> (Plan, Facts) {
        let open: Vec<&Wanted> = self.wanted.iter().filter(|w| !self.held.contains(&w.resource.id())).collect();
        let split = if self.held.is_empty() && self.limits.promoting.is_none() { split::looks(self.limits.spec) } else { Vec::new() };
        let facts = look(self.fleet, open.iter().copied(), split);
        (self.marked(open, &facts), facts)
    }

    /// A plan that says what is left because it interrupts users.
    fn marked(&self, wanted: Vec<&Wanted>, facts: &Facts) -> Plan {
        let mut plan = Plan::make(wanted.iter().copied(), facts);
        if self.agreed == Some(false) {
            interruption::mark(&mut plan, wanted, self.limits.spec, facts);
        }
        plan
    }

    /// Two productions, none of which a person gave up.
    fn split_brain(&self, facts: &Facts) -> Option<String> {
        let (hosts, words) = split::split_brain(self.limits.spec, facts).filter(|_| self.limits.promoting.is_none())?;
        let named = hosts.iter().any(|host| self.limits.consent.contains(host));
        let loser = hosts.iter().find(|host| **host != self.limits.spec.production);
        let how = loser.map_or_else(String::new, |loser| {
            format!(": write it as `production:` in the spec (now {}), then `otr rejoin {loser}` or `apply --replace-data {loser}` for the other", self.limits.spec.production)
        });
        (!named).then_some(words + &how)
    }

    /// Everything held or was done without an error: the plan that another look would give.
    fn taken_at_its_word(&self, plan: &Plan) -> Option<Plan> {
        let done = |item: &Item| match item.verdict {
            Verdict::Holds => true,
            Verdict::Change(_) => self.records.get(&item.id).is_some_and(|record| record.acted && record.error.is_none()),
            _ => false,
        };
        let item = |w: &Wanted| Item { id: w.resource.id(), verdict: Verdict::Holds, needs: w.needs.clone() };
        plan.items.iter().all(done).then(|| Plan { items: self.wanted.iter().map(item).collect() })
    }

    fn look_at_all(&self) -> Plan {
        let facts = look(self.fleet, self.wanted, Vec::new());
        self.marked(self.wanted.iter().collect(), &facts)
    }

    /// It interrupts users of a live production, and nobody agreed.
    fn is_left(&self, id: &ResourceId, action: &Action) -> bool {
        self.agreed == Some(false) && id.host == self.limits.spec.production && action.interrupts()
    }

    /// Does what this round's plan allows; whether anything was tried.
    fn act(&mut self, plan: &Plan) -> bool {
        let mut tried = false;
        let mut satisfied = self.held.clone();
        // What an observed host hides is proven by trying: a standby that streams was let in.
        let hidden = |item: &&Item| matches!(item.verdict, Verdict::Unseen(_)) && !self.manages(&item.id.host);
        let settled = |item: &&Item| item.is_settled() || hidden(item);
        satisfied.extend(plan.items.iter().filter(settled).map(|item| item.id.clone()));
        for production in [false, true] {
            let hosts: BTreeSet<&HostName> = plan
                .items
                .iter()
                .map(|item| &item.id.host)
                .filter(|host| (self.limits.spec.role(host) == Role::Production) == production)
                .collect();
            let before = satisfied.clone();
            let records = std::mem::take(&mut self.records);
            let this = &*self;
            let results: Vec<Worked> = std::thread::scope(|scope| {
                let threads: Vec<_> = hosts
                    .into_iter()
                    .filter(|host| this.manages(host))
                    .map(|host| {
                        let items: Vec<&Item> = plan.items.iter().filter(|item| item.id.host == *host).collect();
                        let (records, before) = (&records, &before);
                        scope.spawn(move || this.act_on(&items, records, before))
                    })
                    .collect();
                threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
            });
            self.records = records;
            for (records, done) in results {
                tried |= !records.is_empty();
                self.records.extend(records);
                satisfied.extend(done);
            }
        }
        tried
    }

    fn manages(&self, host: &HostName) -> bool {
        crate::plan::check::may_change(self.limits.spec, host)
    }

    /// Works through one host's items in order.
    fn act_on(&self, items: &[&Item], records: &BTreeMap<ResourceId, Record>, satisfied: &BTreeSet<ResourceId>) -> Worked {
        let mut touched = Vec::new();
        let mut done = satisfied.clone();
        for item in items {
            let Verdict::Change(change) = &item.verdict else { continue };
            if item.is_settled() {
                continue;
            }
            let mut record = records.get(&item.id).cloned().unwrap_or_default();
            let consented = change.discards.is_none() || self.limits.consent.contains(&item.id.host);
            let ready = item.needs.iter().all(|need| done.contains(need) || !self.is_wanted(need));
            if record.error.is_some() || !consented || !ready {
                continue;
            }
            if record.attempts >= ATTEMPTS {
                record.error = Some(format!("it still differs after {ATTEMPTS} attempts"));
                record.still_differs = true;
                touched.push((item.id.clone(), record));
                continue;
            }
            let (left, actions): (Vec<Action>, _) = change.actions.iter().cloned().partition(|action| self.is_left(&item.id, action));
            // All else was done before, or there is nothing else.
            if !left.is_empty() && (actions.is_empty() || record.acted) {
                continue;
            }
            let change = &Change { actions, ..change.clone() };
            record.attempts += 1;
            record.acted = true;
            merge(&mut record.change, change);
            match self.carry_out(&item.id, change, &mut record) {
                Ok(()) if !left.is_empty() => {}
                Ok(()) => {
                    done.insert(item.id.clone());
                }
                Err(error) => record.error = Some(error),
            }
            touched.push((item.id.clone(), record));
        }
        (touched, done)
    }

    fn is_wanted(&self, id: &ResourceId) -> bool {
        self.wanted.iter().any(|wanted| wanted.resource.id() == *id)
    }

    fn carry_out(&self, id: &ResourceId, change: &Change, record: &mut Record) -> Result<(), String> {
        for action in &change.actions {
            let title = action.title();
            self.watch.begins(id, &title);
            let result = self.fleet.act_and_tell(&id.host, action, &|moved| self.watch.moves(id, moved));
            self.watch.ended(id, &title, result.as_ref().err());
            match result {
                Ok(kept) => {
                    record.done.push(title);
                    if let Some(complaint) = kept.and_then(|kept| kept.complaint()) {
                        return Err(complaint);
                    }
                }
                Err(error) => return Err(explained(action, error.to_string())),
            }
        }
        Ok(())
    }

    /// Everything, with what became of it.
    fn report(&self, plan: &Plan) -> Vec<ResourceReport> {
        plan.items
            .iter()
            .map(|item| {
                let mut report = ResourceReport::new(item, !self.manages(&item.id.host));
                let record = self.records.get(&item.id);
                let left =
                    matches!(&item.verdict, Verdict::Change(change) if change.actions.iter().any(|action| self.is_left(&item.id, action)));
                if let Some(record) = record.filter(|r| r.acted && (!left || r.error.is_some())) {
                    report.differences = record.change.differences.clone();
                    report.actions =
                        ResourceReport::new(&Item { verdict: Verdict::Change(record.change.clone()), ..item.clone() }, false).actions;
                    report.error = record.error.clone().or(report.error);
                    report.still_differs = record.still_differs;
                }
                report.outcome = match (record, report.state) {
                    (Some(record), _) if record.error.is_some() => Some(Outcome::Failed),
                    _ if left && self.manages(&item.id.host) => Some(Outcome::Left),
                    (Some(record), State::Holds) if record.acted => Some(Outcome::Changed),
                    (Some(record), _) if record.acted && item.is_settled() => Some(Outcome::Changed),
                    (_, State::Holds) => None,
                    _ if item.is_settled() || !self.manages(&item.id.host) => None,
                    (_, State::Refused | State::Unseen) => Some(Outcome::Failed),
                    _ => Some(Outcome::NotReached),
                };
                if report.outcome == Some(Outcome::NotReached) && report.on.is_none() && report.discards.is_none() {
                    let open = |need: &&ResourceId| self.is_wanted(need) && plan.items.iter().any(|i| i.id == **need && !i.is_settled());
                    report.on = item.needs.iter().find(open).map(ToString::to_string);
                }
                report
            })
            .collect()
    }
}

/// What a mount's helper said, with what to do.
fn explained(action: &Action, error: String) -> String {
    match (action, crate::storage::advice(&error)) {
        (Action::Mount { .. }, Some(advice)) => format!("{error}; {advice}"),
        _ => error,
    }
}

/// Collects what was different over several rounds.
fn merge(all: &mut Change, change: &Change) {
    for difference in &change.differences {
        if !all.differences.contains(difference) {
            all.differences.push(difference.clone());
        }
    }
    for action in &change.actions {
        if !all.actions.contains(action) {
            all.actions.push(action.clone());
        }
    }
    all.discards = change.discards.clone().or(all.discards.take());
}
