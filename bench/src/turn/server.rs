//! The servers that are measured, each a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use turn_relay::doctor::Session;
use turn_relay::{Config, MediaPorts, PortRange, TurnRelay, User};

use super::{PASSWORD, USER};

/// Outside of the ports that the system gives to sockets, and of each other.
const RELAY_PORTS: PortRange = PortRange { first: 10_000, last: 19_999 };
const COTURN_PORTS: [&str; 2] = ["--min-port=20000", "--max-port=31999"];

/// How long a server may take to start.
const START: Duration = Duration::from_secs(10);

/// Which server a child process is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// Ours.
    Relay,
    /// The bare relay.
    Bare,
}

/// A child process of this program.
pub(super) struct Served {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Served {
    pub(super) fn start(role: Role, peer: SocketAddr) -> anyhow::Result<Self> {
        let name = match role {
            Role::Relay => "turn-relay",
            Role::Bare => "turn-bare",
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args([name, &peer.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("the output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("{name} did not start"))?;
        Ok(Self { child, address })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The child process of our relay: prints its address and runs until its standard input ends. One thread, as coturn
/// and the bare relay have.
pub(crate) fn run(peer: SocketAddr) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut config = Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            public_ips: vec![[127, 0, 0, 1].into()],
            relay_ports: RELAY_PORTS,
            realm: "bench.local".into(),
            users: vec![User { name: USER.into(), password: Secret::new(PASSWORD.into()) }],
            // coturn's tool also binds a channel to the port above its peer's.
            media: vec![MediaPorts {
                ip: peer.ip(),
                ports: PortRange { first: peer.port(), last: peer.port() + 1 },
            }],
            threads: 1,
            ..Config::default()
        };
        // One user at one address makes all the load here.
        config.limits.allocations_per_user = 1 << 20;
        config.limits.allocations_per_source = 1 << 20;
        config.limits.challenges_per_second = u16::MAX;
        config.limits.challenges_per_source = u16::MAX;
        let relay = TurnRelay::start(config, &mut Registry::default()).await?;
        println!("{}", relay.listen_addrs().first().context("it listens")?);
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}

/// coturn, with one relay thread, no logs on the disk, and UDP alone.
pub(super) struct Coturn {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Coturn {
    /// `None` when it is not installed.
    pub(super) fn start() -> anyhow::Result<Option<Self>> {
        // It takes no port 0; this one was free a moment ago.
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let spawned = Command::new("turnserver")
            .args(["-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", &address.port().to_string()])
            .args(["--lt-cred-mech", &format!("--user={USER}:{PASSWORD}"), "--realm=bench.local"])
            .args(["--allow-loopback-peers", "--cli-password=x", "--no-cli", "--no-tls", "--no-dtls"])
            .args(["--no-tcp", "--no-tcp-relay", "-m", "1"])
            .args(COTURN_PORTS)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            child => child?,
        };
        let coturn = Self { child, address };
        let give_up = Instant::now() + START;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        while Session::over_udp(socket.try_clone()?, address, Duration::from_millis(300)).binding().is_err() {
            anyhow::ensure!(Instant::now() < give_up, "coturn does not start");
        }
        Ok(Some(coturn))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
