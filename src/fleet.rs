//! The open hosts of one run: asked in parallel, one scoped thread each.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::action::{Action, Gift, Kept, Moved};
use crate::facts::{Facts, by_host};
use crate::host::{Connect, Host, HostError};
use crate::look::batch::Question;
use crate::look::{Look, Reply};
use crate::name::HostName;

type Slot = Mutex<Result<Box<dyn Host>, HostError>>;

/// The open hosts.
pub struct Fleet {
    hosts: BTreeMap<HostName, Slot>,
}

impl Fleet {
    /// Opens hosts in parallel. One that cannot be opened stays in the fleet as unreachable.
    pub fn open<'a>(connect: &dyn Connect, names: impl IntoIterator<Item = &'a HostName>) -> Self {
        let names: Vec<&HostName> = names.into_iter().collect();
        let hosts = std::thread::scope(|scope| {
            let threads: Vec<_> = names.into_iter().map(|name| (name, scope.spawn(move || connect.connect(name)))).collect();
            threads
                .into_iter()
                .map(|(name, thread)| {
                    let host =
                        thread.join().unwrap_or_else(|_| Err(HostError::Unreachable { why: "otr itself failed while connecting".into() }));
                    (name.clone(), Mutex::new(host))
                })
                .collect()
        });
        Self { hosts }
    }

    /// Takes the lock of each named host.
    ///
    /// # Errors
    /// Another otr holds one. Those that are unreachable are passed over.
    pub fn lock<'a>(&self, names: impl IntoIterator<Item = &'a HostName>, holder: &str) -> Result<(), (HostName, HostError)> {
        for name in names {
            if let Ok(host) = self.host(name).as_mut() {
                host.lock(holder).map_err(|error| (name.clone(), error))?;
            }
        }
        Ok(())
    }

    fn host(&self, name: &HostName) -> HostGuard<'_> {
        static NONE: Mutex<Result<Box<dyn Host>, HostError>> = Mutex::new(Err(HostError::Unreachable { why: String::new() }));
        HostGuard(self.hosts.get(name).unwrap_or(&NONE).lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at all hosts in parallel, one trip each.
    pub fn look(&self, looks: impl IntoIterator<Item = (HostName, Look)>) -> Facts {
        let looks = by_host(looks);
        let facts = std::thread::scope(|scope| {
            let threads: Vec<_> = looks
                .iter()
                .map(|(name, looks)| {
                    let thread = scope.spawn(move || match self.host(name).as_mut() {
                        Ok(host) => host.look(looks).map_err(|error| error.to_string()),
                        Err(error) => Err(error.to_string()),
                    });
                    (name, thread)
                })
                .collect();
            threads
                .into_iter()
                .map(|(name, thread)| (name.clone(), thread.join().unwrap_or_else(|_| Err("otr itself failed while looking".into()))))
                .collect()
        });
        Facts::new(facts)
    }

    /// What one host replies, word by word, for fixtures.
    ///
    /// # Errors
    /// It gave no answer.
    pub fn record(&self, name: &HostName, looks: &std::collections::BTreeSet<Look>) -> Result<Vec<(Question, Reply)>, HostError> {
        match self.host(name).as_mut() {
            Ok(host) => host.record(looks),
            Err(error) => Err(error.clone()),
        }
    }

    /// Does one thing to one host; a copy involves two.
    ///
    /// # Errors
    /// It failed. A connection that broke makes the host unreachable for the rest of the run.
    pub fn act(&self, name: &HostName, action: &Action) -> Result<Option<Kept>, HostError> {
        self.act_and_tell(name, action, &|_| {})
    }

    /// As [`Fleet::act`], and tells how far a long copy is.
    ///
    /// # Errors
    /// As [`Fleet::act`].
    pub fn act_and_tell(&self, name: &HostName, action: &Action, progress: &dyn Fn(Moved)) -> Result<Option<Kept>, HostError> {
        let mut here = self.host(name);
        let done = match (here.as_mut(), action) {
            (Err(error), _) => return Err(error.clone()),
            (Ok(host), Action::Fetch { from, transfer }) => {
                let mut stream = self.give(from, &transfer.gift())?;
                host.take(transfer, &mut stream).map(|_| None)
            }
            (Ok(host), Action::KeepStore { from, job }) => host.keep(job, &mut |gift| self.give(from, gift), progress).map(Some),
            (Ok(host), action) => host.act(action).map(|()| None),
        };
        if let Err(error @ (HostError::Unreachable { .. } | HostError::Shut { .. })) = &done {
            *here.0 = Err(error.clone());
        }
        done
    }

    /// Asks a host for files.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn give(&self, from: &HostName, gift: &Gift) -> Result<Box<dyn Read + Send>, HostError> {
        match self.host(from).as_mut() {
            Ok(host) => host.give(gift),
            Err(error) => Err(error.clone()),
        }
    }

    /// Why a host cannot be reached, if it cannot.
    pub fn unreachable(&self, name: &HostName) -> Option<String> {
        self.host(name).as_mut().err().map(|error| error.to_string())
    }

    /// What a host said that answers and lets nobody in: it lives.
    pub fn shut(&self, name: &HostName) -> Option<String> {
        match self.host(name).as_mut() {
            Err(HostError::Shut { why }) => Some(why.clone()),
            _ => None,
        }
    }
}

struct HostGuard<'a>(MutexGuard<'a, Result<Box<dyn Host>, HostError>>);

impl HostGuard<'_> {
    fn as_mut(&mut self) -> Result<&mut (dyn Host + 'static), &HostError> {
        match &mut *self.0 {
            Ok(host) => Ok(host.as_mut()),
            Err(error) => Err(error),
        }
    }
}
