//! What the demo says between the reports, and how it shortens the long ones.

use crate::report::Report;
use crate::report::text::{self, Style};

pub const PROLOGUE: &str = "\
otr demo: the life of a pair in six acts.
All of it is simulated inside this program: no host is contacted, no file is touched.
The engine, the spec (specs/acme.yaml) and the reports are the real ones.

erp1 runs Odoo 14 for a company; erp2 is a bare Debian. The spec says what both must be.";

pub const EPILOGUE: &str = "
That was simulated. On real machines:
  tests/run                   plays this on two real Debian systems of its own, power cut included
  otr plan -s your.yaml       looks at yours and changes nothing
  otr schema > schema.json    helps an editor to write your.yaml; specs/ has worked examples";

/// A line of story, and what a person would type.
pub type Act = (&'static str, &'static str);

pub const PLAN: Act = ("How does each machine differ from the spec?", "otr plan");
pub const APPLY: Act = ("Remove the differences.", "otr apply");
pub const PLAN_AGAIN: Act = ("Is anything left?", "otr plan");
pub const SYNC: Act = ("Users attach files. The database streams by itself; files are synced, by a timer or by hand.", "otr sync");
pub const POWER_CUT: Act = ("One more file is attached, and before the next sync erp1 loses its power.", "otr plan");
pub const PROMOTE: Act = ("You made sure that erp1 is off. erp2 takes over.", "otr promote erp2 --production-is-down erp1");

pub fn headline(number: usize, (story, command): Act, style: Style) -> String {
    let bold = |text: String| if style.colour { format!("\x1b[1m{text}\x1b[0m") } else { text };
    format!("\n{}\n{}", bold(format!("{number}. {story}")), bold(format!("$ {command}")))
}

pub fn brief_plan(report: &Report, style: Style) -> String {
    text::render(report, style)
}

pub fn brief_apply(report: &Report, style: Style) -> String {
    text::render(report, style)
}

pub fn brief_cut(report: &Report, style: Style) -> String {
    text::render(report, style)
}
