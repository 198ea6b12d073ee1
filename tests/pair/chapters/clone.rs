//! 18: what people do on production is named by plan on the standby, carried by sync, and nothing
//! else is. The ways are the table in [`super::clonings`].

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::clonings::{Cloning, ROUNDS};
use crate::otr::{Report, line};
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "clone.yaml";

/// What somebody built on production: a repository of packages and one of Python code, served by
/// production itself; sites, certificates, a hand-made drop-in; add-ons in odootools' layout, by hand
/// and as checkouts of a server that the standby cannot reach.
const BUILT: &str = r#"
apt-get update -qq
apt-get install -qq -y --no-install-recommends git >/dev/null
mkdir -p /srv/acme /etc/ssl/acme /etc/nginx/sites-available /etc/nginx/sites-enabled
cd /srv/acme
for v in 1.0 2.0; do
  mkdir -p build/DEBIAN build/usr/bin
  printf '#!/bin/sh\necho acme-tool %s\n' $v >build/usr/bin/acme-tool
  chmod 755 build/usr/bin/acme-tool
  printf 'Package: acme-tool\nVersion: %s\nArchitecture: all\nMaintainer: lab <lab@localhost>\nDescription: made for the lab\n' $v >build/DEBIAN/control
  dpkg-deb --build --root-owner-group build acme-tool_$v.deb >/dev/null
  { dpkg-deb -f acme-tool_$v.deb; echo "Filename: ./acme-tool_$v.deb"; echo "Size: $(stat -c %s acme-tool_$v.deb)"; echo "SHA256: $(sha256sum <acme-tool_$v.deb | cut -d' ' -f1)"; echo; } >>Packages
  rm -r build
done
printf 'Origin: acme\nSuite: acme\nDate: %s\nSHA256:\n %s %s Packages\n' "$(LC_ALL=C date -Ru)" "$(sha256sum <Packages | cut -d' ' -f1)" "$(stat -c %s Packages)" >Release
git init -q vcs
cd vcs
printf 'from setuptools import setup\nsetup(name="acme_vcs", version="0.1", py_modules=["acme_vcs"])\n' >setup.py
for v in one two; do
  echo "said = '$v'" >acme_vcs.py
  git add .
  git -c user.name=kim -c user.email=kim@localhost commit -qm $v
  git tag $v
done
cd ..
git clone -q --bare vcs acme_vcs.git
git -C acme_vcs.git update-server-info
systemd-run -q --unit=acme-repository --working-directory=/srv/acme python3 -m http.server 8001
echo 'server { listen 80; }' >/etc/nginx/sites-available/default
ln -s ../sites-available/default /etc/nginx/sites-enabled/default
echo types >/etc/nginx/mime
echo certificate >/etc/ssl/acme/shop.pem
umask 002
mkdir -p /srv/git /usr/share/odoo-acme/acme_base /usr/share/odoo-acme/acme_sale/models
for module in web_acme web_more; do
  mkdir -p /srv/git/work/$module
  echo "{'name': '$module'}" >/srv/git/work/$module/__manifest__.py
  seq 2000 >/srv/git/work/$module/numbers.py
done
cd /srv/git/work
git init -q
git config user.name kim
git config user.email kim@localhost
git checkout -q -b 14.0
git add . && git commit -qm one && git tag one
echo "said = 'two'" >web_acme/said.py
git add . && git commit -qm two
git clone -q --bare . ../oca.git
git clone -q -b 14.0 /srv/git/oca.git /usr/share/odooext-oca-web
git clone -q -b 14.0 /srv/git/oca.git /usr/share/odoo-acme/oca
for module in acme_base acme_sale; do
  echo "{'name': '$module'}" >/usr/share/odoo-acme/$module/__manifest__.py
  echo 'import odoo' >/usr/share/odoo-acme/$module/__init__.py
done
seq 500 >/usr/share/odoo-acme/acme_sale/models/sale.py
chown -R odoo:odoo /usr/share/odoo-acme /usr/share/odooext-oca-web
find /usr/share/odoo-acme -type d -exec chmod 2775 {} +
"#;

/// A checkout on the standby is the very one of production's.
const CHECKOUTS: &str = r#"for tree in odooext-oca-web odoo-acme/oca; do
  cd /usr/share/$tree
  runuser -u odoo -- git log -1 --format=%s%d
  runuser -u odoo -- git status --porcelain
  runuser -u odoo -- git fsck --no-progress
  ! runuser -u odoo -- git fetch -q 2>/dev/null
done"#;

pub fn chapter() -> Chapter {
    let chapter = Chapter::new("clone", Scene::Standby).step("what_people_built_is_cloned", cloned);
    let chapter =
        ROUNDS.iter().fold(chapter, |chapter, (name, rows)| chapter.step(format!("what_is_{name}"), move |pair| round(name, rows, pair)));
    chapter
        .step("settings_are_named_and_left_alone", settings)
        .step("a_tree_that_was_lost_is_not_carried", lost)
        .step("a_module_edited_in_place_is_named", edited)
        .step("what_only_the_standby_has", more)
        .step("a_version_that_cannot_be_had_names_its_origin", from_a_file)
        .step("two_machines_compared", compared)
}

fn cloned(pair: &mut Pair) -> Result<()> {
    pair.lab.call(&["debs", "git"])?;
    pair.lab.sh("erp1", BUILT)?;
    pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
    pair.nothing_differs(SPEC)?;
    let said = pair.lab.sh("erp2", CHECKOUTS)?;
    ensure!(said.lines().count() == 2 && said.lines().all(|line| line.starts_with("two (HEAD -> 14.0")), "not whole checkouts: {said}");
    let list = "cd /usr/share; find odoo-acme odooext-oca-web ! -path '*/.git/*' -printf '%p %y %u:%g %m %l ' -type f -exec sha256sum {} \\; -o ! -path '*/.git/*' -printf '\n' | sort";
    ensure!(pair.lab.sh("erp1", list)? == pair.lab.sh("erp2", list)?, "the add-ons are not the same");
    pair.lab.sh("erp2", "test \"$(readlink /etc/nginx/sites-enabled/default)\" = ../sites-available/default; grep -q certificate /etc/ssl/acme/shop.pem; git --version; test $(stat -c %a /etc/ssl/acme) = 755").map(drop)
}

/// All of a round's tamperings, one plan, the verbs, the checks, an empty plan.
fn round(name: &str, rows: &[Cloning], pair: &mut Pair) -> Result<()> {
    // The last name said is that of the row that failed.
    let tamper: String = rows.iter().map(|row| format!("echo {} >&2\n{}\n", row.name, row.tamper)).collect();
    pair.lab.sh("erp1", &format!("{tamper}systemctl daemon-reload; systemctl restart odoo cron"))?;
    let plan = pair.otr.run(SPEC, "plan --json --detailed-exitcode")?;
    names(rows, &plan.json()?)?;
    plan.ended(2)?;
    let mut said = plan.said();
    let verbs: &[&str] = match name {
        "added" => &["sync packages", "sync pip", "sync addons", "sync config"],
        "changed" => &["sync all"],
        _ => &["apply --yes --restarts"],
    };
    for verb in verbs {
        let run = pair.otr.run(SPEC, &format!("{verb} --json"))?;
        said += &run.said();
        let mut of = vec!["sources", "debconf", "packages", "pip", "addons", "odoo-conf", "clone", "unit"];
        if *verb == "sync all" {
            of.extend(["filestore", "sessions"]);
        }
        let strange = |r: &&Value| r["host"] != "erp2" || !of.iter().any(|kind| r["kind"] == *kind);
        let strangers: Vec<String> = run.json()?.resources().filter(|r| r["outcome"].is_string()).filter(strange).map(line).collect();
        ensure!(strangers.is_empty(), "{verb} touched what was not asked for: {}", strangers.join("; "));
        run.ended(0)?;
    }
    ensure!(!said.contains("hunter"), "a secret of production's files was shown");
    let checks: String = rows.iter().map(|row| format!("{{ {}; }} >/dev/null || echo '{}'\n", row.check, row.name)).collect();
    let not_so = pair.lab.sh("erp2", &format!("set +e\n{checks}"))?;
    ensure!(not_so.is_empty(), "not so on erp2: {not_so}");
    pair.nothing_differs(SPEC)
}

/// Each row is named by the plan in its words, and every difference is some row's.
fn names(rows: &[Cloning], plan: &Report) -> Result<()> {
    let drift = || plan.resources().filter(|r| r["state"] != "holds");
    let all = drift().map(|r| format!("{} {}", line(r), r["differences"])).collect::<Vec<_>>().join("\n");
    let differences: Vec<(&Value, &Value)> =
        drift().flat_map(|r| r["differences"].as_array().into_iter().flatten().map(move |difference| (r, difference))).collect();
    let is = |row: &Cloning, (resource, difference): &(&Value, &Value)| {
        let what = difference["what"].as_str().unwrap_or_default();
        let named = row.what.strip_suffix('*').map_or(what == row.what, |start| what.starts_with(start));
        resource["host"] == "erp2" && resource["kind"] == row.kind && named && !row.what.is_empty()
    };
    for row in rows.iter().filter(|row| !row.what.is_empty()) {
        let found = differences.iter().find(|pair| is(row, pair)).with_context(|| format!("plan does not name {}:\n{all}", row.name))?;
        let text = found.1.to_string();
        for word in row.words {
            ensure!(text.contains(word), "{}: plan does not say {word:?}: {text}", row.name);
        }
    }
    // What else pip would fetch, an old one cannot say beforehand.
    let unknown = |(_, difference): &&(&Value, &Value)| difference["what"] == "what these need";
    let strangers: Vec<String> = differences
        .iter()
        .filter(|pair| !unknown(pair) && !rows.iter().any(|row| is(row, pair)))
        .map(|(r, d)| format!("{}: {d}", line(r)))
        .collect();
    ensure!(strangers.is_empty(), "plan names what nobody did:\n{}", strangers.join("\n"));
    // What can be had is known when the lists are there.
    let fetched = |r: &Value| r["kind"] == "packages" && r["name"] == "obtainable" && r["state"] == "waits";
    ensure!(drift().all(|r| r["state"] == "change" || fetched(r)), "something is not to be changed but refused or unseen:\n{all}");
    Ok(())
}

fn settings(pair: &mut Pair) -> Result<()> {
    pair.lab.sh(
        "erp1",
        "useradd -u 1500 acme; usermod -aG redis odoo; readlink /etc/localtime >/root/zone || true; ln -sfn /usr/share/zoneinfo/Europe/Stockholm /etc/localtime; \
         cp /etc/default/locale /root/locale; echo LANG=sv_SE.UTF-8 >/etc/default/locale; echo 'odoo soft nofile 65536' >/etc/security/limits.d/acme.conf; \
         sysctl -qw net.core.somaxconn=777",
    )?;
    let plan = pair.otr.run(SPEC, "plan --json --detailed-exitcode")?.ended(2)?.json()?;
    let drift: Vec<&Value> = plan.resources().filter(|r| r["state"] != "holds").collect();
    ensure!(drift.len() == 1 && drift[0]["kind"] == "system", "not the settings alone: {drift:?}");
    let text = drift[0].to_string();
    for word in [
        "user acme",
        "group acme",
        "1500",
        "members of redis",
        "time zone",
        "Europe/Stockholm",
        "locale LANG",
        "sv_SE",
        "limit odoo soft nofile",
        "sysctl net.core.somaxconn",
        "777",
    ] {
        ensure!(text.contains(word), "plan does not say {word:?}: {text}");
    }
    pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
    ensure!(
        !pair.lab.holds("erp2", "getent passwd acme || test -e /etc/security/limits.d/acme.conf")?,
        "apply made a user or a limit by itself"
    );
    pair.lab.sh(
        "erp1",
        "userdel acme; gpasswd -d odoo redis >/dev/null; if [ -s /root/zone ]; then ln -sfn $(cat /root/zone) /etc/localtime; else rm /etc/localtime; fi; \
         cp /root/locale /etc/default/locale; rm /etc/security/limits.d/acme.conf; sysctl -qw net.core.somaxconn=$(cat /proc/sys/net/core/somaxconn)",
    )?;
    let somaxconn = pair.lab.sh("erp2", "cat /proc/sys/net/core/somaxconn")?;
    pair.lab.sh("erp1", &format!("sysctl -qw net.core.somaxconn={}", somaxconn.trim()))?;
    pair.nothing_differs(SPEC)
}

fn lost(pair: &mut Pair) -> Result<()> {
    pair.lab.sh(
        "erp1",
        "mv /etc/ssl/acme /root/lost; mkdir /etc/ssl/acme; cp -a /etc/odoo/odoo.conf /root/; : >/etc/odoo/odoo.conf; mv /etc/nginx /root/; \
         mv /usr/share/odoo-acme /root/; mkdir /usr/share/odoo-acme",
    )?;
    let run = pair.otr.run(SPEC, "sync addons --json")?;
    let text = run.stdout.clone();
    run.ended(1)?;
    ensure!(text.contains("/usr/share/odoo-acme is empty on erp1"), "sync addons does not say so: {text}");
    let run = pair.otr.run(SPEC, "sync config --json")?;
    let text = run.stdout.clone();
    run.ended(1)?;
    for word in ["a tree that was lost looks the same", "erp1 has no /etc/nginx", "erp1 has no /etc/odoo/odoo.conf"] {
        ensure!(text.contains(word), "sync does not say {word:?}");
    }
    pair.lab.sh(
        "erp2",
        "test -e /usr/share/odoo-acme/acme_base/__manifest__.py; test -e /etc/ssl/acme/shop.pem; test -L /etc/nginx/sites-enabled/default; grep -q limit_time_cpu /etc/odoo/odoo.conf",
    )?;
    pair.lab.sh(
        "erp1",
        "rm -r /etc/ssl/acme; mv /root/lost /etc/ssl/acme; mv /root/odoo.conf /etc/odoo/; mv /root/nginx /etc/; \
         rmdir /usr/share/odoo-acme; mv /root/odoo-acme /usr/share/; systemctl restart odoo",
    )?;
    pair.nothing_differs(SPEC)
}

/// What pip's own hashes tell: named where it is production's, put right where it is the standby's.
fn edited(pair: &mut Pair) -> Result<()> {
    const FILE: &str = "/usr/local/lib/python3.9/dist-packages/phonenumbers/__init__.py";
    pair.lab.sh("erp1", &format!("cp -a {FILE} /root/whole.py; echo '# by hand' >>{FILE}"))?;
    let plan = pair.otr.run(SPEC, "plan --json --detailed-exitcode")?.ended(2)?.json()?;
    let drift: Vec<&Value> = plan.resources().filter(|r| r["state"] != "holds").collect();
    ensure!(drift.len() == 2 && drift.iter().all(|r| r["kind"] == "pip"), "not pip alone: {drift:?}");
    let text = drift.iter().map(ToString::to_string).collect::<String>();
    for word in ["phonenumbers edited in place", "as pip installed it", "phonenumbers/__init__.py ("] {
        ensure!(text.contains(word), "plan does not say {word:?}: {text}");
    }
    pair.otr.run(SPEC, "sync pip --json")?.ended(0)?;
    pair.lab.sh(
        "erp2",
        &format!("! grep -q 'by hand' {FILE}; grep -q '^phonenumbers==8.12.2' /var/lib/otr/requirements.txt; grep -q 'phonenumbers was edited in place: phonenumbers/__init__.py' /var/lib/otr/requirements.txt"),
    )?;
    pair.lab.sh("erp1", &format!("cp -a /root/whole.py {FILE}"))?;
    pair.lab.sh("erp2", &format!("echo '# by hand' >>{FILE}"))?;
    pair.otr.run(SPEC, "sync pip --json")?.ended(0)?;
    pair.lab.sh("erp2", &format!("! grep -q 'by hand' {FILE}"))?;
    pair.nothing_differs(SPEC)
}

/// Only named without `remove`, removed with it.
fn more(pair: &mut Pair) -> Result<()> {
    pair.otr.vary(SPEC, "kept.yaml", |text| text.replace("remove: true, sources", "sources").replace("{remove: true}", "{}"))?;
    pair.lab.sh("erp1", "apt-get remove -qq -y tree >/dev/null; pip3 uninstall -q -y phonenumbers")?;
    let plan = pair.otr.run("kept.yaml", "plan --json --detailed-exitcode")?.ended(2)?.json()?;
    for (kind, place, name) in [("packages", "debian", "tree"), ("pip", "system", "phonenumbers")] {
        let found = plan.resources().find(|r| r["kind"] == kind && r["name"] == place && r["host"] == "erp2").context(kind)?;
        ensure!(found["state"] == "change" && found["left_to"].is_string() && found["differences"].to_string().contains(name), "{found}");
    }
    for what in ["packages", "pip"] {
        pair.otr.run("kept.yaml", &format!("sync {what} --json"))?.ended(0)?;
    }
    pair.lab.sh("erp2", "tree --version; cd /; python3 -c 'import phonenumbers'")?;
    pair.otr.run(SPEC, "sync packages --json")?.ended(0)?;
    pair.otr.run(SPEC, "sync pip --json")?.ended(0)?;
    pair.lab.sh("erp2", "! command -v tree; cd /; ! python3 -c 'import phonenumbers' 2>/dev/null")?;
    pair.nothing_differs(SPEC)
}

fn from_a_file(pair: &mut Pair) -> Result<()> {
    pair.lab.sh("erp1", "dpkg -i /srv/acme/acme-tool_2.0.deb >/dev/null")?;
    let run = pair.otr.run(SPEC, "sync packages")?;
    run.ended(1)?;
    let said = run.said();
    ensure!(said.contains("acme-tool 2.0 cannot be had on erp2") && said.contains("none of its sources has it now"), "{said}");
    pair.lab.sh("erp1", "dpkg --purge acme-tool >/dev/null")?;
    pair.nothing_differs(SPEC)
}

/// What is left is what is per host.
fn compared(pair: &mut Pair) -> Result<()> {
    pair.lab.sh("erp1", "echo '# by hand' >>/usr/share/odooext-oca-web/web_more/numbers.py")?;
    let run = pair.otr.run(SPEC, "diff erp1 erp2 --json")?;
    let report: Value = serde_json::from_str(&run.ended(0)?.stdout)?;
    let areas = report["areas"].as_array().context("no areas")?;
    let of = |name: &str| areas.iter().find(|area| area["area"] == name).map(|area| area["differences"].to_string());
    for same in ["sources", "packages", "pip"] {
        ensure!(of(same).as_deref() == Some("[]"), "{same} differ: {:?}", of(same));
    }
    let addons = of("addons").context("addons")?;
    // What the clone ignores is a difference all the same.
    for place in ["/usr/share/odoo-acme/acme_base/server.log", "/usr/share/odooext-oca-web/web_more/numbers.py"] {
        ensure!(addons.contains(place), "add-ons without {place}: {addons}");
    }
    ensure!(addons.matches("\"what\"").count() == 2, "add-ons: {addons}");
    let conf = of("odoo.conf").context("odoo.conf")?;
    ensure!(conf.contains("workers") && !conf.contains("limit_time_cpu"), "odoo.conf: {conf}");
    Ok(())
}
