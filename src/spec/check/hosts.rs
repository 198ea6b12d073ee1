//! Hosts: who is production, who would follow itself.

use super::Findings;
use crate::name::HostName;
use crate::spec::problem::nearest;
use crate::spec::{HostRole, HostSpec, Role, Spec};

pub(super) fn check(spec: &Spec, findings: &mut Findings<'_>) {
    production(spec, findings);
    addresses(spec, findings);
    slots(spec, findings);
    for (name, host) in &spec.hosts {
        // A login reaches ssh's command line when `ssh: {client: openssh}` is used.
        let odd = |text: &str| text.is_empty() || text.starts_with('-') || text.contains(|c: char| c.is_whitespace() || c.is_control());
        for (field, value) in [("address", Some(&host.address)), ("listen", host.listen.as_ref()), ("user", host.user.as_ref())] {
            if let Some(value) = value.filter(|value| odd(value)) {
                let path = format!("hosts.{name}.{field}");
                findings.value(&path, format!("`{path}`: {value:?} is not a name or an address"), "");
            }
        }
        if host.is_local() && (host.port.is_some() || host.user.is_some()) {
            findings.note(
                &format!("hosts.{name}.address"),
                format!("{name} is the machine otr runs on: `port` and `user` do nothing there"),
                "",
            );
        }
    }
}

/// The host a spec names, or why it cannot be.
pub(super) fn known(spec: &Spec, host: &HostName, path: &str, findings: &mut Findings<'_>) -> bool {
    if spec.hosts.contains_key(host) {
        return true;
    }
    let hint = match nearest(host.as_str(), spec.hosts.keys().map(HostName::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the hosts are {}", names(spec)),
    };
    findings.value(path, format!("`{path}`: there is no host `{host}`"), hint);
    false
}

fn names(spec: &Spec) -> String {
    spec.hosts.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn production(spec: &Spec, findings: &mut Findings<'_>) {
    if spec.hosts.is_empty() {
        return findings.key("hosts", "`hosts` names no machine", "erp1: {address: 192.0.2.11}");
    }
    if known(spec, &spec.production, "production", findings)
        && spec.hosts.get(&spec.production).is_some_and(|host| host.role == Some(HostRole::Witness))
    {
        findings.value(
            "production",
            format!("{} cannot be production: it is a witness, which holds no data", spec.production),
            format!("name another host, or take `role: witness` from line {}", findings.line(&format!("hosts.{}.role", spec.production))),
        );
    }
}

fn addresses(spec: &Spec, findings: &mut Findings<'_>) {
    let hosts: Vec<(&HostName, &HostSpec)> = spec.hosts.iter().collect();
    for (number, (name, host)) in hosts.iter().enumerate() {
        for (other, before) in &hosts[..number] {
            let same_door = host.address == before.address && host.port.unwrap_or(22) == before.port.unwrap_or(22);
            let same_place = host.reached_at().is_some() && host.reached_at() == before.reached_at() && host.port == before.port;
            if !same_door && !same_place {
                continue;
            }
            let field = if same_door {
                "address"
            } else if host.listen.is_some() {
                "listen"
            } else {
                "address"
            };
            let follows = [spec.role(name), spec.role(other)] == [Role::Standby, Role::Production]
                || [spec.role(name), spec.role(other)] == [Role::Production, Role::Standby];
            let message = match follows {
                true => format!("{name} and {other} are one machine by their {field}: a standby would take itself for its source"),
                false => format!("{name} and {other} are one machine by their {field}"),
            };
            let path = format!("hosts.{name}.{field}");
            findings.value(
                &path,
                message,
                format!("{other} is on line {}; give each its own address", findings.line(&format!("hosts.{other}"))),
            );
        }
    }
}

/// A replication slot knows lower-case letters, digits and `_` (PostgreSQL 13, 26.2.6).
fn slots(spec: &Spec, findings: &mut Findings<'_>) {
    let slot = |name: &HostName| name.as_str().to_lowercase().replace('-', "_");
    let members: Vec<&HostName> = spec.members().collect();
    for (number, name) in members.iter().enumerate() {
        if let Some(other) = members[..number].iter().find(|other| slot(other) == slot(name)) {
            findings.key(
                &format!("hosts.{name}"),
                format!("{name} and {other} would share the replication slot otr_{}", slot(name)),
                "slots know no capitals and no `-`: give one host another name",
            );
        }
    }
}
