//! Answers to a few questions of debconf, read from its own database: starting debconf to look would
//! lock it. Values of passwords are in custody.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Reply, SightError, quote};
use crate::secret::{Secret, Text};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The package that asked, the first if several did.
    pub owner: String,
    /// The template's type: `select`, `string`, `password` …
    pub kind: String,
    /// The answer.
    pub value: Text,
}

/// Answers by question.
pub type Answers = BTreeMap<String, Answer>;

/// Stanzas of `config.dat` and `passwords.dat` as `name, template, owners, value`, then the types of their templates.
/// An answer that spans lines has `\n` in it.
pub(super) fn script(questions: &[String]) -> String {
    let list: Vec<String> = questions.iter().map(|question| quote(question)).collect();
    format!(
        r#"[ -d /var/cache/debconf ] || {{ printf 'end\n'; exit 0; }}
cd /var/cache/debconf || exit
for f in config.dat passwords.dat; do [ ! -e "$f" ] || [ -r "$f" ] || {{ cat "$f" >/dev/null; exit 1; }}; done
OTR_Q=$(printf '%s\n' {}) awk -v RS= -F '\n' '
BEGIN {{ n = split(ENVIRON["OTR_Q"], q, "\n"); for (i = 1; i <= n; i++) asked[q[i]] = 1 }}
function field(name,  i) {{ for (i = 1; i <= NF; i++) if (index($i, name ": ") == 1) return substr($i, length(name) + 3); return "" }}
FILENAME == "templates.dat" {{ n = field("Name"); if (n in types) print "type\t" n "\t" field("Type"); next }}
{{ n = field("Name"); if (n in asked) {{ for (i = 1; i <= NF; i++) if (index($i, "Value:") == 1) {{ t = field("Template"); types[t] = 1; print "answer\t" n "\t" t "\t" field("Owners") "\t" substr($i, 8) }} }} }}
' $(for f in config.dat passwords.dat templates.dat; do [ ! -e "$f" ] || echo "$f"; done) && printf 'end\n'"#,
        list.join(" ")
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Answers, SightError> {
    let text = reply.text(limit)?.strip_suffix("end\n").ok_or(SightError::Truncated)?;
    let kind_of = |template: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix("type\t")?.split_once('\t').filter(|(name, _)| *name == template))
            .map(|(_, kind)| kind)
    };
    let answer = |line: &str| -> Option<(String, Answer)> {
        let mut fields = line.strip_prefix("answer\t")?.splitn(4, '\t');
        let (name, template, owners, value) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let kind = kind_of(template).filter(|kind| !kind.is_empty()).unwrap_or("string").to_owned();
        let value = if kind == "password" { Text::Sensitive(Secret::new(value)) } else { Text::Plain(value.to_owned()) };
        let owner = owners.split(", ").next().filter(|owner| !owner.is_empty()).unwrap_or("debconf").to_owned();
        Some((name.to_owned(), Answer { owner, kind, value }))
    };
    Ok(text.lines().filter_map(answer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(folder: &std::path::Path) -> Result<Answers, SightError> {
        let asked = ["postfix/mailname", "acme/secret", "acme/lines", "tzdata/Areas"].map(str::to_owned);
        let script = script(&asked).replace("/var/cache/debconf", folder.to_str().unwrap());
        let output = std::process::Command::new("sh").arg("-c").arg(script).env("LC_ALL", "C").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        read(&Reply { stdout: output.stdout, stderr, status: output.status.code().unwrap() }, 1)
    }

    #[test]
    fn listed_answers_are_read_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look(&dir.path().join("none")), Ok(Answers::new()), "a system without debconf");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "config.dat",
            "Name: postfix/mailname\nTemplate: postfix/mailname\nValue: mail.example.net\nOwners: postfix, other\nFlags: seen\nVariables:\n a = b\n\nName: acme/other\nTemplate: acme/other\nValue: hunter\nOwners: acme\n\nName: tzdata/Areas\nTemplate: tzdata/Areas\nOwners: tzdata\n\n",
        );
        write("passwords.dat", "Name: acme/secret\nTemplate: acme/password\nValue: hunter2\nOwners: acme\n\n");
        write(
            "templates.dat",
            "Name: acme/password\nType: password\nDescription: x\n\nName: postfix/mailname\nType: string\n\nName: acme/other\nType: string\n\n",
        );
        let answers = look(dir.path()).unwrap();
        assert_eq!(answers.keys().collect::<Vec<_>>(), ["acme/secret", "postfix/mailname"]);
        let mail = Answer { owner: "postfix".into(), kind: "string".into(), value: "mail.example.net".into() };
        assert_eq!(answers["postfix/mailname"], mail);
        assert!(answers["acme/secret"].value.is_sensitive() && answers["acme/secret"].kind == "password");
        assert!(!format!("{answers:?}{}", serde_json::to_string(&answers).unwrap()).contains("hunter"));
        assert_eq!(read(&Reply { stdout: b"answer\tx".to_vec(), ..Reply::default() }, 1), Err(SightError::Truncated));
    }
}
