//! STOMP clients of others against the service: @stomp/stompjs over npm `ws`, and stomp.py. Their packages are
//! installed below the target folder at the first run; Node, Python and python3-venv must be there.

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use support::{Service, config};
use tokio::process::Command;

/// A bound for the whole of an install or a run; a scenario's own waits are shorter.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder for `name` below the target folder, with copies of `files`.
fn prepare(name: &str, files: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for file in files {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    folder
}

async fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, child).await.unwrap_or_else(|_| panic!("{program} hangs"));
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?} failed\n{out}\n{err}");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn stompjs_over_ws() {
    let folder = prepare("stompjs", &["package.json", "stompjs.mjs"]);
    if !folder.join("node_modules/ws/package.json").exists() {
        run(&folder, "npm", &["install", "--no-audit", "--no-fund", "--no-package-lock"]).await;
    }
    let service = Service::start(config(true)).await;
    let url = format!("ws://{}/streaming", service.address);
    let out = run(&folder, "node", &["stompjs.mjs", &url]).await;
    assert!(out.contains("6 scenarios passed"), "{out}");
    service.wait_count("js-1.2", 0).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stomp_py_over_websocket() {
    let folder = prepare("stomp_py", &["requirements.txt", "stomp_py.py"]);
    let python = folder.join("venv/bin/python").display().to_string();
    if !folder.join("installed").exists() {
        run(&folder, "python3", &["-m", "venv", "venv"]).await;
        run(&folder, &python, &["-m", "pip", "install", "--quiet", "-r", "requirements.txt"]).await;
        std::fs::write(folder.join("installed"), "").unwrap();
    }
    let service = Service::start(config(true)).await;
    let out = run(&folder, &python, &["stomp_py.py", &service.address.port().to_string()]).await;
    assert!(out.contains("2 scenarios passed"), "{out}");
    service.stop().await;
}
