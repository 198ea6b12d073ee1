//! Progress on standard error: a spinner on a terminal, a line per action elsewhere,
//! nothing with `--json`.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::complain;
use crate::action::Moved;
use crate::cli::Global;
use crate::converge::Watch;
use crate::host::HostError;
use crate::report::text::size;
use crate::report::visible::one_line;
use crate::resource::ResourceId;

/// Says what happens while it happens.
pub struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    waited: Mutex<String>,
    /// When the copy under way began, and when it was last told of.
    since: Mutex<Option<(Instant, Instant)>>,
}

/// Without a terminal, a line so often.
const MINUTE: Duration = Duration::from_secs(60);

/// Files, bytes, rate, time left.
fn far(moved: Moved, since: Duration) -> String {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let (done, all) = match moved.of_bytes {
        0 => (moved.files as f64, moved.of_files as f64),
        bytes => (moved.bytes as f64, bytes as f64),
    };
    let seconds = since.as_secs_f64();
    let left = (done > 0.0 && seconds > 1.0).then(|| Duration::try_from_secs_f64((all - done).max(0.0) * seconds / done).ok()).flatten();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
    let rate = (moved.bytes as f64 / seconds.max(0.1)) as u64;
    let left =
        left.map(|left| format!(", {} left", humantime::format_duration(Duration::from_secs(left.as_secs() + 1)))).unwrap_or_default();
    format!("{} of {} files, {} of {}, {}/s{left}", moved.files, moved.of_files, size(moved.bytes), size(moved.of_bytes), size(rate))
}

impl Progress {
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stderr().is_terminal() && !global.json;
        let bar = terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, lines: !global.json, waited: Mutex::default(), since: Mutex::default() }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| complain(text)),
            None if self.lines => complain(text),
            None => {}
        }
    }
}

impl Watch for Progress {
    fn begins(&self, id: &ResourceId, title: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(one_line(&format!("{}: {title}", id.host)));
        }
    }
    fn ended(&self, id: &ResourceId, title: &str, error: Option<&HostError>) {
        match error {
            None => self.line(&format!("{}: {title}", id.host)),
            Some(error) => self.line(&format!("{}: {title}: {error}", id.host)),
        }
    }
    fn moves(&self, id: &ResourceId, moved: Moved) {
        let Ok(mut since) = self.since.lock() else { return };
        let now = Instant::now();
        let begun = since.get_or_insert((now, now));
        let words = far(moved, now.duration_since(begun.0));
        match &self.bar {
            Some(bar) => bar.set_message(format!("{}: {words}", id.host)),
            None if now.duration_since(begun.1) >= MINUTE => {
                begun.1 = now;
                self.line(&format!("{}: {words}", id.host));
            }
            None => {}
        }
    }
    fn kept(&self, id: &ResourceId, complaint: Option<&str>) {
        if let Ok(mut since) = self.since.lock() {
            *since = None;
        }
        match complaint {
            None => self.line(&format!("{}: the filestore of {} is up to date", id.host, id.name)),
            Some(complaint) => self.line(&format!("{}: filestore of {}: {complaint}", id.host, id.name)),
        }
    }
    fn waits(&self, on: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(one_line(&format!("waiting for {on}")));
        }
        if let Ok(mut waited) = self.waited.lock()
            && *waited != on
            && self.bar.is_none()
        {
            self.line(&format!("waiting for {on}"));
            on.clone_into(&mut waited);
        }
    }
}
