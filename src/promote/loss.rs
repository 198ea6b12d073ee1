//! What was lost: WAL that production had and the standby did not, files that rows refer to
//! and that are not on disk. Only what was seen is said; the rest is said to be unknown.

use serde::{Deserialize, Serialize};

use super::event::Apart;
use super::{Promotion, look};
use crate::history::Copied;
use crate::look::postgres::lsn_bytes;
use crate::look::{Look, Server};
use crate::name::{DatabaseName, HostName};
use crate::resource::postgres::measure::lost_slots;
use crate::resource::postgres::settings::LOGICAL_SLOT;
use crate::resource::unit::clock;
use crate::wanted::{HASHED, cluster_at, stamp};

/// Where the standby's data stood before it was promoted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The timeline.
    pub timeline: u32,
    /// Up to where WAL was received.
    pub received: Option<String>,
    /// Up to where it was replayed.
    pub replayed: Option<String>,
    /// Production's last position as the standby knew it.
    pub production: Option<String>,
    /// The commit time of the last replayed transaction, UTC.
    pub last_transaction: Option<String>,
    /// When the last message from production came, UTC.
    pub last_message: Option<String>,
    /// Logical slots that production had when otr last looked, and the standby has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logical_slots: Vec<String>,
}

impl Position {
    /// As a server says it.
    pub(super) fn of(server: &Server) -> Self {
        Self {
            timeline: server.timeline,
            received: server.lsn.clone(),
            replayed: server.replay_lsn.clone(),
            production: server.receiver.as_ref().and_then(|r| r.latest_end_lsn.clone()),
            last_transaction: server.last_replayed_at.map(clock),
            last_message: server.receiver.as_ref().and_then(|r| r.last_message_at).map(clock),
            logical_slots: Vec::new(),
        }
    }
}

/// What was lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// What is known of the database.
    pub database: DatabaseLoss,
    /// When the last good `otr sync` ended, UTC.
    pub last_sync: Option<String>,
    /// Files that rows refer to and that are not on disk or are damaged.
    pub files: Vec<LostFile>,
    /// Where they are listed, if there are many: in a journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_in: Option<Apart>,
    /// Stores that could not be looked at, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
}

/// What is known of lost transactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseLoss {
    /// Where the data stood.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// WAL that production had reported and the standby had not received, in bytes.
    pub known_missing_bytes: Option<u64>,
    /// The same in a sentence.
    pub words: String,
}

/// One lost file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LostFile {
    /// Whose.
    pub database: DatabaseName,
    /// The attachment's name.
    pub name: String,
    /// Its id.
    pub id: i64,
    /// The file's name in the store.
    pub store_name: String,
    /// `absent` or `damaged`.
    pub fault: String,
}

/// Where the standby's data stands now.
pub(super) fn position(promotion: &Promotion<'_>) -> Result<Position, String> {
    let host = promotion.host;
    let at = cluster_at(promotion.inputs.spec, host).ok_or("the spec has no `replication:`")?;
    let facts = look(promotion, host, &[Look::Server(at.cluster.clone()), Look::Content(at.settings_file())]);
    let server = at.server(&facts).map_err(|e| e.to_string())?.ok_or_else(|| format!("PostgreSQL does not run on {host}"))?;
    // Production may be beyond asking: the last apply left them on record.
    let record = facts.content(host, &at.settings_file()).ok().and_then(|content| content.as_ref());
    let named: Vec<String> = record
        .iter()
        .flat_map(|content| content.text.lines())
        .filter_map(|line| line.strip_prefix(LOGICAL_SLOT))
        .map(str::to_owned)
        .collect();
    Ok(Position { logical_slots: lost_slots(&named, server), ..Position::of(server) })
}

/// What was lost, seen from the host that is production now.
pub(super) fn lost(promotion: &Promotion<'_>, before: Option<&Position>) -> Option<Lost> {
    let before = before.cloned();
    let (files, mut unseen) = lost_files(promotion, promotion.host);
    let path = Copied::path(promotion.inputs.spec);
    let facts = look(promotion, promotion.host, &[Look::Record(path.clone())]);
    let last_sync = match facts.record(promotion.host, &path) {
        Ok(record) => record.as_ref().and_then(Copied::last_good),
        Err(error) => {
            unseen.push(format!("when files were last copied: {error}"));
            None
        }
    };
    Some(Lost { database: database(before), last_sync, files, files_in: None, unseen })
}

fn database(position: Option<Position>) -> DatabaseLoss {
    let bytes = |lsn: &Option<String>| lsn.as_deref().and_then(lsn_bytes);
    let known = position.as_ref().and_then(|p| Some(bytes(&p.production)?.saturating_sub(bytes(&p.received)?)));
    let last = position.as_ref().and_then(|p| p.last_transaction.clone());
    let words = match (&last, known) {
        (Some(last), Some(0)) => format!(
            "the last transaction kept was committed {last}; nothing that production had reported is missing; what it committed afterwards is lost"
        ),
        (Some(last), Some(bytes)) => format!(
            "the last transaction kept was committed {last}; {bytes} bytes of WAL that production had reported are lost, and what it committed afterwards"
        ),
        (Some(last), None) => format!(
            "the last transaction kept was committed {last}; what production committed after it is lost; how much cannot be seen from here"
        ),
        (None, _) => "no transaction was replayed since this server started; how much was lost cannot be seen from here".into(),
    };
    let slots = position.iter().flat_map(|p| &p.logical_slots).cloned().collect::<Vec<_>>().join(", ");
    let slots = if slots.is_empty() { slots } else { format!("; logical slots are lost, and their subscribers begin anew: {slots}") };
    DatabaseLoss { position, known_missing_bytes: known, words: words + &slots }
}

/// Files that rows refer to and that are not sound on a host.
pub fn lost_files(promotion: &Promotion<'_>, host: &HostName) -> (Vec<LostFile>, Vec<String>) {
    let spec = promotion.inputs.spec;
    let (mut files, mut unseen) = (Vec::new(), Vec::new());
    let (Some(odoo), Some(at)) = (&spec.odoo, cluster_at(spec, host)) else { return (files, unseen) };
    for database in &odoo.databases {
        let directory = odoo.data_dir.join("filestore").join(database.as_str());
        let stamp = stamp(database.as_str());
        let looks = [
            Look::Attachments(at.cluster.clone(), database.clone()),
            Look::Store { directory: directory.clone(), stamp: stamp.clone(), hashed: HASHED },
        ];
        let facts = look(promotion, host, &looks);
        let (needed, store) = match (facts.attachments(host, &at.cluster, database), facts.store(host, &directory, &stamp, HASHED)) {
            (Ok(needed), Ok(store)) => (needed, store),
            (Err(error), _) | (_, Err(error)) => {
                unseen.push(error.to_string());
                continue;
            }
        };
        for (store_name, attachment) in needed {
            let file = store.as_ref().and_then(|files| files.get(store_name));
            let fault = match file {
                None => "absent",
                Some(file) if file.sha1.as_ref().is_some_and(|sha1| !store_name.ends_with(sha1.as_str())) => "damaged",
                Some(_) => continue,
            };
            files.push(LostFile {
                database: database.clone(),
                name: attachment.name.clone(),
                id: attachment.id,
                store_name: store_name.clone(),
                fault: fault.into(),
            });
        }
    }
    (files, unseen)
}
