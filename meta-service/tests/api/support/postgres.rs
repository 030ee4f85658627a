//! A real Postgres in a folder of its own, reached through a Unix socket in it, run by an ordinary user.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::OnceCell;

/// A Postgres server. It ends with the test process, also when that is killed: a shell beside it waits for the end
/// of its standard input, and then takes the folder away unless the server was only stopped.
pub(crate) struct Server {
    folder: PathBuf,
    keeper: Option<Child>,
    databases: AtomicU32,
}

/// The one that tests share.
pub(crate) async fn shared() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(Server::start).await
}

impl Server {
    /// Makes a cluster and starts it.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap().keep();
        if is_root() {
            let (user, group) = postgres_user();
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let made = as_user(&bin("initdb"))
            .current_dir(&folder)
            .args(["--pgdata", "data", "--username", "madang", "--auth", "trust", "--encoding", "UTF8"])
            .args(["--locale", "C", "--no-sync"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { folder, keeper: None, databases: AtomicU32::new(0) };
        server.resume().await;
        server
    }

    /// Starts it again.
    pub(crate) async fn resume(&mut self) {
        assert!(self.keeper.is_none());
        let _ = fs::remove_file(self.folder.join("stopped"));
        let folder = self.folder.to_str().unwrap();
        let script = format!(
            "'{}' -D data -c listen_addresses= -c unix_socket_directories='{folder}' -c max_connections=200 \
             -c fsync=off >>postgres.log 2>&1 </dev/null & pid=$!; cat >/dev/null; kill -INT $pid; wait $pid; \
             test -e stopped || rm -rf '{folder}'",
            bin("postgres").display()
        );
        let keeper = as_user(Path::new("/bin/sh"))
            .args(["-c", &script])
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        self.keeper = Some(keeper);
        let patience = Instant::now();
        while let Err(error) = PgConnection::connect(&self.url("postgres")).await {
            assert!(patience.elapsed() < Duration::from_secs(60), "Postgres does not start: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops it: connections break at once.
    pub(crate) fn stop(&mut self) {
        let mut keeper = self.keeper.take().unwrap();
        fs::write(self.folder.join("stopped"), "").unwrap();
        drop(keeper.stdin.take());
        keeper.wait().unwrap();
    }

    /// Freezes or thaws it with everything that it runs: connections stay and nothing answers.
    pub(crate) fn freeze(&self, frozen: bool) {
        let pids = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let main = pids.lines().next().unwrap().to_owned();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
        let signal = if frozen { "-STOP" } else { "-CONT" };
        // The main process first when freezing: it would start new ones.
        for pid in std::iter::once(main.as_str()).chain(children.split_whitespace()) {
            Command::new("kill").args([signal, pid]).stderr(Stdio::null()).status().unwrap();
        }
    }

    /// An empty database: its URL.
    pub(crate) async fn new_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        self.url(&name)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://madang@localhost/{database}?host={}", self.folder.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program of the newest Postgres that Debian's packages brought.
fn bin(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .expect("Postgres is installed (Debian package: postgresql)")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("bin").join(name).exists())
        .collect();
    versions.sort();
    versions.pop().expect("a Postgres with its programs").join("bin").join(name)
}

/// Postgres refuses to run as root: then it runs as the user `postgres`.
fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

fn postgres_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("the user postgres");
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
