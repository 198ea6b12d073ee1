//! Progress on standard error: a spinner on a terminal, a line per action elsewhere,
//! nothing with `--json`.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Global;
use crate::converge::Watch;
use crate::host::HostError;
use crate::resource::ResourceId;

/// Says what happens while it happens.
pub struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    waited: Mutex<String>,
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
        Self { bar, lines: !global.json, waited: Mutex::default() }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None if self.lines => eprintln!("{text}"),
            None => {}
        }
    }
}

impl Watch for Progress {
    fn begins(&self, id: &ResourceId, title: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {title}", id.host));
        }
    }
    fn ended(&self, id: &ResourceId, title: &str, error: Option<&HostError>) {
        match error {
            None => self.line(&format!("{}: {title}", id.host)),
            Some(error) => self.line(&format!("{}: {title}: {error}", id.host)),
        }
    }
    fn waits(&self, on: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("waiting for {on}"));
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
