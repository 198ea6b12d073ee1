//! `otr diff A B`: two machines compared with each other; no spec is needed, and nothing is wanted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use indexmap::IndexMap;

use super::{Exit, print, print_json, spec_path, style};
use crate::cli::{DiffArgs, Global};
use crate::compare::{Comparison, Places, addons_named, looks};
use crate::fleet::Fleet;
use crate::host::Connect;
use crate::host::connect::Connector;
use crate::look::Site;
use crate::name::HostName;
use crate::report::compare::render;
use crate::spec::host::HostSpec;
use crate::spec::load::read;
use crate::spec::{FileSource, Spec};

/// Where Debian's package has it.
const ODOO_CONF: &str = "/etc/odoo/odoo.conf";

pub fn run(global: &Global, args: &DiffArgs) -> Result<Exit> {
    let spec = spec_path(global).map(|path| read(&path, &global.sets)).transpose()?.map(|loaded| loaded.spec);
    let (left, left_host) = side(spec.as_ref(), &args.left, "left")?;
    let (right, right_host) = side(spec.as_ref(), &args.right, "right")?;
    ensure!(left != right, "{} and {} are one host", args.left, args.right);
    let hosts = IndexMap::from([(left.clone(), left_host), (right.clone(), right_host)]);
    let connector = Connector { hosts, accept_new: global.accept_new, here: global.here.clone() };
    let comparison = compare(&connector, (&left, &args.left), (&right, &args.right), &places(spec.as_ref(), args));
    match global.json {
        true => print_json(&comparison)?,
        false => print(render(&comparison, style(global)).trim_end())?,
    }
    Ok(match comparison.differences() {
        _ if !comparison.unseen.is_empty() => Exit::Failed,
        n if n > 0 && args.detailed_exitcode => Exit::Drift,
        _ => Exit::Done,
    })
}

fn compare(connect: &dyn Connect, left: (&HostName, &str), right: (&HostName, &str), places: &Places) -> Comparison {
    let fleet = Fleet::open(connect, [left.0, right.0]);
    let see = |places: &Places| fleet.look([left.0, right.0].into_iter().flat_map(|host| looks(host, places)));
    let facts = see(places);
    // Where the add-ons are is in odoo.conf.
    let conf = |host| facts.secret_content(host, &places.odoo_conf).ok()?.as_ref();
    let named: BTreeSet<PathBuf> = [left.0, right.0].into_iter().filter_map(conf).flat_map(|text| addons_named(text.expose())).collect();
    if named.is_subset(&places.addons) {
        return Comparison::make(&facts, left, right, places);
    }
    let places = Places { addons: places.addons.union(&named).cloned().collect(), ..places.clone() };
    Comparison::make(&see(&places), left, right, &places)
}

/// A host of the spec; or `local`, `[user@]address[:port]`, or a name of ~/.ssh/config.
pub(super) fn side(spec: Option<&Spec>, text: &str, otherwise: &str) -> Result<(HostName, HostSpec)> {
    if let Some((name, host)) = spec.and_then(|spec| spec.hosts.iter().find(|(name, _)| name.as_str() == text)) {
        return Ok((name.clone(), host.clone()));
    }
    let (user, rest) = text.rsplit_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
    let (address, port) = match rest.rsplit_once(':') {
        // More than one colon: an IPv6 address without a port.
        Some((address, port)) if !address.contains(':') => {
            (address, Some(port.parse::<u16>().with_context(|| format!("{text}: {port:?} is no port"))?))
        }
        _ => (rest, None),
    };
    ensure!(!address.is_empty(), "{text:?} names no host: say a host of the spec, `local`, or [user@]address[:port]");
    let host = serde_json::from_value(serde_json::json!({ "address": address, "port": port, "user": user }))?;
    Ok((address.parse().or_else(|_| otherwise.parse())?, host))
}

fn places(spec: Option<&Spec>, args: &DiffArgs) -> Places {
    let venv = args.venv.clone().or_else(|| spec?.pip.as_ref()?.venv.clone());
    let configured = || spec.and_then(|spec| spec.odoo.as_ref()).map(|odoo| odoo.config.clone());
    Places {
        site: venv.map_or(Site::System, Site::Venv),
        odoo_conf: args.odoo_conf.clone().or_else(configured).unwrap_or_else(|| Path::new(ODOO_CONF).to_owned()),
        files: spec
            .iter()
            .flat_map(|spec| &spec.files)
            .filter(|file| !matches!(file.source(), Some(FileSource::Directory | FileSource::Clone)))
            .map(|file| file.path.clone())
            .chain(args.file.iter().cloned())
            .collect(),
        trees: spec.iter().flat_map(|spec| &spec.files).filter(|file| file.clone).map(|file| file.path.clone()).collect(),
        addons: spec.and_then(|spec| spec.odoo.as_ref()).iter().flat_map(|odoo| odoo.addons.paths.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::demo::Stage;
    use super::*;
    use crate::report::text::Style;

    fn both(stage: &Stage) -> Comparison {
        let spec = &stage.session.loaded.spec;
        let args = DiffArgs {
            left: String::new(),
            right: String::new(),
            venv: None,
            odoo_conf: None,
            file: vec!["/etc/motd".into()],
            detailed_exitcode: false,
        };
        compare(&stage.world, (&stage.old, "erp1"), (&stage.new, "erp2"), &places(Some(spec), &args))
    }

    fn told(stage: &Stage) -> Vec<String> {
        let text = render(&both(stage), Style::default());
        text.lines().filter_map(|line| line.strip_prefix("  ~ ")).map(str::to_owned).collect()
    }

    #[test]
    fn a_pair_in_step_differs_in_what_is_per_host() {
        let stage = Stage::new().unwrap();
        let before = both(&stage);
        assert!(before.differences() > 10 && before.unseen.is_empty(), "{before:?}");
        stage.apply().unwrap();
        let after = both(&stage);
        let differing: Vec<_> = after.areas.iter().filter(|area| !area.differences.is_empty()).map(|area| area.area).collect();
        assert_eq!(differing, ["odoo.conf", "addons"]);
        // By role, and what somebody wrote on production by hand, which this spec does not name; it clones no add-ons.
        let keys: Vec<&str> = after.areas.iter().flat_map(|area| &area.differences).map(|sides| sides.what.as_str()).collect();
        assert!(["workers", "max_cron_threads", "dbfilter"].iter().all(|key| keys.contains(key)), "{keys:?}");
        assert!(["list_db", "proxy_mode", "db_name"].iter().all(|key| !keys.contains(key)), "{keys:?}");
    }

    #[test]
    fn each_tampering_is_seen_and_no_secret() {
        let stage = Stage::new().unwrap();
        stage.apply().unwrap();
        let before = told(&stage);
        stage.world.mutate(&stage.new, |machine| {
            machine.packages.remove("vim");
            let conf = machine.files.text("/etc/odoo/odoo.conf").to_owned()
                + "admin_passwd = hunter2\ndb_url = postgres://odoo:hunter3@db/acme\nlogfile = /tmp/odoo.log\n";
            let now = machine.tick();
            machine.files.write("/etc/odoo/odoo.conf", conf, ("odoo", "odoo", 0o640), now);
            machine.files.write("/etc/motd", "hunter4", ("root", "root", 0o644), now);
            machine.python.entry(String::new()).or_default().insert("redis".into(), "4.0".into());
            machine.accounts.groups.insert("friends".into());
        });
        let new: Vec<String> = told(&stage).into_iter().filter(|line| !before.contains(line)).collect();
        let starts = [
            "vim: ",
            "redis: 5.0.1 | 4.0",
            "admin_passwd: (not shown, differs)",
            "db_url: (absent) | (there, not shown)",
            "logfile: (absent) | /tmp/odoo.log",
            "/etc/motd: (absent) | (there, not shown)",
            "friends: (absent) | there",
        ];
        assert_eq!(new.len(), starts.len(), "{new:?}");
        assert!(new.iter().all(|line| starts.iter().any(|start| line.starts_with(start))), "{new:?}");
        let all = format!("{:?}{}", both(&stage), serde_json::to_string(&both(&stage)).unwrap());
        assert!(!all.contains("hunter"), "{all}");
    }

    #[test]
    fn add_ons_that_odoo_conf_names_are_compared() {
        let stage = Stage::new().unwrap();
        stage.apply().unwrap();
        for (host, text) in [(&stage.old, "one"), (&stage.new, "another")] {
            stage.world.mutate(host, |machine| {
                let conf = machine.files.text("/etc/odoo/odoo.conf").to_owned()
                    + "addons_path = /usr/lib/python3/dist-packages/odoo/addons, /usr/share/odoo-shop\n";
                machine.files.write("/etc/odoo/odoo.conf", conf, ("odoo", "odoo", 0o640), 1e9);
                machine.files.write("/usr/share/odoo-shop/acme/a.py", text, ("odoo", "odoo", 0o640), 1e9);
                machine.files.write("/usr/share/odoo-shop/acme/same.py", "x", ("odoo", "odoo", 0o640), 1e9);
            });
        }
        let told = told(&stage);
        let named: Vec<&String> = told.iter().filter(|line| line.contains("odoo-shop")).collect();
        assert_eq!(named.len(), 1, "{named:?}");
        assert!(named[0].starts_with("/usr/share/odoo-shop/acme/a.py: odoo:odoo 0640, 3 bytes, SHA-1 "), "{named:?}");
    }

    #[test]
    fn what_cannot_be_reached_is_not_compared() {
        let stage = Stage::new().unwrap();
        stage.world.power_cut(&stage.old);
        let comparison = both(&stage);
        assert!(
            comparison.areas.is_empty() && comparison.unseen.len() == 1 && comparison.unseen[0].starts_with("erp1 cannot be reached: "),
            "{comparison:?}"
        );
    }

    #[test]
    fn a_side_is_a_host_of_the_spec_or_an_address() {
        let stage = Stage::new().unwrap();
        let spec = Some(&stage.session.loaded.spec);
        assert_eq!(side(spec, "erp1", "left").unwrap().1.address, "192.0.2.11");
        let of = |text| side(None, text, "left").map(|(name, host)| (name.to_string(), host.address, host.user, host.port));
        let text = |text: &str| text.to_owned();
        assert_eq!(of("erp1").unwrap(), (text("erp1"), text("erp1"), None, None));
        assert_eq!(of("root@erp1.example.net:2222").unwrap(), (text("left"), text("erp1.example.net"), Some(text("root")), Some(2222)));
        assert_eq!(of("fd00::1").unwrap(), (text("left"), text("fd00::1"), None, None));
        assert!(of("erp1:ssh").is_err() && of("root@").is_err());
    }
}
