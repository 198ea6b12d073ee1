//! Sessions on a simulated machine: files under data_dir, keys of Redis.

use std::path::Path;

use super::files::Node;
use super::machine::Machine;
use crate::look::sessions::{Session, digest};
use crate::look::{SessionPlace, SessionsSight, SightError};

impl Machine {
    pub(super) fn sessions(&self, place: &SessionPlace) -> Result<SessionsSight, SightError> {
        match place {
            SessionPlace::Files(directory) => Ok(self.session_files(directory)),
            // Its keys are numbers here: they have neither names nor content.
            SessionPlace::Redis { .. } => {
                if !self.redis.running {
                    return Err(SightError::Failed("Could not connect to Redis: Connection refused".into()));
                }
                let keys = 0..self.redis.keys;
                let one = |_| Session { database: None, age: None, left: Some(3600) };
                Ok(SessionsSight { sessions: keys.clone().map(one).collect(), ids: keys.map(|key| digest(&key.to_string())).collect() })
            }
            SessionPlace::Table(..) => Err(SightError::Failed("ERROR:  relation \"http_sessions\" does not exist".into())),
        }
    }

    fn session_files(&self, directory: &Path) -> SessionsSight {
        let mut sight = SessionsSight::default();
        for (path, entry) in self.files.below(directory).filter(|(_, entry)| matches!(entry.node, Node::File(_))) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let id = name.trim_start_matches("werkzeug_").trim_end_matches(".sess");
            let seconds = std::time::Duration::from_secs_f64((self.now - entry.mtime).max(0.0)).as_secs();
            sight.sessions.push(Session { database: None, age: Some(seconds), left: None });
            sight.ids.insert(digest(id));
        }
        sight
    }
}
