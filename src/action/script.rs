//! Actions as POSIX shell. The only file besides the looks where shell text is written.
//!
//! Every script runs in a subshell under `set -e`, read from the shell's standard input: a
//! secret in it is in nobody's arguments or environment. Every script can be repeated.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Action, Attributes, DebconfAnswer, Reader, RedisServer, UnitVerb, reader};
use crate::guard::PRODUCTION_SINCE_BOOT;
use crate::look::content::bytes_of;
use crate::look::postgres::psql;
use crate::look::redis::client;
use crate::look::{ClusterName, quote, quote_path};
use crate::name::PackageName;
use crate::secret::{REDACTED, Text};
use guarded::GUARD;

mod clone;
mod copy;
pub(crate) mod guarded;
mod packages;
mod pip;
mod record;
mod rejoin;

/// Where the first predecessor of every file otr replaces is kept, under its old path.
pub const BACKUPS: &str = "/var/lib/otr/backup";
/// Keeps the file or link `$t` as `$b`, unless something is kept there.
pub const KEEP_ONCE: &str = r#"{ ! [ -f "$t" ] && ! [ -L "$t" ] || [ -e "$b" ] || [ -L "$b" ] || ! mkdir -p -- "${b%/*}" 2>/dev/null || { cp -a -- "$t" "$b.new" && mv -T -- "$b.new" "$b"; }; }"#;

/// The script of an action, secrets and all: for a shell's standard input only.
pub fn script(action: &Action) -> String {
    match action {
        Action::WriteFile { path, content, attributes, reader } => write_file(path, content, attributes, reader.as_ref()),
        Action::MakeDirectory { path, attributes } => guarded::directory(path, attributes),
        Action::MakeMountPoint { at, immutable } => super::mounts::make(at, *immutable),
        Action::Mount { at, unit, .. } => super::mounts::mount(at, unit),
        Action::Detach { at } => super::mounts::detach(at),
        Action::Unmount { at } => super::mounts::unmount(at),
        Action::Remount { at, options } => super::mounts::remount(at, options),
        Action::SetAttributes { path, attributes } => guarded::attributes(path, attributes),
        Action::WriteBytes { path, encoded, attributes } => clone::write_bytes(path, encoded, attributes),
        Action::MakeLink { path, target } => clone::make_link(path, target),
        Action::RemoveDirectory { path } => guarded::remove(path, &format!("[ ! -d ./{n} ] || rmdir", n = guarded::split(path).1)),
        Action::RemovePlaces { root, places } => clone::remove_places(root, places),
        Action::RemoveFile { path } => {
            let kept = backup(path, &format!("./{}", guarded::split(path).1));
            guarded::remove(path, &format!("{kept}rm -f"))
        }
        Action::EndSessions { directory, mount, owner, names } => super::transfer::end_sessions(directory, mount.as_deref(), owner, names),
        Action::ChangePackages { run, steps, .. } => packages::change(run, steps),
        Action::ConfigurePackages => packages::configure(),
        Action::AnswerDebconf { answers } => clone::answer_debconf(answers),
        Action::HoldPackages { packages } => format!("apt-mark hold {}", names(packages)),
        Action::UnholdPackages { packages } => format!("apt-mark unhold {}", names(packages)),
        Action::MarkPackages { packages, automatic } => {
            format!("apt-mark {} {} >/dev/null", if *automatic { "auto" } else { "manual" }, names(packages))
        }
        Action::UpdatePackageLists { architectures, asked } => packages::update(architectures, asked),
        Action::MakeVenv { path } => pip::make(path),
        Action::PipInstall { install } => pip::install(install),
        Action::PipReplace { site, requirements, break_system_packages } => pip::replace(site, requirements, *break_system_packages),
        Action::PipUninstall { site, modules, break_system_packages } => pip::uninstall(site, modules, *break_system_packages),
        Action::DaemonReload => "systemctl daemon-reload".into(),
        Action::Unit { unit, verb: UnitVerb::Mask } => {
            // Before the package is there systemctl knows no such unit and may refuse: the link says the same.
            // It never takes the place of a file or link of somebody else's.
            let unit = quote(unit.as_str());
            format!("systemctl mask -- {unit} 2>/dev/null || {{ ln -sT /dev/null /etc/systemd/system/{unit}; systemctl daemon-reload; }}")
        }
        Action::Unit { unit, verb: UnitVerb::Unmask } => {
            let unit = quote(unit.as_str());
            format!("systemctl unmask -- {unit}\nsystemctl unmask --runtime -- {unit}")
        }
        Action::Unit { unit, verb: verb @ (UnitVerb::Start | UnitVerb::Restart) } => {
            // Otherwise systemd goes on counting the failures before it: a service that is mended counts as one that is not.
            let unit = quote(unit.as_str());
            format!("systemctl reset-failed -- {unit} 2>/dev/null || :\nsystemctl {} -- {unit}", verb.as_str())
        }
        Action::Unit { unit, verb } => format!("systemctl {} -- {}", verb.as_str(), quote(unit.as_str())),
        Action::ReloadPostgres { cluster } => sql(cluster, "postgres", &"SELECT pg_reload_conf();".into()),
        Action::SetReplicationRole { cluster, role, verifier } => {
            let statement = verifier.map(|verifier| {
                format!(
                    "DO $otr$ BEGIN CREATE ROLE \"{role}\" REPLICATION LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $otr$;\n\
                     SET log_statement = 'none';\nALTER ROLE \"{role}\" REPLICATION LOGIN PASSWORD '{verifier}';"
                )
            });
            sql(cluster, "postgres", &statement)
        }
        Action::CreateSlot { cluster, slot } => sql(
            cluster,
            "postgres",
            &format!("SELECT pg_create_physical_replication_slot('{slot}', true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{slot}');").into(),
        ),
        Action::DropSlot { cluster, slot } => {
            sql(cluster, "postgres", &format!("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}';").into())
        }
        Action::ResetSetting { cluster, name } => sql(cluster, "postgres", &format!("ALTER SYSTEM RESET {name};\nSELECT pg_reload_conf();").into()),
        Action::MakeUpPassword { path, role } => {
            let (folder, name) = guarded::split(path);
            format!(
                "umask 077\n{GUARD}into {folder}\nfresh {name}\ntrap leave EXIT\n\
                 password=$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')\nprintf '*:*:*:%s:%s\\n' {role} \"$password\" > new\n\
                 chown postgres:postgres new\nsync new\nmv -T -- new ../{name}"
            )
        }
        Action::BaseBackup { cluster, data_directory: data, conninfo, slot, spaces, keep_old } => {
            copy::base_backup(&copy::Copy { cluster, data, conninfo, slot: slot.as_deref(), spaces, keep_old: *keep_old })
        }
        Action::FollowPrimary { cluster, data_directory } => {
            let data = quote_path(data_directory);
            let forget = copy::forget_targets(&data, data_directory, false);
            format!("{forget}\nrunuser -u postgres -- touch {data}/standby.signal\nsync {data}/standby.signal {data}\nsystemctl start {}", service(cluster))
        }
        Action::MarkStandby { data_directory } => rejoin::mark(data_directory),
        Action::RecoverCluster { cluster, data_directory } => rejoin::recover(cluster, data_directory),
        Action::KeepData { data_directory, to } => rejoin::keep(data_directory, to),
        Action::GrantRewind { cluster, role } => sql(cluster, "postgres", &rejoin::grants(role.as_str()).into()),
        Action::Rewind { cluster, data_directory, conninfo } => rejoin::rewind(cluster, data_directory, conninfo),
        Action::ReplayAll { cluster } => sql(cluster, "postgres", &REPLAY_ALL.into()),
        Action::Promote { cluster } => {
            // pg_promote is only called in recovery: a run that was killed after it may come here again.
            let statement = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, 120) ELSE true END AS promoted \\gset\n\\if :promoted\n\\else\n\\warn pg_promote did not finish within 120 s\nSELECT 1/0;\n\\endif";
            sql(cluster, "postgres", &format!("{statement}{FORGET_HURRY}").into()) + &format!("\nmkdir -p -m 0700 /run/otr\n: > {PRODUCTION_SINCE_BOOT}")
        }
        Action::Checkpoint { cluster } => sql(cluster, "postgres", &"CHECKPOINT;".into()),
        Action::ProveWrite { cluster } => {
            let statement = "CREATE TABLE IF NOT EXISTS otr_write_proof (at timestamptz NOT NULL);\nDELETE FROM otr_write_proof;\nINSERT INTO otr_write_proof VALUES (now());\nDROP TABLE otr_write_proof;";
            sql(cluster, "postgres", &statement.into())
        }
        Action::ForgetBundles { cluster, database, names } => {
            let list: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            sql(cluster, database.as_str(), &format!("DELETE FROM ir_attachment WHERE store_fname IN ({});", list.join(", ")).into())
        }
        Action::SetRedis { server, name, value } => {
            let set = redis(server, &value.map(|value| format!("CONFIG SET {name} {}", redis_word(value))));
            // The file is whole only when its first rewrite ended; a restart before that would lose every key.
            let rewriting = "echo 'INFO persistence' | redis_send | grep -q 'aof_rewrite_[a-z_]*:1'";
            let wait = format!("\nn=0; while {rewriting} && [ $n -lt 3000 ]; do sleep 0.2; n=$((n + 1)); done");
            set + if name == "appendonly" { &wait } else { "" }
        }
        Action::ReplicateRedis { server, primary } => {
            let command = primary.as_ref().map_or("REPLICAOF NO ONE".to_owned(), |(host, port)| format!("REPLICAOF {host} {port}"));
            redis(server, &command.into())
        }
        Action::Sentinel(action) => action.script(),
        Action::Drill(action) => action.script(),
        Action::AppendJournal { path, line, rotates } => record::append(path, line, *rotates),
        Action::Run { command } => {
            // What it leaves running must not hold otr's lock.
            let late = format!("it did not end within {} s", command.seconds);
            format!("code=0\n{} 9>&- || code=$?\n[ $code != 124 ] || echo {} >&2\nexit $code", command.call(), quote(&late))
        }
        Action::InstallOtr { path, sha256 } => install_otr(path, sha256),
        Action::Fetch { .. } | Action::KeepStore { .. } => "echo 'a copy between two hosts is no script' >&2; false".into(),
    }
}

/// The script with its secrets left out, for a person to read and run.
pub fn shown(action: &Action) -> String {
    match action {
        // Run as it stands, it would put the stand-in in the secret's place.
        Action::WriteFile { path, content: Text::Sensitive(_), attributes, .. } => format!(
            "# it holds a secret, so its text is not shown: make the changes named above by hand, then\n{}",
            set_attributes(&quote_path(path), attributes)
        ),
        Action::WriteFile { path, content: Text::Plain(text), attributes: a, .. } => {
            let path = quote_path(path);
            format!(
                "install -o {} -g {} -m {} /dev/stdin {path} <<'EOF'\n{text}{}EOF",
                a.owner,
                a.group,
                a.mode,
                if text.ends_with('\n') { "" } else { "\n" }
            )
        }
        Action::SetReplicationRole { cluster, role, verifier: Text::Sensitive(_) } => {
            let action = Action::SetReplicationRole { cluster: cluster.clone(), role: role.clone(), verifier: REDACTED.into() };
            format!("# put the password in place of {REDACTED} first\n{}", script(&action))
        }
        Action::SetRedis { server, name, value: Text::Sensitive(_) } => {
            let action = Action::SetRedis { server: server.clone(), name: name.clone(), value: REDACTED.into() };
            format!("# put the value in place of {REDACTED} first\n{}", script(&action))
        }
        Action::Sentinel(action) => action.shown().script(),
        Action::Drill(action) => action.shown().script(),
        Action::WriteBytes { path, attributes, .. } => format!(
            "# its content is production's and is not shown: copy it from there, then\n{}",
            set_attributes(&quote_path(path), attributes)
        ),
        Action::AnswerDebconf { answers } if answers.iter().any(|answer| answer.value.is_sensitive()) => {
            let hide = |answer: &DebconfAnswer| DebconfAnswer { value: answer.value.shown().into(), ..answer.clone() };
            let action = Action::AnswerDebconf { answers: answers.iter().map(hide).collect() };
            format!("# put production's answers in place of {REDACTED} first\n{}", script(&action))
        }
        Action::InstallOtr { path, .. } => format!("install -m 0755 otr {}", quote_path(path)),
        Action::MakeDirectory { path, attributes: a } => {
            format!("install -d -o {} -g {} -m {} {}", a.owner, a.group, a.mode, quote_path(path))
        }
        Action::SetAttributes { path, attributes } => set_attributes(&quote_path(path), attributes),
        Action::MakeLink { path, target } => format!("ln -sfn -- {} {}", quote(target), quote_path(path)),
        Action::RemoveFile { path } => format!("rm -f -- {}", quote_path(path)),
        Action::RemoveDirectory { path } => format!("rmdir -- {}", quote_path(path)),
        other => script(other),
    }
}

/// Neither a delay nor a pause by hand keeps back what was received. A delay of a file is overruled.
const REPLAY_ALL: &str = "SELECT current_setting('recovery_min_apply_delay') <> '0' AS delayed \\gset\n\\if :delayed\nALTER SYSTEM SET recovery_min_apply_delay = 0;\nSELECT pg_reload_conf();\n\\endif\nSELECT pg_wal_replay_resume();";

/// A standby's next life has its own delay again.
const FORGET_HURRY: &str = "\n\\set hurried false\nSELECT EXISTS (SELECT FROM pg_file_settings WHERE name = 'recovery_min_apply_delay' AND sourcefile LIKE '%/postgresql.auto.conf') AS hurried \\gset\n\\if :hurried\nALTER SYSTEM RESET recovery_min_apply_delay;\nSELECT pg_reload_conf();\n\\endif";

fn names(packages: &[PackageName]) -> String {
    packages.iter().map(|name| quote(name.as_str())).collect::<Vec<_>>().join(" ")
}

fn service(cluster: &ClusterName) -> String {
    format!("postgresql@{}-{}.service", cluster.version, cluster.name)
}

fn set_attributes(path: &str, a: &Attributes) -> String {
    format!("chown -h {}:{} -- {path}\nchmod {} -- {path}", a.owner, a.group, a.mode)
}

/// Keeps what stands `here`, in the folder that was entered. Where a folder is to be kept and a file of
/// that name was, the file's backup makes way.
fn backup(path: &Path, here: &str) -> String {
    let kept = format!("{BACKUPS}{}", path.display());
    let (kept, directory) = (quote(&kept), quote_path(Path::new(&kept).parent().unwrap_or(Path::new(BACKUPS))));
    format!(
        "if {{ [ -e {here} ] || [ -L {here} ]; }} && ! [ -e {kept} ] && ! [ -L {kept} ]; then a={directory}; until [ -e \"$a\" ] || [ -L \"$a\" ]; do a=${{a%/*}}; done; [ -d \"$a\" ] || mv -T -- \"$a\" \"$a.otr-file\"; (umask 077; mkdir -p -- {directory}); cp -a -- {here} {kept}.new; [ -L {kept}.new ] || sync {kept}.new; mv -T -- {kept}.new {kept}; fi\n"
    )
}

fn write_file(path: &Path, content: &Text, attributes: &Attributes, reader: Option<&Reader>) -> String {
    // 76 columns: a line of a here-document has no useful limit, but a person may read it.
    let encoded = STANDARD.encode(bytes_of(content.expose()));
    let lines: Vec<&str> =
        (0..encoded.len()).step_by(76).map(|i| encoded.get(i..(i + 76).min(encoded.len())).unwrap_or_default()).collect();
    decoded(path, &lines.join("\n"), attributes, &reader::read(reader, path, content.is_sensitive()))
}

/// A file of bytes that travelled in base64; `read` are the lines with which its owner reads it first.
fn decoded(path: &Path, encoded: &str, attributes: &Attributes, read: &str) -> String {
    // The owner's user may come to the file, and to nothing else there.
    let read = if read.is_empty() { String::new() } else { format!("chmod 0711 .\nnew=$(pwd -P)/new\n{read}") };
    let make = format!("base64 -d > new <<'OTR-EOF'\n{encoded}\nOTR-EOF\n{}\n{read}sync new", set_attributes("new", attributes));
    guarded::replace(path, &make)
}

/// This very program. It is tried before it takes its place: one that was linked against a
/// newer C library does not run on an older system.
fn install_otr(path: &Path, sha256: &str) -> String {
    let bytes = match std::env::current_exe().and_then(std::fs::read) {
        Ok(bytes) => bytes,
        Err(error) => return format!("echo {} >&2; false", quote(&format!("otr cannot read its own program: {error}"))),
    };
    let (folder, name) = guarded::split(path);
    format!(
        "umask 022\n{GUARD}into {folder}\nfresh {name}\ntrap leave EXIT\nbase64 -d > new <<'OTR-EOF'\n{}\nOTR-EOF\n\
         [ \"$(sha256sum < new | cut -d' ' -f1)\" = {sha256} ] || {{ echo 'the program arrived damaged' >&2; false; }}\n\
         chmod 0755 new\n./new --version >/dev/null || {{ echo 'this otr does not run there: use the static build' >&2; false; }}\n\
         sync new\nmv -T -- new ../{name}",
        STANDARD.encode(bytes),
    )
}

fn sql(cluster: &ClusterName, database: &str, statement: &Text) -> String {
    format!("{} >/dev/null <<'OTR-EOF'\n{}\nOTR-EOF", psql(cluster, database), statement.expose())
}

fn redis(server: &RedisServer, command: &Text) -> String {
    let client = client(&server.config, server.port);
    format!(
        "{client}\nsaid=$(redis_send <<'OTR-EOF'\n{}\nOTR-EOF\n)\ncase $said in *OK) ;; *) printf '%s\\n' \"$said\" >&2; false;; esac",
        command.expose()
    )
}

/// A word of redis-cli's own quoting.
fn redis_word(value: &str) -> String {
    let odd = |c: char| if c.is_ascii_control() { format!("\\x{:02x}", u32::from(c)) } else { c.to_string() };
    let text: String = value.replace('\\', "\\\\").replace('"', "\\\"").chars().map(odd).collect();
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests;
