//! Starts the four services in one process, in an order in which each finds what it needs, and ends them in the
//! opposite one.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use contract::token::{Role, TokenKeys};
use meta_service::MetaService;
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use service_kit::service::Context;
use service_kit::shutdown::CancellationToken;
use service_kit::{Listen, Options, Readiness, Server, Service, Settings as _, process, shutdown, tls};
use sfu_service::SfuService;
use signaling_service::Signaling;
use tokio::task::JoinHandle;
use turn_relay::{StartError, Transport, TurnRelay};
use url::Url;

use crate::banner::{self, Urls};
use crate::config::Config;
use crate::demo;

/// Lifetime of the demo publisher's creator token: longer than any process runs.
const DEMO_TOKEN_SECS: u64 = 10 * 365 * 86_400;
/// How long the start waits for its own endpoints to answer before it gives up.
const READY_TIMEOUT: Duration = Duration::from_secs(15);
/// How long ports stay open after clients were told to leave.
const HTTP_GRACE: Duration = Duration::from_secs(2);
/// How long the process may take to end beyond what its settings allow, before it is ended.
const END_MARGIN: Duration = Duration::from_secs(10);

/// Runs until a signal, then drains.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let (delay, drain) = (config.drain_delay(), config.drain());
    // The demo, three services, HTTP and the database: each may take its time.
    let stop =
        shutdown::on_signals(delay.saturating_add(drain.saturating_mul(6)).saturating_add(END_MARGIN))?;
    process::raise_file_limit();
    tokio::select! {
        running = Running::start(&config) => running?.until(stop, delay, drain).await,
        () = stop.cancelled() => Ok(()),
    }
}

/// Everything that runs.
struct Running {
    turn: TurnRelay,
    sfu: SfuService,
    signaling: Signaling,
    meta: MetaService,
    readiness: Readiness,
    serving: JoinHandle<std::io::Result<()>>,
    stop_http: CancellationToken,
    demo: Option<JoinHandle<Result<(), demo::DemoError>>>,
    stop_demo: CancellationToken,
}

impl Running {
    async fn start(config: &Config) -> anyhow::Result<Self> {
        let (mut registry, readiness) = (Registry::default(), Readiness::default());
        let addresses = public_addresses(config);
        let (server, base) = bind(config, &addresses)?.with_internal()?;
        let (http, https, admin) = (server.http_addr(), server.https_addr(), server.admin_addr());

        let mut turn = TurnRelay::bind(turn_config(config, &addresses))
            .map_err(own_setting)
            .context("the TURN relay does not start")?;
        let turn_ports = TurnPorts::of(&turn, config.turn_port);
        let sfu =
            SfuService::bind(sfu_config(config, base, &turn_ports), Context::new(&mut registry, &readiness))
                .await
                .context("the SFU does not start")?;
        let signaling =
            Signaling::bind(signaling_config(config, base), Context::new(&mut registry, &readiness))
                .await
                .context("the signaling service does not start")?;
        let meta = MetaService::bind(
            meta_config(config, base, &turn_ports),
            Context::new(&mut registry, &readiness),
        )
        .await
        .context("the meta service does not start")?;
        // The relay takes its clients when it knows which ports of this machine they may reach.
        turn.allow_media(&sfu.media_addresses());
        let turn = turn.start(&mut registry).context("the TURN relay does not start")?;

        let pages = pages::routes(pages::Config {
            dev: config.dev,
            version: env!("CARGO_PKG_VERSION").into(),
            lan_url: if config.dev { banner::lan_url(&addresses, http, https) } else { String::new() },
            embed_origins: config.embed_origins.clone(),
            ..pages::Config::default()
        });
        let mut routes =
            [Service::routes(&meta), Service::routes(&signaling), Service::routes(&sfu)].concat();
        routes.push(pages);
        let stop_http = CancellationToken::new();
        let (ready, stop) = (readiness.clone(), stop_http.clone());
        let serving = tokio::spawn(server.serve(routes, config.cors(), ready, registry, stop, HTTP_GRACE));

        answers(base).await?;
        let stop_demo = CancellationToken::new();
        let demo = demo_config(config, base).map(|demo| tokio::spawn(demo::run(demo, stop_demo.clone())));
        let (turn_port, dev, demo_runs) = (turn_ports.udp, config.dev, config.demo);
        banner::print(&Urls { http, https, admin, addresses, turn_port, dev, demo: demo_runs });
        Ok(Self { turn, sfu, signaling, meta, readiness, serving, stop_http, demo, stop_demo })
    }

    /// Until `stop` or a failure; then requests are served for `delay`, and each part has `drain` to end.
    async fn until(
        mut self,
        stop: CancellationToken,
        delay: Duration,
        drain: Duration,
    ) -> anyhow::Result<()> {
        tokio::select! {
            () = stop.cancelled() => {}
            () = Service::failed(&self.sfu) => tracing::error!("the SFU has failed"),
            () = Service::failed(&self.turn) => tracing::error!("the TURN relay has failed"),
            ended = &mut self.serving => {
                ended??;
                anyhow::bail!("the HTTP server ended by itself");
            }
        }
        let failed = !stop.is_cancelled();
        self.readiness.not_ready("madang", if failed { "a service has failed" } else { "draining" });
        if !failed {
            tokio::time::sleep(delay).await;
        }

        // Media first: while it ends, the catalogue and the broker still listen.
        let deadline = || Instant::now() + drain;
        self.stop_demo.cancel();
        if let Some(demo) = self.demo {
            match tokio::time::timeout(drain, demo).await {
                Ok(ended) => ended??,
                Err(_) => tracing::warn!("the demo broadcast did not end in time"),
            }
        }
        self.sfu.leave(deadline()).await;
        self.signaling.leave(deadline()).await;
        self.stop_http.cancel();
        let served = self.serving.await?;
        self.meta.close(deadline()).await;
        // Its clients are gone: only strangers' allocations are left, and they cannot be moved anywhere.
        self.turn.leave(Instant::now()).await;
        tracing::info!("stopped");
        served.context("the HTTP server failed")?;
        anyhow::ensure!(!failed, "a service failed");
        Ok(())
    }
}

fn bind(config: &Config, addresses: &[IpAddr]) -> anyhow::Result<Server> {
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::from_files(certificate, key)?),
        _ if config.tls_self_signed => Some(tls::self_signed(addresses)?),
        _ => None,
    };
    let listen = Listen {
        http: config.socket_addr(config.http_port),
        https: tls.map(|tls| (config.socket_addr(config.https_port), tls)),
        admin: SocketAddr::new(config.admin_bind, config.admin_port),
    };
    // A certificate that is made at each start is for a quick look: nobody should be held to HTTPS by it.
    let options = Options {
        connections: config.connection_limits(),
        trusted_proxies: config.trusted_proxies.clone(),
        public_url: Some(config.public_url.clone()).filter(|url| !url.is_empty()),
        hsts: !config.tls_self_signed,
    };
    Ok(Server::bind(listen)?.with(options))
}

/// Names the setting of this process where the relay names its own.
fn own_setting(error: StartError) -> StartError {
    match error {
        StartError::Listen { transport, address, source, .. } => {
            let setting = if transport == Transport::Tls { "turn_tls_port" } else { "turn_port" };
            StartError::Listen { setting, transport, address, source }
        }
        other => other,
    }
}

/// The addresses that this machine is reached at, the preferred first, loopback last.
fn public_addresses(config: &Config) -> Vec<IpAddr> {
    if config.public_ip.is_empty() { sfu_service::machine_addresses() } else { config.public_ip.clone() }
}

fn demo_config(config: &Config, base: SocketAddr) -> Option<demo::Config> {
    let creator = || {
        let keys = TokenKeys::new(config.token_secret.reveal(), None).ok()?;
        Some(keys.mint("demo", Role::Creator, service_kit::unix_now(), DEMO_TOKEN_SECS))
    };
    config.demo.then(|| demo::Config {
        base_url: Url::parse(&format!("http://{base}")).expect("an address makes a URL"),
        creator_token: if config.dev { None } else { creator() },
        state_file: Some(config.data_dir.join("demo.json")),
    })
}

/// The one node of a database that nobody else uses: after a crash it is the home of its rooms again at once.
const ONLY_NODE: &str = "nod_madang";

fn sfu_config(config: &Config, base: SocketAddr, turn: &TurnPorts) -> sfu_service::Config {
    let is_only = config.database_url.is_empty();
    sfu_service::Config {
        dev: config.dev,
        node_id: is_only.then(|| ONLY_NODE.parse().expect("it is an id of a node")),
        media_bind: config.bind,
        media_port: config.media_port,
        shards: config.shards,
        public_ips: config.public_ip.clone(),
        public_url: config.public_url.clone(),
        meta_url: format!("http://{base}"),
        signaling_url: format!("ws://{base}/streaming"),
        token_secret: config.token_secret.clone(),
        token_secret_previous: config.token_secret_previous.clone(),
        allowed_origins: config.allowed_origins.clone(),
        ice_urls: std::iter::once(turn.stun_url()).chain(turn.urls()).collect(),
        turn_secret: config.turn_secret.clone(),
        ..sfu_service::Config::default()
    }
}

fn signaling_config(config: &Config, base: SocketAddr) -> signaling_service::Config {
    let sqlite = config.data_dir.join("signaling.db").display().to_string();
    signaling_service::Config {
        database_url: if config.database_url.is_empty() {
            Secret::new(sqlite)
        } else {
            config.database_url.clone()
        },
        dev: config.dev,
        allowed_origins: config.allowed_origins.clone(),
        token_secret: config.token_secret.clone(),
        token_secret_previous: config.token_secret_previous.clone(),
        meta_url: format!("http://{base}"),
        ..signaling_service::Config::default()
    }
}

fn meta_config(config: &Config, base: SocketAddr, turn: &TurnPorts) -> meta_service::Config {
    let sqlite = config.data_dir.join("madang.db").display().to_string();
    meta_service::Config {
        database: if config.database_url.is_empty() {
            Secret::new(sqlite)
        } else {
            config.database_url.clone()
        },
        dev: config.dev,
        token_secret: config.token_secret.clone(),
        token_secret_previous: config.token_secret_previous.clone(),
        turn_secret: config.turn_secret.clone(),
        turn_urls: turn.urls(),
        stun_urls: vec![turn.stun_url()],
        public_url: config.public_url.clone(),
        signaling_url: format!("http://{base}"),
        allowed_origins: config.allowed_origins.clone(),
        embed_origins: config.embed_origins.clone(),
        create_per_minute: config.create_per_minute,
        tokens_per_minute: config.tokens_per_minute,
        searches_per_minute: config.searches_per_minute,
        keep_closed_days: config.keep_closed_days,
        keep_unstarted_days: config.keep_unstarted_days,
        ..meta_service::Config::default()
    }
}

fn turn_config(config: &Config, addresses: &[IpAddr]) -> turn_relay::Config {
    // Browsers refuse TLS to a certificate that nobody has signed, so a self-signed one is of no use here.
    let tls = config.tls_cert.is_some().then(|| config.socket_addr(config.turn_tls_port));
    turn_relay::Config {
        listen: vec![config.socket_addr(config.turn_port)],
        listen_tcp: vec![config.socket_addr(config.turn_port)],
        listen_tls: tls.into_iter().collect(),
        tls_cert: config.tls_cert.clone(),
        tls_key: config.tls_key.clone(),
        public_ips: addresses.to_vec(),
        relay_ports: config.turn_relay_ports,
        secret: config.turn_secret.clone(),
        secret_previous: config.turn_secret_previous.clone(),
        ..turn_relay::Config::default()
    }
}

/// Where the TURN relay listens. In its URLs `{host}` is the host of the page's request: the address that this client
/// can reach.
struct TurnPorts {
    udp: u16,
    tcp: Option<u16>,
    tls: Option<u16>,
}

impl TurnPorts {
    fn of(turn: &turn_relay::Bound, udp: u16) -> Self {
        let port = |transport| turn.addresses(transport).first().map(SocketAddr::port);
        let (tcp, tls) = (port(Transport::Tcp), port(Transport::Tls));
        Self { udp: port(Transport::Udp).unwrap_or(udp), tcp, tls }
    }

    fn stun_url(&self) -> String {
        format!("stun:{{host}}:{}", self.udp)
    }

    /// The cheapest transport first: browsers try them all, and the later ones get through firewalls.
    fn urls(&self) -> Vec<String> {
        let udp = format!("turn:{{host}}:{}?transport=udp", self.udp);
        let tcp = self.tcp.map(|port| format!("turn:{{host}}:{port}?transport=tcp"));
        let tls = self.tls.map(|port| format!("turns:{{host}}:{port}?transport=tcp"));
        std::iter::once(udp).chain(tcp).chain(tls).collect()
    }
}

/// Waits until the services answer over HTTP, as their clients will ask them.
async fn answers(base: SocketAddr) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async {
        loop {
            let response = client.get(format!("http://{base}/broadcasts?limit=1")).send().await;
            if response.is_ok_and(|response| response.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(READY_TIMEOUT, ask).await.context("the services do not answer on their own port")
}
