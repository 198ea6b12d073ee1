//! One program of many looks, and its reply taken apart again.
//!
//! Each look runs in a process of its own with `</dev/null` (or it would eat the rest of the
//! program) and under a time limit (a dead mount hangs for ever). Paths, contents and units are
//! asked for together. Marks made of a random word frame what each prints on both streams, so a
//! look that fails spoils only itself and a reply that breaks off is seen as such.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Look, Reply, Seen, Sight, SightError};
use super::{
    accounts, addons, apt, bucket, command, content, debconf, elsewhere, filestore, folder, life, machine, memcached, mounts, nixos, odoo,
    odoo_reads, origins, packages, paths, pip, postgres, python, quote, record, redis, sentinel, sessions, survey, system, units, vitals,
};
use crate::name::UnitName;

/// What is asked with one process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Question {
    /// `stat` of all paths.
    Paths(Vec<std::path::PathBuf>),
    /// The bytes of all files.
    Contents(Vec<std::path::PathBuf>),
    /// `systemctl show` of all units.
    Units(Vec<UnitName>),
    /// A look of its own.
    One(Look),
}

impl Question {
    /// The looks it answers.
    pub fn looks(&self) -> Vec<Look> {
        match self {
            Question::Paths(paths) => paths.iter().cloned().map(Look::Path).collect(),
            Question::Contents(paths) => paths.iter().cloned().map(Look::Content).collect(),
            Question::Units(units) => units.iter().cloned().map(Look::Unit).collect(),
            Question::One(look) => vec![look.clone()],
        }
    }

    /// Its time limit in seconds: hashing a filestore takes longer than a `stat`.
    pub fn limit(&self) -> u64 {
        match self {
            Question::One(Look::Store { .. } | Look::Tree(_) | Look::Sums(_)) => 3600,
            Question::One(Look::Addons(_)) => 300,
            Question::One(Look::Attachments(..) | Look::LostBundles { .. }) => 300,
            Question::One(Look::Vitals { .. }) => 60,
            Question::One(Look::LoginPage(_)) => 180,
            Question::One(Look::Drill(look)) => look.limit(),
            Question::One(Look::Folder(_) | Look::Origins(_)) => 60,
            // It hashes what pip installed.
            Question::One(Look::Python(_) | Look::Apt(_) | Look::Pip(_)) => 120,
            Question::One(Look::Sessions(_)) => 120,
            // Its own limit is to end it first.
            Question::One(Look::Command(command)) => command.seconds + 10,
            _ => 20,
        }
    }

    /// What its process reads, where that must not stand among its arguments; in base64.
    fn input(&self) -> Option<String> {
        match self {
            Question::One(Look::OdooReads(reading)) => Some(STANDARD.encode(reading.text.expose())),
            _ => None,
        }
    }

    fn script(&self) -> String {
        match self {
            Question::Paths(list) => paths::script(&list.iter().map(AsRef::as_ref).collect::<Vec<&Path>>()),
            Question::Contents(list) => content::script_of_many(&list.iter().map(AsRef::as_ref).collect::<Vec<&Path>>()),
            Question::Units(list) => units::script(&list.iter().collect::<Vec<_>>()),
            Question::One(look) => match look {
                Look::Machine => machine::script(),
                Look::Addons(root) => addons::script(root),
                Look::Survey => survey::script(),
                Look::Vitals { paths, odoo, cluster, databases } => vitals::script(paths, *odoo, cluster.as_ref(), databases),
                Look::Accounts => accounts::script(),
                Look::Packages => packages::script(),
                Look::Debconf(questions) => debconf::script(questions),
                Look::Nixos => nixos::script(),
                Look::Path(path) => paths::script(&[path]),
                Look::Content(path) | Look::SecretContent(path) => content::script(path),
                Look::Record(path) => record::script(path),
                Look::Digest(path) => content::digest_script(path),
                Look::Unit(unit) => units::script(&[unit]),
                Look::Python(site) => python::script(site),
                Look::Cluster(cluster) => postgres::cluster_script(cluster),
                Look::Server(cluster) => postgres::server_script(cluster),
                Look::Attachments(cluster, database) => filestore::attachments_script(cluster, database),
                Look::Store { directory, stamp, hashed } => filestore::store_script(directory, stamp, *hashed),
                Look::LostBundles { cluster, database, directory } => filestore::bundles_script(cluster, database, directory),
                Look::Present { directory, names } => filestore::present_script(directory, names),
                Look::Tree(directory) => filestore::tree_script(directory),
                Look::Sums(directory) => filestore::sums_script(directory),
                Look::Folder(root) => folder::script(root),
                Look::Apt(run) => apt::script(run),
                Look::Pip(run) => pip::script(run),
                Look::Origins(packages) => origins::script(packages),
                Look::System => system::script(),
                Look::Redis { config, port } => redis::script(config, *port),
                Look::Bucket(url) => bucket::script(url),
                Look::RedisElsewhere(at) => elsewhere::script(at),
                Look::Memcached(port) => memcached::script(*port),
                Look::Sentinel { port, name } => sentinel::script(*port, name),
                Look::Sessions(place) => sessions::script(place),
                Look::Mount { at, folder, helper } => mounts::script(at, folder.as_ref(), helper.as_deref()),
                Look::LoginPage(visit) => odoo::script(visit),
                Look::Command(command) => command::script(command),
                Look::Drill(look) => look.script(),
                Look::Life(ask) => life::script(ask),
                Look::OdooReads(reading) => odoo_reads::script(reading),
            },
        }
    }

    /// Reads the reply: one answer per look.
    pub fn read(&self, reply: &Reply) -> Seen {
        let limit = self.limit();
        let spread = |answers: Result<Vec<Result<Sight, SightError>>, SightError>| -> Seen {
            match answers {
                Ok(answers) => self.looks().into_iter().zip(answers).collect(),
                Err(error) => self.looks().into_iter().map(|look| (look, Err(error.clone()))).collect(),
            }
        };
        match self {
            Question::Paths(list) => spread(reply.text(limit).map(|text| {
                let list: Vec<&Path> = list.iter().map(AsRef::as_ref).collect();
                paths::read(text, &list).into_iter().map(|sight| sight.map(Sight::Path)).collect()
            })),
            Question::Contents(list) => {
                spread(Ok(content::read_many(reply, limit, list.len()).into_iter().map(|sight| sight.map(Sight::Content)).collect()))
            }
            Question::Units(list) => spread(reply.text(limit).map(|text| {
                let list: Vec<&UnitName> = list.iter().collect();
                units::read(text, &list).into_iter().map(|sight| sight.map(Sight::Unit)).collect()
            })),
            Question::One(look) => Seen::from([(look.clone(), read_one(look, reply, limit))]),
        }
    }
}

fn read_one(look: &Look, reply: &Reply, limit: u64) -> Result<Sight, SightError> {
    Ok(match look {
        Look::Addons(_) => Sight::Addons(addons::read(reply, limit)?),
        Look::Machine => Sight::Machine(machine::read(reply, limit)?),
        Look::Survey => Sight::Survey(survey::read(reply, limit)?),
        Look::Vitals { .. } => Sight::Vitals(vitals::read(reply, limit)?),
        Look::Accounts => Sight::Accounts(accounts::read(reply, limit)?),
        Look::Packages => Sight::Packages(packages::read(reply, limit)?),
        Look::Debconf(_) => Sight::Debconf(debconf::read(reply, limit)?),
        Look::Nixos => Sight::Nixos(nixos::read(reply, limit)?),
        Look::Path(path) => Sight::Path(paths::read(reply.text(limit)?, &[path]).pop().unwrap_or(Err(SightError::Truncated))?),
        Look::Content(_) => Sight::Content(content::read(reply, limit)?),
        Look::Record(_) => Sight::Record(record::read(reply, limit)?),
        Look::SecretContent(_) => Sight::SecretContent(content::read(reply, limit)?.map(|c| crate::secret::Secret::new(c.text))),
        Look::Digest(_) => Sight::Digest(content::read_digest(reply, limit)?),
        Look::Unit(unit) => Sight::Unit(units::read(reply.text(limit)?, &[unit]).pop().unwrap_or(Err(SightError::Truncated))?),
        Look::Python(_) => Sight::Python(python::read(reply, limit)?),
        Look::Cluster(_) => Sight::Cluster(postgres::read_cluster(reply, limit)?),
        Look::Server(_) => Sight::Server(postgres::read_server(reply, limit)?),
        Look::Attachments(..) => Sight::Attachments(filestore::read_attachments(reply, limit)?),
        Look::Store { .. } => Sight::Store(filestore::read_store(reply, limit)?),
        Look::LostBundles { .. } => Sight::LostBundles(filestore::read_bundles(reply, limit)?),
        Look::Present { names, .. } => Sight::Present(filestore::read_present(reply, limit, names)?),
        Look::Tree(_) => Sight::Tree(filestore::read_tree(reply, limit)?),
        Look::Sums(_) => Sight::Sums(filestore::read_sums(reply, limit)?),
        Look::Folder(root) => Sight::Folder(folder::read(reply, limit, root)?),
        Look::Apt(_) => Sight::Apt(apt::read(reply, limit)?),
        Look::Pip(_) => Sight::Pip(pip::read(reply, limit)?),
        Look::Origins(packages) => Sight::Origins(origins::read(reply, limit, packages)?),
        Look::System => Sight::System(system::read(reply, limit)?),
        Look::Redis { .. } => Sight::Redis(redis::read(reply, limit)?),
        Look::Bucket(_) => Sight::Bucket(bucket::read(reply, limit)?),
        Look::RedisElsewhere(_) => Sight::RedisElsewhere(elsewhere::read(reply, limit)?),
        Look::Memcached(_) => Sight::Memcached(memcached::read(reply, limit)?),
        Look::Sentinel { .. } => Sight::Sentinel(sentinel::read(reply, limit)?),
        Look::Sessions(_) => Sight::Sessions(sessions::read(reply, limit)?),
        Look::Mount { .. } => Sight::Mount(mounts::read(reply, limit)?),
        Look::LoginPage(_) => Sight::LoginPage(odoo::read(reply, limit)?),
        Look::Drill(look) => Sight::Drill(look.read(reply, limit)?),
        Look::OdooReads(_) => Sight::OdooReads(odoo_reads::read(reply, limit)?),
        Look::Life(_) => Sight::Life(life::read(reply, limit)?),
        Look::Command(_) => Sight::Command(command::read(reply, limit)?),
    })
}

/// Groups looks into questions: paths, contents and units together, the rest alone.
pub fn questions(looks: &BTreeSet<Look>) -> Vec<Question> {
    let mut all_paths = Vec::new();
    let mut all_contents = Vec::new();
    let mut all_units = Vec::new();
    let mut questions = Vec::new();
    for look in looks {
        match look {
            Look::Path(path) => all_paths.push(path.clone()),
            Look::Content(path) => all_contents.push(path.clone()),
            Look::Unit(unit) => all_units.push(unit.clone()),
            other => questions.push(Question::One(other.clone())),
        }
    }
    // Well below the kernel's limit for one argument list.
    questions.extend(all_paths.chunks(500).map(|chunk| Question::Paths(chunk.to_vec())));
    questions.extend(all_contents.chunks(200).map(|chunk| Question::Contents(chunk.to_vec())));
    questions.extend(all_units.chunks(500).map(|chunk| Question::Units(chunk.to_vec())));
    questions
}

/// The program for a shell that reads it from standard input. `word` must be unguessable.
pub fn program(questions: &[Question], word: &str) -> String {
    let mut program = String::from("export LC_ALL=C; cd /\n");
    for (n, question) in questions.iter().enumerate() {
        let (limit, script) = (question.limit(), quote(&question.script()));
        // A here-document is written by the shell itself, so no argument list shows it.
        let (input, text) = question.input().map_or(("</dev/null", String::new()), |text| ("<<\\END", format!("\n{text}\nEND\n")));
        let (then, text) = if text.is_empty() { ("; ", text) } else { ("", text) };
        program.push_str(&format!(
            "printf '%s' '{word} {n}<'; printf '%s' '{word} {n}<' >&2\n\
             timeout -k 2 {limit} sh -c {script} {input}{then}{text}s=$?; printf '%s' \"{word} {n}>$s.\"; printf '%s' '{word} {n}>' >&2\n"
        ));
    }
    program.push_str(&format!("printf '%s' '{word} done'; printf '%s' '{word} done' >&2\n"));
    program
}

/// The mark that ends both streams of a program.
pub fn end_mark(word: &str) -> String {
    format!("{word} done")
}

/// Takes the two streams apart. A question whose frame is not whole is [`SightError::Truncated`].
pub fn read(questions: &[Question], word: &str, stdout: &[u8], stderr: &[u8]) -> Seen {
    let mut seen = BTreeMap::new();
    for (n, question) in questions.iter().enumerate() {
        match frame(stdout, stderr, word, n) {
            Some(reply) => seen.extend(question.read(&reply)),
            None => seen.extend(question.looks().into_iter().map(|look| (look, Err(SightError::Truncated)))),
        }
    }
    seen
}

/// The replies themselves, for `record`. A frame that is not whole is left out.
pub fn replies(questions: &[Question], word: &str, stdout: &[u8], stderr: &[u8]) -> Vec<(Question, Reply)> {
    questions.iter().enumerate().filter_map(|(n, question)| Some((question.clone(), frame(stdout, stderr, word, n)?))).collect()
}

fn frame(stdout: &[u8], stderr: &[u8], word: &str, n: usize) -> Option<Reply> {
    let (open, close) = (format!("{word} {n}<"), format!("{word} {n}>"));
    let cut = |stream: &[u8]| -> Option<(usize, usize)> {
        let start = find(stream, open.as_bytes())? + open.len();
        Some((start, start + find(stream.get(start..)?, close.as_bytes())?))
    };
    let (start, end) = cut(stdout)?;
    let tail = stdout.get(end + close.len()..)?;
    let status = std::str::from_utf8(tail.get(..find(tail, b".")?)?).ok()?.parse().ok()?;
    let said = cut(stderr).and_then(|(start, end)| stderr.get(start..end)).map(String::from_utf8_lossy).unwrap_or_default();
    Some(Reply { stdout: stdout.get(start..end)?.to_vec(), stderr: said.into_owned(), status })
}

/// Where `needle` starts in `haystack`.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    // Jumps from one first byte to the next: enough, for marks begin with a rare byte.
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack.get(from..)?.iter().position(|&b| b == first) {
        let at = from + at;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(looks: &[Look]) -> (Vec<Question>, Vec<u8>, Vec<u8>) {
        let questions = questions(&looks.iter().cloned().collect());
        let output = std::process::Command::new("sh").arg("-c").arg(program(&questions, "~w0")).output().unwrap();
        (questions, output.stdout, output.stderr)
    }

    #[test]
    fn one_failing_look_spoils_only_itself() {
        let looks = [Look::Machine, Look::Path("/etc".into()), Look::Content("/etc".into()), Look::Path("/gone".into())];
        let (questions, stdout, stderr) = run(&looks);
        let seen = read(&questions, "~w0", &stdout, &stderr);
        assert!(matches!(&seen[&looks[0]], Ok(Sight::Machine(m)) if m.now > 1e9 && m.uptime > 0.0));
        assert!(matches!(&seen[&looks[1]], Ok(Sight::Path(Some(_)))));
        assert!(matches!(&seen[&looks[2]], Err(SightError::Failed(said)) if said.contains("Is a directory")));
        assert_eq!(seen[&looks[3]], Ok(Sight::Path(None)));
    }

    #[test]
    fn a_reply_cut_anywhere_is_never_absence() {
        let looks = [Look::Path("/etc".into()), Look::Content("/etc/hostname".into()), Look::Machine];
        let (questions, stdout, stderr) = run(&looks);
        let whole = read(&questions, "~w0", &stdout, &stderr);
        for end in 0..stdout.len() {
            for (look, sight) in read(&questions, "~w0", &stdout[..end], &stderr) {
                assert!(sight == whole[&look] || sight == Err(SightError::Truncated), "{look:?} cut at {end}: {sight:?}");
            }
        }
    }
}
