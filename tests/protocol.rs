//! The protocol of guard, epoch and fence, on its own: every state two hosts can get into, by
//! power cuts, boots, cut cables, crashes, and an otr that may be killed after any step.
//!
//! What decides is the program's own: `guard::decide` and `Epoch::raised`. What is modelled is
//! only what happens around it. A person states no host to be down that is up.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

use std::collections::{HashMap, HashSet, VecDeque};

use otr::epoch::Epoch;
use otr::guard::{Answer, BootWithoutPeer, DiskRole, Question, Service, Verdict, decide};
use otr::name::HostName;

/// Deeper than three promotions nothing new happens: only the numbers grow.
const DEEPEST: u64 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Host {
    powered: bool,
    /// PostgreSQL runs, in the role that is on disk.
    running: bool,
    /// It ran since the host booted.
    ran: bool,
    standby: bool,
    epoch: Epoch,
}

/// Which step of which procedure comes next, towards which host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Otr {
    Idle,
    Promote(usize, u8),
    Switchover(usize, u8),
    Rejoin(usize, u8),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    hosts: [Host; 2],
    link: bool,
    otr: Otr,
}

fn name(host: usize) -> HostName {
    ["erp1", "erp2"][host].parse().unwrap()
}

impl State {
    fn begin() -> Self {
        let host = |standby| Host { powered: true, running: true, ran: true, standby, epoch: Epoch::default() };
        State { hosts: [host(false), host(true)], link: true, otr: Otr::Idle }
    }

    fn writers(&self) -> usize {
        self.hosts.iter().filter(|host| host.running && !host.standby).count()
    }

    /// One production, and a standby that follows it.
    fn whole(&self) -> bool {
        let [a, b] = &self.hosts;
        let up = self.hosts.iter().all(|host| host.powered && host.running);
        up && self.link && a.standby != b.standby && a.epoch == b.epoch && self.otr == Otr::Idle
    }

    /// systemd starts PostgreSQL, if the guard lets it.
    fn start(&mut self, host: usize, policy: BootWithoutPeer) {
        let me = name(host);
        let (here, there) = (&self.hosts[host], &self.hosts[1 - host]);
        let role = |host: &Host| if host.standby { DiskRole::Standby } else { DiskRole::Primary };
        let answer = (self.link && there.powered).then(|| Answer { epoch: there.epoch.clone(), role: role(there) });
        let peers = [(name(1 - host), answer)];
        let question =
            Question { me: &me, service: Service::Data, own: &here.epoch, role: role(here), peers: &peers, policy, ran: here.ran };
        if let Verdict::Start(_) = decide(&question) {
            self.hosts[host].running = true;
            self.hosts[host].ran = true;
        }
    }

    /// The clock of the machine otr runs on does not go back between two promotions: time is above all there was.
    fn raised(&self, to: usize) -> Epoch {
        let now = self.hosts.iter().map(|host| host.epoch.number).max().unwrap() + 1;
        Epoch::raised(Some(&self.hosts[to].epoch), &name(to), now)
    }

    /// Everything that can happen next.
    fn next(&self, policy: BootWithoutPeer) -> Vec<State> {
        let mut all = Vec::new();
        let mut add = |change: &dyn Fn(&mut State)| {
            let mut next = self.clone();
            change(&mut next);
            all.push(next);
        };
        for host in [0, 1] {
            let here = &self.hosts[host];
            match here.powered {
                true => add(&|s| (s.hosts[host].powered, s.hosts[host].running, s.hosts[host].ran) = (false, false, false)),
                false => add(&|s| {
                    s.hosts[host].powered = true;
                    s.start(host, policy);
                }),
            }
            if here.powered && here.running {
                add(&|s| s.hosts[host].running = false);
            }
            if here.powered && !here.running {
                add(&|s| s.start(host, policy));
            }
        }
        add(&|s| s.link = !s.link);
        if self.otr != Otr::Idle {
            add(&|s| s.otr = Otr::Idle);
        }
        all.extend(self.step(policy));
        all.retain(|state| state.hosts.iter().all(|host| host.epoch.number <= DEEPEST));
        all
    }

    /// The next step of otr, where it can be done.
    fn step(&self, policy: BootWithoutPeer) -> Vec<State> {
        let mut next = self.clone();
        match self.otr {
            Otr::Idle => {
                let begin = |otr| State { otr, ..self.clone() };
                return [0, 1]
                    .into_iter()
                    .flat_map(|to| [begin(Otr::Promote(to, 0)), begin(Otr::Switchover(to, 0)), begin(Otr::Rejoin(to, 0))])
                    .collect();
            }
            Otr::Promote(to, at) => {
                let (new, old) = (&self.hosts[to], &self.hosts[1 - to]);
                if !(new.powered && new.running) {
                    return Vec::new();
                }
                match at {
                    // The fence: seen stopped, or stated to be down, which is true.
                    0 if new.standby && !old.running => {}
                    // Between the two epochs it can be killed.
                    1 if old.powered => next.hosts[1 - to].epoch = self.raised(to),
                    1 => {}
                    2 if old.epoch.production == Some(name(to)) && old.epoch.number > new.epoch.number => {
                        next.hosts[to].epoch = old.epoch.clone();
                    }
                    2 => next.hosts[to].epoch = self.raised(to),
                    // It may have come back before the epoch was raised: it is told, and looked at again.
                    3 if old.powered => next.hosts[1 - to].epoch = new.epoch.clone(),
                    3 => {}
                    4 if !old.running || old.standby => {}
                    5 => next.hosts[to].standby = false,
                    _ => return Vec::new(),
                }
                next.otr = if at == 5 { Otr::Idle } else { Otr::Promote(to, at + 1) };
            }
            Otr::Switchover(to, at) => {
                let (new, old) = (&self.hosts[to], &self.hosts[1 - to]);
                if !(new.powered && new.running && (old.powered || at > 4)) {
                    return Vec::new();
                }
                match at {
                    0 if new.standby && old.running && !old.standby && self.link => next.hosts[1 - to].running = false,
                    // The proof, or the way back.
                    1 if !old.running && new.standby => {
                        let mut back = next.clone();
                        back.start(1 - to, policy);
                        back.otr = Otr::Idle;
                        next.otr = Otr::Switchover(to, 2);
                        return vec![next, back];
                    }
                    2 => next.hosts[1 - to].epoch = self.raised(to),
                    3 => next.hosts[to].epoch = old.epoch.clone(),
                    4 => next.hosts[1 - to].standby = true,
                    5 => next.hosts[to].standby = false,
                    6 => next.start(1 - to, policy),
                    _ => return Vec::new(),
                }
                // Looked at before each step: what was proven stopped must still be.
                if (2..=5).contains(&at) && old.running && !old.standby {
                    return Vec::new();
                }
                next.otr = if at == 6 { Otr::Idle } else { Otr::Switchover(to, at + 1) };
            }
            Otr::Rejoin(who, at) => {
                let (old, new) = (&self.hosts[who], &self.hosts[1 - who]);
                if !(old.powered && new.powered && new.running && !new.standby) {
                    return Vec::new();
                }
                match at {
                    0 => next.hosts[who].running = false,
                    1 if !old.running => {
                        next.hosts[1 - who].epoch = Epoch::kept(self.hosts.iter().map(|host| &host.epoch), &name(1 - who), 0);
                    }
                    2 if !old.running => next.hosts[who].epoch = new.epoch.clone(),
                    3 if !old.running => next.hosts[who].standby = true,
                    4 => next.start(who, policy),
                    _ => return Vec::new(),
                }
                next.otr = if at == 4 { Otr::Idle } else { Otr::Rejoin(who, at + 1) };
            }
        }
        vec![next]
    }
}

/// Every state that can be reached, with those each came from.
fn explore(policy: BootWithoutPeer) -> HashMap<State, Vec<State>> {
    let mut came: HashMap<State, Vec<State>> = HashMap::from([(State::begin(), Vec::new())]);
    let mut open = VecDeque::from([State::begin()]);
    while let Some(state) = open.pop_front() {
        for next in state.next(policy) {
            if !came.contains_key(&next) {
                open.push_back(next.clone());
            }
            came.entry(next).or_default().push(state.clone());
        }
    }
    came
}

/// How a state was reached, for a person to follow.
fn story(came: &HashMap<State, Vec<State>>, end: &State) -> String {
    let mut story = vec![end.clone()];
    while let Some(before) = came[story.last().unwrap()].first().filter(|_| story.len() < 60) {
        story.push(before.clone());
        if *before == State::begin() {
            break;
        }
    }
    story.reverse();
    let line = |state: &State| {
        let host = |host: &Host| {
            let word = |yes, word: &'static str| if yes { word } else { "-" };
            let role = if host.standby { "standby" } else { "primary" };
            format!("{} {} {} {role} epoch {}", word(host.powered, "on"), word(host.running, "runs"), word(host.ran, "ran"), host.epoch)
        };
        format!("{} | {} | link {} | {:?}\n", host(&state.hosts[0]), host(&state.hosts[1]), state.link, state.otr)
    };
    story.iter().map(line).collect()
}

#[test]
fn there_are_never_two_writers_where_a_boot_waits_for_its_peer() {
    for policy in [BootWithoutPeer::Wait, BootWithoutPeer::StayDown] {
        let came = explore(policy);
        let split = came.keys().find(|state| state.writers() > 1);
        assert!(came.len() > 10_000, "{} states", came.len());
        assert!(split.is_none(), "{policy:?}:\n{}", story(&came, split.unwrap()));
        println!("{policy:?}: {} states", came.len());
    }
}

/// What docs/failover.md says of `start`: the one way to two writers is a boot beside a silent peer.
#[test]
fn a_boot_that_does_not_wait_can_end_in_two_writers() {
    assert!(explore(BootWithoutPeer::Start).keys().any(|state| state.writers() > 1));
}

#[test]
fn from_everywhere_there_is_a_way_back_to_a_whole_pair() {
    for policy in [BootWithoutPeer::Start, BootWithoutPeer::Wait] {
        let came = explore(policy);
        let mut good: HashSet<&State> = came.keys().filter(|state| state.whole()).collect();
        let mut open: Vec<&State> = good.iter().copied().collect();
        while let Some(state) = open.pop() {
            for before in &came[state] {
                if good.insert(before) {
                    open.push(before);
                }
            }
        }
        // At the deepest epoch the model forbids the promotion that would be the way.
        let lost = came.keys().find(|state| !good.contains(*state) && state.hosts.iter().all(|host| host.epoch.number < DEEPEST - 1));
        assert!(lost.is_none(), "{policy:?}:\n{}", story(&came, lost.unwrap()));
    }
}
