//! 30: what apt and pip would do besides is known before anything is done, and what nobody asked for
//! is refused. The packages are made here; on the hosts they stand in a repository of files.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::otr::{Report, Run};
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "software.yaml";

/// `deb NAME VERSION FIELDS` builds one from the folder `tree` and forgets that; `index` lists them all.
const TOOLS: &str = r#"mkdir -p /srv/acme; cd /srv/acme; export LC_ALL=C
deb() {
  mkdir -p tree/DEBIAN
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: lab <lab@localhost>\nDescription: made for the lab\n%s' "$1" "$2" "${3-}" >tree/DEBIAN/control
  dpkg-deb --build --root-owner-group tree "$1_$2.deb" >/dev/null
  rm -r tree
}
conf() { mkdir -p tree/DEBIAN tree/etc; echo "version $2" >"tree/etc/$1.conf"; echo "/etc/$1.conf" >tree/DEBIAN/conffiles; deb "$@"; }
index() { for deb in *.deb; do dpkg-deb -f "$deb"; echo "Filename: ./$deb"; echo "Size: $(stat -c %s "$deb")"; echo "SHA256: $(sha256sum <"$deb" | cut -d' ' -f1)"; echo; done >Packages; }
get() { DEBIAN_FRONTEND=noninteractive apt-get -qq -y --allow-downgrades -o Dpkg::Use-Pty=0 install "$@" >/dev/null; }
"#;

/// On both hosts: a library and what needs its second version, a package with a file to edit, one with a service.
const BUILT: &str = r#"
for v in 1.0 2.0; do deb acme-lib $v; conf acme-conf $v; deb acme-tool $v
  mkdir -p tree/DEBIAN tree/lib/systemd/system
  printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >tree/lib/systemd/system/acme.service
  printf '#!/bin/sh\nsystemctl daemon-reload; systemctl enable -q acme.service; deb-systemd-invoke restart acme.service\n' >tree/DEBIAN/postinst
  chmod 755 tree/DEBIAN/postinst
  deb acme-service $v
done
deb acme-app 1.0 'Depends: acme-lib (>= 2.0)
'
index
echo 'deb [trusted=yes] file:/srv/acme ./' >/etc/apt/sources.list.d/acme.list
apt-get -qq update
"#;

pub fn bullseye() -> Chapter {
    Chapter::new("software", Scene::Bare)
        .step("the_machines_have_a_repository", built)
        .step("a_removal_needs_a_word_of_the_spec", removal)
        .step("a_held_package_stays_held_and_one_that_nobody_named_stays_as_it_is", held)
        .step("a_service_that_is_restarted_is_named_before", restarted)
        .step("an_install_that_was_cut_off_is_finished_and_an_edited_file_stays", cut_off)
        .step("lists_that_are_old_are_fetched_and_a_lock_is_waited_for", stale)
        .step("what_cannot_be_had_is_named_once_and_keeps_nothing_waiting", lacking)
        .step("pip_leaves_what_apt_owns", pip)
        .step("only_what_python_finds_is_a_module", leftovers)
}

/// Where pip deletes what apt owns.
pub fn trixie() -> Chapter {
    Chapter::new("software_19", Scene::Newer("bare19"))
        .step("the_machines_have_a_repository", built)
        .step("a_removal_needs_a_word_of_the_spec", removal)
        .step("an_install_that_was_cut_off_is_finished_and_an_edited_file_stays", cut_off)
        .step("pip_leaves_what_apt_owns", pip)
        .step("only_what_python_finds_is_a_module", leftovers)
}

/// What a plan says about one resource.
fn of<'a>(report: &'a Report, kind: &str, name: &str) -> Option<&'a Value> {
    report.resources().find(|r| r["host"] == "erp2" && r["kind"] == kind && r["name"] == name)
}

fn apply(pair: &mut Pair) -> Result<Run> {
    pair.otr.run(SPEC, "apply --yes --json")
}

/// The version of a package on the standby, and whether it is held; nothing if it is not installed.
fn version(pair: &Pair, name: &str) -> Result<String> {
    let said = pair
        .lab
        .sh("erp2", &format!("dpkg-query -W -f '${{db:Status-Want}} ${{db:Status-Status}} ${{Version}}' {name} 2>/dev/null || :"))?;
    Ok(said.replace("install installed ", "").replace("hold installed ", "held "))
}

fn built(pair: &mut Pair) -> Result<()> {
    for host in ["erp1", "erp2"] {
        pair.lab.sh(host, &format!("{TOOLS}{BUILT}"))?;
    }
    apply(pair)?.ended(0)?;
    pair.nothing_differs(SPEC)
}

fn removal(pair: &mut Pair) -> Result<()> {
    pair.lab.sh("erp1", &format!("{TOOLS}get acme-lib=1.0"))?;
    pair.lab.sh("erp2", &format!("{TOOLS}get acme-lib=2.0 acme-app"))?;
    let plan = pair.otr.run(SPEC, "plan --json")?;
    let said = of(&plan.ended(1)?.json()?, "packages", "debian").map(|r| r["error"].to_string()).unwrap_or_default();
    ensure!(said.contains("apt would remove acme-app") && said.contains("allow_removals"), "{said}");
    apply(pair)?.ended(1)?;
    ensure!(version(pair, "acme-lib")? == "2.0" && version(pair, "acme-app")? == "1.0", "something was changed");
    pair.otr.vary(SPEC, SPEC, |text| text.replace("packages:\n", "packages:\n  allow_removals: [acme-app]\n"))?;
    let plan = pair.otr.run(SPEC, "plan --json")?;
    let differences = of(&plan.ended(0)?.json()?, "packages", "debian").map(|r| r["differences"].to_string()).unwrap_or_default();
    ensure!(differences.contains("acme-app (by apt)"), "the plan does not name it: {differences}");
    apply(pair)?.ended(0)?;
    ensure!(version(pair, "acme-lib")? == "1.0", "acme-lib");
    pair.nothing_differs(SPEC)?;
    pair.otr.fresh_specs()
}

/// The library is held on the standby by its administrator; the tool on both.
fn held(pair: &mut Pair) -> Result<()> {
    pair.lab.sh("erp1", &format!("{TOOLS}get acme-tool=1.0 acme-app acme-lib; apt-mark -qq hold acme-tool; apt-mark -qq auto acme-lib"))?;
    pair.lab.sh("erp2", &format!("{TOOLS}get acme-tool=2.0; apt-mark -qq hold acme-tool acme-lib"))?;
    pair.otr.vary(SPEC, SPEC, |text| text.replace("openssh-*", "acme-lib\", \"openssh-*"))?;
    let run = apply(pair)?;
    let said = of(&run.ended(1)?.json()?, "packages", "obtainable").map(|r| r["error"].to_string()).unwrap_or_default();
    ensure!(
        said.contains("acme-app=1.0 cannot be installed on erp2 beside the rest") && said.contains("Depends: acme-lib (>= 2.0)"),
        "{said}"
    );
    ensure!(version(pair, "acme-lib")? == "held 1.0" && version(pair, "acme-tool")? == "held 1.0", "the rest is done, the held one is not");
    pair.otr.fresh_specs()?;
    pair.lab.sh("erp1", "apt-mark -qq hold acme-lib")?;
    apply(pair)?.ended(0)?;
    let is = (version(pair, "acme-tool")?, version(pair, "acme-lib")?, version(pair, "acme-app")?);
    ensure!(is == ("held 1.0".into(), "held 2.0".into(), "1.0".into()), "{is:?}");
    pair.nothing_differs(SPEC)
}

fn restarted(pair: &mut Pair) -> Result<()> {
    pair.lab.sh("erp1", &format!("{TOOLS}get acme-service=2.0"))?;
    pair.lab.sh("erp2", &format!("{TOOLS}get acme-service=1.0; systemctl is-active -q acme"))?;
    let plan = pair.otr.run(SPEC, "plan --json")?.json()?;
    let resource = of(&plan, "packages", "debian").cloned().unwrap_or_default();
    ensure!(resource["differences"].to_string().contains("restarted by the change of acme-service"), "{resource}");
    ensure!(resource["actions"][0]["interrupts"] == true, "{resource}");
    apply(pair)?.ended(0)?;
    pair.nothing_differs(SPEC)
}

fn cut_off(pair: &mut Pair) -> Result<()> {
    pair.lab.sh("erp1", &format!("{TOOLS}get acme-conf=2.0"))?;
    let half =
        "get acme-conf=1.0; echo mine >>/etc/acme-conf.conf; dpkg --unpack acme-conf_2.0.deb >/dev/null; apt-mark -qq auto acme-conf";
    pair.lab.sh("erp2", &format!("{TOOLS}{half}"))?;
    let plan = pair.otr.run(SPEC, "plan --json")?.json()?;
    let differences = of(&plan, "packages", "debian").map(|r| r["differences"].to_string()).unwrap_or_default();
    ensure!(differences.contains("unpacked, not configured"), "{differences}");
    apply(pair)?.ended(0)?;
    ensure!(version(pair, "acme-conf")? == "2.0", "acme-conf");
    pair.lab.sh("erp2", "grep -q mine /etc/acme-conf.conf")?;
    pair.nothing_differs(SPEC)
}

/// A package that came to the repository since; meanwhile somebody else runs dpkg and apt.
fn stale(pair: &mut Pair) -> Result<()> {
    let more = "deb acme-new 1.0; index";
    pair.lab.sh("erp1", &format!("{TOOLS}{more}; apt-get -qq update; get acme-new"))?;
    let locked = "import fcntl, time\nfiles = [open(name, 'w') for name in ('/var/lib/dpkg/lock-frontend', '/var/lib/dpkg/lock', '/var/lib/apt/lists/lock')]\nfor file in files: fcntl.lockf(file, fcntl.LOCK_EX)\ntime.sleep(12)\n";
    pair.lab.sh("erp2", &format!("{TOOLS}{more}; rm -f /var/lib/otr/apt-lists; systemd-run -q python3 -c \"{locked}\""))?;
    apply(pair)?.ended(0)?;
    ensure!(version(pair, "acme-new")? == "1.0", "acme-new");
    pair.nothing_differs(SPEC)
}

fn lacking(pair: &mut Pair) -> Result<()> {
    let gone = "deb acme-gone 3.0; dpkg -i acme-gone_3.0.deb >/dev/null; deb acme-tool 3.0; dpkg -i --force-hold acme-tool_3.0.deb >/dev/null; rm acme-gone_3.0.deb acme-tool_3.0.deb";
    pair.lab
        .sh("erp1", &format!("{TOOLS}{gone}; deb acme-here 1.0; index; apt-get -qq update; get acme-here; apt-mark -qq hold acme-tool"))?;
    pair.lab.sh("erp2", &format!("{TOOLS}deb acme-here 1.0; index; rm -f /var/lib/otr/apt-lists"))?;
    pair.otr.vary(SPEC, SPEC, |text| text + "files:\n  - {path: /etc/acme-after, content: \"x\\n\"}\n")?;
    let run = apply(pair)?;
    let report = run.ended(1)?.json()?;
    let said = of(&report, "packages", "obtainable").map(|r| r["error"].to_string()).unwrap_or_default();
    for name in ["acme-gone 3.0 cannot be had on erp2", "acme-tool 3.0 cannot be had on erp2", "none of its sources has it now"] {
        ensure!(said.contains(name), "{name}: {said}");
    }
    ensure!(run.stdout.matches("acme-gone 3.0 cannot").count() == 1, "named more than once");
    let is = (version(pair, "acme-here")?, version(pair, "acme-tool")?, version(pair, "acme-gone")?);
    ensure!(is == ("1.0".into(), "held 1.0".into(), String::new()), "{is:?}");
    pair.lab.sh("erp2", "test -e /etc/acme-after")?;
    pair.lab.sh(
        "erp1",
        &format!("{TOOLS}dpkg --purge acme-gone >/dev/null; get --allow-change-held-packages acme-tool=1.0; apt-mark -qq hold acme-tool"),
    )?;
    pair.otr.fresh_specs()?;
    apply(pair)?.ended(0)?;
    pair.nothing_differs(SPEC)
}

/// Two modules of apt's, as Debian makes them: with an egg-info, and without a RECORD. Production's pip has
/// newer ones; what a third needs is too old on the standby.
const MODULES: &str = r#"
module() { # NAME DESCRIPTION
  mkdir -p tree/usr/lib/python3/dist-packages/$1-1.0.$2
  echo 'said = "apt"' >tree/usr/lib/python3/dist-packages/$1.py
  f=METADATA; [ $2 = dist-info ] || f=PKG-INFO
  printf 'Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n' $1 >tree/usr/lib/python3/dist-packages/$1-1.0.$2/$f
  echo $1 >tree/usr/lib/python3/dist-packages/$1-1.0.$2/top_level.txt
  deb python3-$1 1.0
}
wheel() { # NAME VERSION NEEDS
  python3 - "$@" <<'PY'
import sys, zipfile
name, version, needs = (sys.argv[1:] + [""])[:3]
with zipfile.ZipFile(f"{name}-{version}-py3-none-any.whl", "w") as z:
    z.writestr(f"{name}.py", 'said = "pip"\n')
    need = f"Requires-Dist: {needs}\n" if needs else ""
    info = f"{name}-{version}.dist-info"
    z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{need}")
    z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
PY
}
module acmeegg egg-info; module acmenor dist-info; module acmeold egg-info; index; apt-get -qq update
wheel acmeegg 2.0; wheel acmenor 2.0; wheel acmeold 2.0; wheel acmeneeds 1.0 'acmeold>=2'; wheel acmepure 1.0 acmehelp; wheel acmehelp 1.0
printf '[global]\nno-index = true\nfind-links = /srv/acme\nbreak-system-packages = true\n' >/etc/pip.conf
get python3-acmeegg python3-acmenor python3-acmeold
"#;

fn pip(pair: &mut Pair) -> Result<()> {
    for host in ["erp1", "erp2"] {
        pair.lab.sh(host, &format!("{TOOLS}{MODULES}"))?;
    }
    let over = "python3 -m pip install -q --ignore-installed --no-deps acmeegg==2.0 acmenor==2.0 acmepure acmehelp";
    pair.lab.sh("erp1", &format!("export PIP_ROOT_USER_ACTION=ignore; {over}"))?;
    let plan = pair.otr.run(SPEC, "plan --json")?.json()?;
    let differences = of(&plan, "pip", "system").map(|r| r["differences"].to_string()).unwrap_or_default();
    ensure!(differences.contains("1.0 of apt's, which stays beneath"), "{differences}");
    apply(pair)?.ended(0)?;
    pair.nothing_differs(SPEC)?;
    let whole = "dpkg -V python3-acmeegg python3-acmenor python3-acmeold; cd /; for m in acmeegg acmenor; do python3 -c \"import $m; assert $m.said == 'pip', $m.__file__\"; done";
    let said = pair.lab.sh("erp2", whole)?;
    ensure!(said.is_empty(), "files of apt's are missing: {said}");
    // What a module needs is too old among apt's: refused by pip itself, with the way out, which works.
    pair.otr.vary(SPEC, SPEC, |text| text.replace("  system: true", "  install: [acmeneeds]\n  system: true"))?;
    let run = apply(pair)?;
    run.ended(1)?;
    ensure!(run.said().contains("write the newer one into pip.install"), "{}", run.said());
    ensure!(pair.lab.sh("erp2", "dpkg -V python3-acmeold")?.is_empty(), "apt's module was touched");
    pair.otr.vary(SPEC, SPEC, |text| text.replace("[acmeneeds]", "[acmeneeds, acmeold~=2.0]"))?;
    apply(pair)?.ended(0)?;
    pair.nothing_differs(SPEC)?;
    let said =
        pair.lab.sh("erp2", "dpkg -V python3-acmeold; cd /; python3 -c 'import acmeold, acmeneeds; assert acmeold.said == \"pip\"'")?;
    ensure!(said.is_empty(), "{said}");
    // A module that only the spec names brings what it needs: seen before, where pip can say.
    pair.lab.sh("erp1", "export PIP_ROOT_USER_ACTION=ignore; python3 -m pip uninstall -q -y acmeneeds acmeold acmepure acmehelp")?;
    pair.lab.sh("erp2", "export PIP_ROOT_USER_ACTION=ignore; python3 -m pip uninstall -q -y acmeneeds acmeold acmepure acmehelp")?;
    pair.otr.fresh_specs()?;
    pair.otr.vary(SPEC, SPEC, |text| text.replace("  system: true", "  install: [acmepure]\n  system: true"))?;
    let plan = pair.otr.run(SPEC, "plan --json")?.json()?;
    let differences = of(&plan, "pip", "system").map(|r| r["differences"].to_string()).unwrap_or_default();
    let old = pair.lab.holds("erp2", "grep -q ^11 /etc/debian_version")?;
    let says = if old { "not known before: pip 20.3.4 cannot say" } else { "acmehelp (needed by these)" };
    ensure!(differences.contains(says), "{differences}");
    apply(pair)?.ended(0)?;
    pair.nothing_differs(SPEC)?;
    pair.otr.fresh_specs()
}

/// What an interrupted pip left, a description of nothing, another Python's folder, a wheel that lay on the host.
fn leftovers(pair: &mut Pair) -> Result<()> {
    let left = r#"wheel acmelocal 1.0; wheel acmelast 1.0; mkdir /root/w; mv acmelocal-* /root/w; export PIP_ROOT_USER_ACTION=ignore
python3 -m pip install -q /root/w/*.whl acmelast
own=$(echo /usr/local/lib/python3.*/dist-packages)
mkdir -p $own/empty-1.0.dist-info "$own/~cmegone-1.0.dist-info" /usr/local/lib/python3.1/dist-packages/other-1.0.dist-info
for d in "$own/~cmegone-1.0.dist-info:acmegone" /usr/local/lib/python3.1/dist-packages/other-1.0.dist-info:other; do
  printf 'Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n' "${d##*:}" >"${d%:*}/METADATA"
done"#;
    let wheel = MODULES.split_once("module acmeegg").map_or(MODULES, |(functions, _)| functions);
    pair.lab.sh("erp1", &format!("{TOOLS}{wheel}{left}"))?;
    pair.lab.sh("erp2", &format!("{TOOLS}{wheel}wheel acmelast 1.0"))?;
    let run = apply(pair)?;
    let report = run.json()?;
    let differences = of(&report, "pip", "system").map(|r| r["differences"].to_string()).unwrap_or_default();
    ensure!(!["empty", "cmegone", "other"].iter().any(|name| differences.contains(name)), "{differences}");
    ensure!(differences.contains("acmelocal"), "{differences}");
    pair.lab.sh("erp2", "cd /; python3 -c 'import acmelast'")?;
    Ok(())
}
