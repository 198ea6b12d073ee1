//! What can go wrong in a simulated world, and when.

use super::World;
use crate::name::HostName;

/// How an action ends that does not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection to that host breaks before anything was done.
    CutBefore,
    /// The connection to that host breaks after all was done: otr does not learn of it.
    CutAfter,
    /// otr is killed before anything was done: every connection of the world breaks.
    CrashBefore,
    /// otr is killed after all was done.
    CrashAfter,
    /// The host loses its power while a line goes to a record, of which half is on its disk; any other
    /// action was done.
    PowerWithin,
    /// All was done, and the script ends with an error all the same.
    FailAfter,
}

impl Fault {
    /// Every way a connection or otr itself ends.
    pub const ALL: [Fault; 4] = [Fault::CutBefore, Fault::CutAfter, Fault::CrashBefore, Fault::CrashAfter];

    pub(super) fn is_before(self) -> bool {
        matches!(self, Fault::CutBefore | Fault::CrashBefore)
    }

    pub(super) fn is_crash(self) -> bool {
        matches!(self, Fault::CrashBefore | Fault::CrashAfter | Fault::PowerWithin)
    }
}

impl World {
    /// Makes the n-th action from now on fail, once; the first is number 1. Copies count when they are received.
    pub fn fail_action(&self, n: usize, fault: Fault) {
        self.with(|state| {
            let at = state.counted + n;
            state.faults.push((at, fault));
        });
    }

    /// Takes back what [`World::fail_action`] still holds.
    pub fn forgive(&self) {
        self.with(|state| state.faults.clear());
    }

    /// A host loses its power: every process is gone, every connection to it breaks.
    pub fn power_cut(&self, host: &HostName) {
        self.mutate(host, |machine| machine.power_off());
    }

    /// A host gets its power back and boots.
    pub fn boot(&self, host: &HostName) {
        self.mutate(host, |machine| {
            if !machine.powered {
                machine.power_on();
            }
        });
    }

    /// A host's network link goes down: neither otr nor its peers reach it.
    pub fn cut_link(&self, host: &HostName) {
        self.mutate(host, |machine| {
            machine.link = false;
            machine.lock = None;
            machine.cuts += 1;
        });
    }

    /// The link is up again.
    pub fn restore_link(&self, host: &HostName) {
        self.mutate(host, |machine| machine.link = true);
    }

    /// No byte fits on a host's disk any more.
    pub fn disk_full(&self, host: &HostName) {
        self.mutate(host, |machine| machine.disk_full = true);
    }

    /// There is room again.
    pub fn disk_free(&self, host: &HostName) {
        self.mutate(host, |machine| machine.disk_full = false);
    }
}
