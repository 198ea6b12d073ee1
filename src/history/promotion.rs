//! Which promotion, switchover or rejoin a journal leaves open. What its events hold besides is
//! the business of `promote`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::name::HostName;
use crate::record::{Record, broke_off};
use crate::spec::Spec;

/// One that was begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// When.
    pub at: String,
    /// `promote`, `switchover` or `rejoin`.
    #[serde(default = "promote")]
    pub verb: String,
    /// Who becomes production, or in a rejoin is it.
    pub host: HostName,
    /// Who was.
    pub old: HostName,
    /// Its beginning's place among the journal's lines.
    #[serde(skip)]
    pub line: usize,
}

fn promote() -> String {
    "promote".into()
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event {
    Begin(Begun),
    Note {},
    PutBack { done: bool },
    End {},
    Again {},
    Step {},
    StepEnded {},
    Found {},
}

/// Where the journal of promotions and switchovers is, and that of rejoins: on the host that becomes
/// production or is it.
pub fn paths(spec: &Spec) -> [PathBuf; 2] {
    ["promotion", "rejoin"].map(|name| format!("/var/lib/otr/{name}-{}.jsonl", spec.name).into())
}

/// The one that a journal leaves open.
///
/// # Errors
/// The journal does not tell: what began last stands in a part of it that was not read or cannot be.
pub fn open(journal: &Record) -> Result<Option<Begun>, String> {
    let mut state = match journal.skipped {
        0 => Ok(None),
        bytes => Err(format!("its first {bytes} bytes were not read, and what follows says nothing of a beginning")),
    };
    for (line, text) in journal.lines().enumerate() {
        state = match (serde_json::from_str(text), state) {
            (Ok(Event::Begin(begun)), _) => Ok(Some(Begun { line, ..begun })),
            (Ok(Event::End {} | Event::PutBack { done: true }), _) => Ok(None),
            // Steps of nothing: what they belong to began in a line that is lost.
            (Ok(Event::Again {} | Event::Step {} | Event::StepEnded {} | Event::Found {}), Ok(None)) => {
                Err(format!("line {} belongs to something that is open, and its beginning cannot be read", line + 1))
            }
            (Err(why), Ok(None)) if !broke_off(text) => {
                Err(format!("line {} is no event of a journal that this otr knows: {why}", line + 1))
            }
            (_, state) => state,
        };
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = r#"{"event":"begin","at":"t","host":"erp2","old":"erp1","left_timeline":1}"#;
    const STEP: &str = r#"{"event":"step","at":"t","step":"timers"}"#;
    const END: &str = r#"{"event":"end","at":"t"}"#;

    fn stands(lines: &[&str]) -> Result<bool, String> {
        let text = lines.join("\n");
        open(&Record::of(text.as_bytes(), text.len() as u64)).map(|open| open.is_some())
    }

    #[test]
    fn what_began_is_open_until_its_end() {
        assert_eq!(stands(&[]), Ok(false));
        assert_eq!(stands(&[BEGIN, STEP]), Ok(true));
        assert_eq!(stands(&[BEGIN, STEP, END]), Ok(false));
        assert_eq!(stands(&[BEGIN, r#"{"event":"put-back","at":"t","done":false}"#]), Ok(true));
        assert_eq!(stands(&[BEGIN, r#"{"event":"put-back","at":"t","done":true}"#, r#"{"event":"note"}"#]), Ok(false));
    }

    #[test]
    fn a_line_that_broke_off_was_not_relied_on() {
        assert_eq!(stands(&[BEGIN, STEP, r#"{"event":"en"#]), Ok(true));
        assert_eq!(stands(&[r#"{"event":"begin","at"#]), Ok(false), "nothing was done before it was whole");
        assert_eq!(stands(&[r#"{"event":"begin","at"#, BEGIN, r#"{"event":"st"#, STEP]), Ok(true));
        assert_eq!(stands(&[BEGIN, END, "\0\0\0"]), Ok(false));
    }

    #[test]
    fn what_cannot_be_read_is_not_nothing() {
        assert!(stands(&[STEP]).unwrap_err().contains("beginning cannot be read"));
        assert!(stands(&[BEGIN, END, STEP]).is_err());
        assert!(stands(&["these are no events"]).is_err());
        assert!(stands(&[BEGIN, END, r#"{"event":"of tomorrow"}"#]).is_err(), "an otr of tomorrow may have begun one");
        assert_eq!(stands(&[STEP, END]), Ok(false), "an old end is an end");
        assert_eq!(stands(&["PNG", BEGIN]), Ok(true));
        let cut = |lines: &[&str]| open(&Record { text: lines.join("\n"), skipped: 7 }).map(|open| open.is_some());
        assert!(cut(&[]).unwrap_err().contains("first 7 bytes") && cut(&[STEP]).is_err());
        assert_eq!((cut(&[STEP, END]), cut(&[BEGIN])), (Ok(false), Ok(true)));
    }
}
