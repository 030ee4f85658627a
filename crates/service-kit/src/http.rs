//! One HTTP server that mounts the routes of one or several services, and the admin port beside it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use ipnet::IpNet;
use prometheus_client::registry::Registry;

use crate::accept::{self, Site};
use crate::admin::{self, Readiness};
use crate::client::{Origin, PublicOrigin, TrustedProxies};
use crate::listen::{self, BindError};
use crate::metrics;
use crate::observe::Observer;
use crate::routes::{Cors, Routes};
use crate::seats::{ConnectionLimits, Seats};
use crate::shutdown::CancellationToken;

/// Where a server listens.
#[derive(Debug)]
pub struct Listen {
    /// Plain HTTP.
    pub http: SocketAddr,
    /// HTTPS beside it.
    pub https: Option<(SocketAddr, rustls::ServerConfig)>,
    /// Admin port.
    pub admin: SocketAddr,
}

/// The settings that a bind error names.
#[derive(Debug, Clone, Copy)]
pub struct SettingNames {
    /// Of plain HTTP.
    pub http: &'static str,
    /// Of HTTPS.
    pub https: &'static str,
    /// Of the admin port.
    pub admin: &'static str,
}

impl Default for SettingNames {
    fn default() -> Self {
        Self { http: "http_port", https: "https_port", admin: "admin_port" }
    }
}

/// How a server treats those who connect.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How many may be connected.
    pub connections: ConnectionLimits,
    /// Proxies whose word about the client counts.
    pub trusted_proxies: Vec<IpNet>,
    /// The base URL that all clients use; `None`: what each request says.
    pub public_url: Option<String>,
    /// Tell browsers that came over HTTPS to do so from now on (RFC 6797).
    pub hsts: bool,
}

/// Listening sockets that know their addresses before anything is served.
#[derive(Debug)]
pub struct Server {
    http: TcpListener,
    https: Option<(TcpListener, rustls::ServerConfig)>,
    internal: Option<TcpListener>,
    admin: TcpListener,
    options: Options,
}

impl Server {
    /// Opens the sockets; port 0 takes a free one.
    ///
    /// # Errors
    /// [`BindError`] names the setting.
    pub fn bind(listen: Listen) -> Result<Self, BindError> {
        Self::bind_named(listen, SettingNames::default())
    }

    /// The same, where the settings have other names.
    ///
    /// # Errors
    /// [`BindError`] names the setting.
    pub fn bind_named(listen: Listen, names: SettingNames) -> Result<Self, BindError> {
        let https = match listen.https {
            Some((address, config)) => Some((listen::tcp(names.https, address)?, config)),
            None => None,
        };
        Ok(Self {
            http: listen::tcp(names.http, listen.http)?,
            https,
            internal: None,
            admin: listen::tcp(names.admin, listen.admin)?,
            options: Options::default(),
        })
    }

    /// Treats those who connect like this.
    #[must_use]
    pub fn with(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Serves the same routes on a free port of loopback as well, for services in one process: strangers who fill the
    /// public ports do not come between them.
    ///
    /// # Errors
    /// [`BindError`] when there is no free port.
    pub fn with_internal(mut self) -> Result<(Self, SocketAddr), BindError> {
        let listener = listen::tcp("a free port", (Ipv4Addr::LOCALHOST, 0).into())?;
        let address = listen::local_addr(&listener);
        self.internal = Some(listener);
        Ok((self, address))
    }

    /// Where HTTP listens.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        listen::local_addr(&self.http)
    }

    /// Where HTTPS listens.
    #[must_use]
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(|(listener, _)| listen::local_addr(listener))
    }

    /// Where the admin port listens.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        listen::local_addr(&self.admin)
    }

    /// Serves until `shutdown`; then accepts no more, finishes the requests under way for at most `grace`, and
    /// returns. The admin port answers to the end, so that `/readyz` tells of the drain.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn serve(
        self,
        routes: Vec<Routes>,
        cors: Cors,
        readiness: Readiness,
        mut registry: Registry,
        shutdown: CancellationToken,
        grace: Duration,
    ) -> std::io::Result<()> {
        let Options { connections, trusted_proxies, public_url, hsts } = self.options;
        let trusted = TrustedProxies::new(trusted_proxies);
        let seats = Seats::new(connections, trusted.clone(), &mut registry);
        metrics::register(&mut registry);
        let public = public_url.as_deref().and_then(Origin::of_url).map(PublicOrigin);
        let site = Site { routes, cors, trusted, public, observer: Observer::new(hsts, &mut registry) };
        let stop_admin = CancellationToken::new();
        let admin = tokio::spawn(admin::serve(self.admin, readiness, registry, stop_admin.clone()));

        let mut server = accept::Acceptor::new(site, grace).plain(self.http, &seats)?;
        if let Some((listener, config)) = self.https {
            server = server.tls(listener, config, &seats)?;
        }
        if let Some(listener) = self.internal {
            let whole = ConnectionLimits { per_address: connections.total, ..connections };
            let own = Seats::new(whole, TrustedProxies::default(), &mut Registry::default());
            server = server.plain(listener, &own)?;
        }
        let server = server.run();
        let handle = server.handle();
        let mut server = tokio::spawn(server);
        let ended = tokio::select! {
            () = shutdown.cancelled() => {
                handle.stop(true).await;
                server.await
            }
            // An end that nobody asked for is a failure of the service.
            ended = &mut server => ended,
        };
        stop_admin.cancel();
        admin.await.map_err(std::io::Error::other)??;
        ended.map_err(std::io::Error::other)?
    }
}
