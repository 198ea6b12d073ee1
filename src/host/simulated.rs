//! A machine made of values: for the demo, and for tests that kill otr at every step.
//!
//! It looks and acts as Debian bullseye with PostgreSQL 13, Redis 6.0 and Odoo 14 would. It
//! knows nothing of plans: what otr does to it is what otr would have done to a real machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Connect, Give, Host, HostError};
use crate::action::{Action, Gift, Keep, Kept, Moved, Taken, Transfer};
use crate::look::{Look, Seen, Sight};
use crate::name::HostName;

mod actions;
mod effects;
mod faults;
pub mod files;
pub mod filestore;
mod guard;
mod looks;
mod machine;
mod mounts;
pub mod odoo;
mod packages;
pub mod pair;
pub mod postgres;
mod python;
pub mod redis;
mod rejoin;
mod scram;
mod sessions;
mod settings;
mod statements;
mod streaming;
mod survey;
#[cfg(test)]
mod tests;
mod units;

pub use faults::Fault;
pub use machine::Machine;
pub use packages::Archive;
pub use units::{Start, UnitState};

use streaming::{Fitting, Machines};

/// All machines, what they can install, the clock, and what is to go wrong.
#[derive(Debug)]
pub struct State {
    machines: Machines,
    fitting: Fitting,
    archive: Archive,
    now: f64,
    done: Vec<(HostName, String)>,
    counted: usize,
    faults: Vec<(usize, Fault)>,
    connections: u64,
    broken: BTreeSet<u64>,
    crashed_before: u64,
}

/// Several simulated machines that reach each other.
#[derive(Debug, Clone)]
pub struct World(Arc<Mutex<State>>);

impl World {
    /// No machine yet.
    pub fn empty(archive: Archive, now: f64) -> Self {
        Self(Arc::new(Mutex::new(State {
            machines: Machines::new(),
            fitting: Fitting::new(),
            archive,
            now,
            done: Vec::new(),
            counted: 0,
            faults: Vec::new(),
            connections: 0,
            broken: BTreeSet::new(),
            crashed_before: 0,
        })))
    }

    /// Another machine.
    pub fn add(&self, machine: Machine) {
        self.with(|state| state.machines.insert(machine.name.clone(), machine));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state())
    }

    /// Looks at a machine or tampers with it, behind otr's back; `None` if there is none of that name.
    pub fn mutate<T>(&self, host: &HostName, change: impl FnOnce(&mut Machine) -> T) -> Option<T> {
        self.with(|state| {
            state.advance(0.5);
            let result = state.machines.get_mut(host).map(change);
            state.settle();
            result
        })
    }

    /// Changes what can be installed.
    pub fn offer(&self, change: impl FnOnce(&mut Archive)) {
        self.with(|state| change(&mut state.archive));
    }

    /// Lets time pass, in seconds.
    pub fn pass(&self, seconds: f64) {
        self.with(|state| {
            state.advance(seconds);
            state.settle();
        });
    }

    /// Every action that had its effect, in order: host and title.
    pub fn actions(&self) -> Vec<(HostName, String)> {
        self.with(|state| state.done.clone())
    }

    /// Forgets the actions so far.
    pub fn clear_actions(&self) {
        self.with(|state| state.done.clear());
    }

    /// Every file of a host, for comparison.
    pub fn files(&self, host: &HostName) -> files::Files {
        self.with(|state| state.machines.get(host).map(|machine| machine.files.clone())).unwrap_or_default()
    }

    /// How often a unit of a host was started since the machine exists.
    pub fn starts(&self, host: &HostName, unit: &str) -> usize {
        self.with(|state| state.machines.get(host).map_or(0, |machine| machine.starts.iter().filter(|start| start.unit == unit).count()))
    }

    /// A copy of the world that goes its own way, with no connection open.
    pub fn fork(&self) -> World {
        self.with(|state| {
            let world = World::empty(state.archive.clone(), state.now);
            world.with(|new| {
                new.fitting = state.fitting.clone();
                new.machines = state.machines.clone();
                for machine in new.machines.values_mut() {
                    machine.lock = None;
                }
            });
            world
        })
    }
}

impl State {
    /// Moves the clock on; every powered machine sees it.
    fn advance(&mut self, seconds: f64) {
        self.now = self.machines.values().map(|machine| machine.now - machine.skew).fold(self.now, f64::max) + seconds;
        for machine in self.machines.values_mut() {
            machine.now = self.now + machine.skew;
        }
    }

    /// Lets everything happen that happens by itself.
    fn settle(&mut self) {
        guard::settle(&mut self.machines);
        streaming::settle(&mut self.machines, &mut self.fitting, self.now);
        redis::settle(&mut self.machines);
    }

    /// Counts an action, does it, and lets it fail where it is to fail.
    fn count<T>(
        &mut self,
        connection: &Connection,
        title: String,
        work: impl FnOnce(&mut Self) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        self.counted += 1;
        let at = self.counted;
        let fault = self.faults.iter().position(|(n, _)| *n == at).map(|position| self.faults.remove(position).1);
        if fault.is_some_and(Fault::is_before) {
            return Err(self.snap(connection, fault));
        }
        self.advance(0.5);
        self.settle();
        if let (Some(Fault::PowerWithin), Some(machine)) = (fault, self.machines.get_mut(&connection.host)) {
            machine.tears = true;
        }
        let result = work(self);
        if let Some(machine) = self.machines.get_mut(&connection.host) {
            machine.tears = false;
        }
        self.settle();
        if result.is_ok() {
            self.done.push((connection.host.clone(), title));
        }
        match fault {
            Some(Fault::FailAfter) => {
                let title = self.done.last().map(|(_, title)| title.clone()).unwrap_or_default();
                Err(HostError::Failed { title, status: 1, said: "it failed after all was done".into() })
            }
            Some(_) => Err(self.snap(connection, fault)),
            None => result,
        }
    }

    fn snap(&mut self, connection: &Connection, fault: Option<Fault>) -> HostError {
        if fault.is_some_and(Fault::is_crash) {
            self.crashed_before = self.connections;
            self.machines.values_mut().for_each(|machine| machine.lock = None);
        } else {
            self.broken.insert(connection.number);
            self.release(connection);
        }
        broken(&connection.host)
    }

    fn release(&mut self, connection: &Connection) {
        if let Some(machine) = self.machines.get_mut(&connection.host) {
            machine.lock.take_if(|(number, _)| *number == connection.number);
        }
    }

    /// The machine at the other end, if the connection still stands.
    fn reach(&mut self, connection: &Connection) -> Result<&mut Machine, HostError> {
        let dead = connection.number <= self.crashed_before || self.broken.contains(&connection.number);
        let machine = self.machines.get_mut(&connection.host);
        machine
            .filter(|m| !dead && m.is_reachable() && (m.booted_at.to_bits(), m.cuts) == connection.life)
            .ok_or_else(|| broken(&connection.host))
    }
}

fn broken(host: &HostName) -> HostError {
    HostError::Unreachable { why: format!("the connection to {host} (simulated) broke; run otr again when it is back") }
}

/// One connection, and which life of the machine it belongs to.
#[derive(Debug, Clone)]
struct Connection {
    host: HostName,
    number: u64,
    life: (u64, u32),
}

/// A connection to one simulated machine.
#[derive(Debug)]
pub struct SimulatedHost {
    world: World,
    connection: Connection,
}

impl Drop for SimulatedHost {
    fn drop(&mut self) {
        self.world.with(|state| state.release(&self.connection));
    }
}

impl Connect for World {
    fn connect(&self, host: &HostName) -> Result<Box<dyn Host>, HostError> {
        let connection = self.with(|state| {
            let machine =
                state.machines.get(host).ok_or_else(|| HostError::Unreachable { why: format!("there is no simulated machine {host}") })?;
            if let Some(why) = machine.shut.clone().filter(|_| machine.is_reachable()) {
                return Err(HostError::Shut { why });
            }
            if machine.filtered || !machine.is_reachable() {
                return Err(HostError::Unreachable { why: format!("no route to {host} (simulated): it has no power or no link") });
            }
            state.connections += 1;
            Ok(Connection { host: host.clone(), number: state.connections, life: (machine.booted_at.to_bits(), machine.cuts) })
        })?;
        Ok(Box::new(SimulatedHost { world: self.clone(), connection }))
    }
}

impl SimulatedHost {
    /// Root's work: checks the connection and the login, counts, acts.
    fn change<T>(&self, title: String, work: impl FnOnce(&mut State) -> Result<T, HostError>) -> Result<T, HostError> {
        self.world.with(|state| {
            let machine = state.reach(&self.connection)?;
            if !machine.is_root() {
                return Err(HostError::Denied {
                    why: format!(
                        "{} may not {title} on {}: it is not root; say `become: sudo` or `access: observe`",
                        machine.login, machine.name
                    ),
                });
            }
            state.count(&self.connection, title, work)
        })
    }
}

impl Host for SimulatedHost {
    fn look(&mut self, looks: &BTreeSet<Look>) -> Result<Seen, HostError> {
        self.world.with(|state| {
            state.reach(&self.connection)?;
            state.advance(0.05);
            state.settle();
            let archive = looks.iter().any(|look| matches!(look, Look::Apt(_))).then(|| state.archive.clone());
            let machine = state.reach(&self.connection)?;
            let mut see = |look: &Look| match (look, &archive) {
                (Look::Apt(run), Some(archive)) => Ok(Sight::Apt(machine.simulate(run, archive))),
                _ => machine.see(look),
            };
            Ok(looks.iter().map(|look| (look.clone(), see(look))).collect::<BTreeMap<_, _>>())
        })
    }

    fn act(&mut self, action: &Action) -> Result<(), HostError> {
        let host = self.connection.host.clone();
        self.change(action.title(), |state| actions::perform(state, &host, action))
    }

    fn lock(&mut self, holder: &str) -> Result<(), HostError> {
        self.world.with(|state| {
            let number = self.connection.number;
            let machine = state.reach(&self.connection)?;
            match &machine.lock {
                Some((other, holder)) if *other != number => Err(HostError::Locked { holder: holder.clone() }),
                _ => {
                    machine.lock = Some((number, holder.to_owned()));
                    Ok(())
                }
            }
        })
    }

    fn give(&mut self, gift: &Gift) -> Result<Box<dyn Read + Send>, HostError> {
        self.world.with(|state| {
            let failed = |said| HostError::Failed { title: format!("send {}", gift.title), status: 1, said };
            let stream = state.reach(&self.connection)?.give(gift).map_err(failed)?;
            Ok(Box::new(std::io::Cursor::new(stream)) as Box<dyn Read + Send>)
        })
    }

    fn take(&mut self, transfer: &Transfer, stream: &mut dyn Read) -> Result<Taken, HostError> {
        let host = self.connection.host.clone();
        let title = format!("receive {}", transfer.title());
        let failed = |said| HostError::Failed { title: format!("receive {}", transfer.title()), status: 1, said };
        // The stream may come from this very world: it is read before the world is locked.
        let mut whole = Vec::new();
        stream.read_to_end(&mut whole).map_err(|e| failed(e.to_string()))?;
        self.change(title, |state| match state.machines.get_mut(&host) {
            Some(machine) => machine.take(transfer, &mut whole.as_slice()).map_err(failed),
            None => Err(broken(&host)),
        })
    }

    fn keep(&mut self, job: &Keep, give: Give<'_>, _: &dyn Fn(Moved)) -> Result<Kept, HostError> {
        let host = self.connection.host.clone();
        let title = format!("keep the filestore of {}", job.database);
        let failed = |said| HostError::Failed { title: format!("keep the filestore of {}", job.database), status: 1, said };
        let gift = self.world.with(|state| state.reach(&self.connection)?.wants(job).map_err(failed))?;
        if gift.is_none() && job.suspects.is_empty() && job.stamp.is_none() {
            // Nothing to do is nothing done.
            return self.world.with(|state| state.reach(&self.connection)?.clone().keep(job, &mut std::io::empty()).map_err(failed));
        }
        // Production is in this very world: it is asked before the world is locked again.
        let mut stream = Vec::new();
        if let Some(gift) = gift {
            give(&gift)?.read_to_end(&mut stream).map_err(|e| failed(e.to_string()))?;
        }
        self.change(title, |state| match state.machines.get_mut(&host) {
            Some(machine) => machine.keep(job, &mut stream.as_slice()).map_err(failed),
            None => Err(broken(&host)),
        })
    }
}
