//! What a running relay takes from changed settings without a restart: secrets, users and certificates. And how it
//! notices that the files have changed.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::check;
use crate::config::Config;

/// Settings that [`crate::TurnRelay::reload`] applies; every other one takes effect at the next start.
const RELOADED: [&str; 5] = ["secret", "secret_previous", "user", "tls_cert", "tls_key"];

/// Keys whose values differ between two configurations and that only a restart applies.
#[must_use]
pub fn needs_restart(running: &Config, changed: &Config) -> Vec<String> {
    let table = |config: &Config| check::effective(config).parse::<toml::Table>().unwrap_or_default();
    let (running, changed) = (table(running), table(changed));
    let mut keys: Vec<&String> = running.keys().chain(changed.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let differs = |key: &&String| running.get(*key) != changed.get(*key) && !RELOADED.contains(&key.as_str());
    keys.into_iter().filter(differs).cloned().collect()
}

/// Files of which somebody wants to know when they have changed. It is asked now and then, and believes a change
/// once two questions in a row got the same answer: whoever writes a file gets the time to finish.
#[derive(Debug)]
pub struct Watch {
    files: Vec<PathBuf>,
    /// As they were when the last change was reported.
    reported: Vec<Mark>,
    /// As they were at the last question.
    seen: Vec<Mark>,
}

/// What tells two versions of a file apart; `None` when there is no file.
type Mark = Option<(SystemTime, u64)>;

impl Watch {
    /// Watches these files, from their present state on.
    #[must_use]
    pub fn new(files: Vec<PathBuf>) -> Self {
        let reported = marks(&files);
        Self { seen: reported.clone(), reported, files }
    }

    /// Watches these as well, from their present state on.
    pub fn also(&mut self, files: Vec<PathBuf>) {
        for file in files {
            if !self.files.contains(&file) {
                let mark = marks(std::slice::from_ref(&file));
                self.reported.extend_from_slice(&mark);
                self.seen.extend(mark);
                self.files.push(file);
            }
        }
    }

    /// Takes the files as they are now for known: somebody has just read them.
    pub fn read(&mut self) {
        self.reported = marks(&self.files);
        self.seen.clone_from(&self.reported);
    }

    /// Whether the files have changed since the last time that this was true, and have come to rest.
    pub fn changed(&mut self) -> bool {
        let now = marks(&self.files);
        let rests = now == self.seen;
        let differs = now != self.reported;
        self.seen = now;
        if rests && differs {
            self.reported.clone_from(&self.seen);
        }
        rests && differs
    }
}

fn marks(files: &[PathBuf]) -> Vec<Mark> {
    let mark = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::config::Secret;

    #[test]
    fn a_change_is_told_once_and_only_when_the_file_rests() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("turn.toml");
        std::fs::write(&file, "a").expect("writes");
        let mut watch = Watch::new(vec![file.clone()]);
        assert!(!watch.changed());
        // Lengths differ, so that a coarse clock of the file system does not matter.
        std::fs::write(&file, "half").expect("writes");
        assert!(!watch.changed(), "it may still be written to");
        std::fs::write(&file, "the whole").expect("writes");
        assert!(!watch.changed());
        assert!(watch.changed());
        assert!(!watch.changed());
        std::fs::write(&file, "read in time").expect("writes");
        watch.read();
        assert!(!watch.changed());
        assert!(!watch.changed());
        std::fs::remove_file(&file).expect("removes");
        assert!(!watch.changed());
        assert!(watch.changed());
    }

    #[test]
    fn what_needs_a_restart_is_named() {
        let running = Config::default();
        let mut changed = running.clone();
        changed.secret = Secret::new("another one of sixteen".into());
        changed.tls_cert = Some("c.pem".into());
        assert_eq!(needs_restart(&running, &changed), Vec::<String>::new());
        changed.realm = "elsewhere".into();
        changed.limits.channels = 3;
        assert_eq!(needs_restart(&running, &changed), ["limits", "realm"]);
    }
}
