//! Chromium pages in a call of light clients: `web/e2e/numbers`, run by `npm`, which leaves its figures in a file.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value};

use crate::results::Results;

/// Runs them, where the browser tests can run.
pub(crate) fn figures(results: &mut Results) -> anyhow::Result<()> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    ensure!(web.join("node_modules").exists(), "the packages of web are not installed (npm ci)");
    let program = std::env::current_exe()?;
    let folder = program.parent().context("it lies in a folder")?;
    let (profile, target) = folder.file_name().zip(folder.parent()).context("it lies in a target folder")?;
    let out = std::env::temp_dir().join(format!("madang-bench-pages-{}.json", std::process::id()));
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "numbers"]).current_dir(&web);
    command.env("CARGO_TARGET_DIR", target).env("E2E_PROFILE", profile).env("NUMBERS_OUT", &out);
    let status = command.status()?;
    let text = std::fs::read_to_string(&out);
    let _ = std::fs::remove_file(&out);
    ensure!(status.success(), "`npm run numbers` in web failed: {status}");
    let figures: Map<String, Value> = serde_json::from_str(&text?)?;
    for (name, value) in figures {
        for sample in value.as_array().into_iter().flatten().filter_map(Value::as_f64) {
            results.add(&name, sample);
        }
    }
    Ok(())
}
