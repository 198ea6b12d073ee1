//! What the demo says between the reports, and how it shortens the long ones. Pure.

use crate::report::text::{self, Style};
use crate::report::{Outcome, Report, ResourceReport, State};
use crate::resource::{Difference, Kind, Shown};

pub const PROLOGUE: &str = "\
otr demo: the life of a pair in six acts.
All of it is simulated inside this program: no host is contacted, no file is touched.
The engine, the spec (specs/acme.yaml) and the reports are the real ones; long reports
are shortened here.

erp1 runs Odoo 14 for a company; erp2 is a bare Debian. The spec says what both must be.";

pub const EPILOGUE: &str = "
That was simulated. On real machines:
  tests/run                 plays it on two real Debian systems of its own, power cut included
  otr plan -s your.yaml     looks at yours and changes nothing
  otr schema                helps an editor to write your.yaml; specs/ has worked examples";

/// A line of story, and what a person would type.
pub type Act = (&'static str, &'static str);

pub const PLAN: Act = ("How does each machine differ from the spec?", "otr plan");
pub const APPLY: Act = ("Remove the differences: erp2 is installed, copies the database and follows.", "otr apply --restarts");
pub const PLAN_AGAIN: Act = ("Is anything left?", "otr plan");
pub const SYNC: Act = ("Users attach two files. Rows stream by themselves; files are synced, by hand or by timer.", "otr sync");
pub const STATUS: Act = ("One more invoice is attached. What would be lost now?", "otr status");
pub const PROMOTE: Act =
    ("Before the next sync erp1 loses its power. You made sure of that; erp2 takes over.", "otr promote erp2 --production-is-down erp1");

pub fn headline(number: usize, (story, command): Act, style: Style) -> String {
    let bold = |text: String| crate::report::text::paint(style, "1", &text);
    format!("\n{}\n{}", bold(format!("{number}. {story}")), bold(format!("$ {command}")))
}

/// The most differences of one resource that are shown.
const SHOWN: usize = 1;

/// A plan without what only waits and otr's own files; one difference of each resource, no actions.
pub fn plan(report: &Report, style: Style) -> String {
    shortened(report, style, |resource| {
        resource.actions.clear();
        let own = ["/usr/local/bin/otr", "/etc/otr/", "/etc/systemd/system/otr-"].iter().any(|own| resource.name.starts_with(own));
        resource.state != State::Waits && !own
    })
}

/// What apply did to the services and data; nothing of the many small files.
pub fn apply(report: &Report, style: Style) -> String {
    shortened(report, style, |resource| {
        resource.differences.clear();
        let small = matches!(resource.kind, Kind::File | Kind::Directory | Kind::Unit | Kind::OdooConf | Kind::Replication);
        !(small && resource.outcome == Some(Outcome::Changed))
    })
}

/// A report of which `keep` drops or shortens resources; the summary is that of the whole.
fn shortened(report: &Report, style: Style, keep: impl Fn(&mut ResourceReport) -> bool) -> String {
    let mut short = report.clone();
    short.resources.retain_mut(&keep);
    for resource in &mut short.resources {
        shorten(&mut resource.differences);
    }
    let dropped = report.resources.len() - short.resources.len();
    let body = text::render(&short, style);
    let body = body.trim_end().rsplit_once('\n').map_or("", |(body, _)| body);
    format!("{body}\n({dropped} more are not shown here)\n{}", text::summary(report))
}

fn shorten(differences: &mut Vec<Difference>) {
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    for shown in differences.iter_mut().flat_map(|difference| [&mut difference.is, &mut difference.wanted]) {
        if let Shown::Text(text) = shown
            && text.contains('\n')
        {
            *text = format!("{} lines", text.lines().count());
        }
    }
    if let Some(Difference { wanted: Shown::Text(text), .. }) = differences.last_mut().filter(|_| more > 0) {
        text.push_str(&format!(" (and {more} more)"));
    }
}
