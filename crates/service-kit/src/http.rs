//! One HTTP server that mounts the routes of one or several services, and the admin port beside it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::middleware::{Compress, DefaultHeaders, ErrorHandlers, from_fn};
use actix_web::{App, HttpServer, web};
use prometheus_client::registry::Registry;
use socket2::{Domain, Protocol, Socket, Type};

use crate::admin::{self, Readiness};
use crate::body;
use crate::problem::rewrite_plain_errors;
use crate::shutdown::CancellationToken;

/// The HTTP routes of a service: what its library offers and a binary mounts. Cheap to clone.
#[derive(Clone)]
pub struct Routes(Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>);

impl Routes {
    /// Routes from an actix configuration function.
    pub fn new(configure: impl Fn(&mut web::ServiceConfig) + Send + Sync + 'static) -> Self {
        Self(Arc::new(configure))
    }

    /// Adds them to an actix application.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        (self.0)(config);
    }
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Routes")
    }
}

/// Which pages of other origins may call: the allow-list that HTTP and the WebSocket upgrade share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Every origin: the development mode.
    Any,
    /// These origins (`https://example.org`), exactly.
    Only(Vec<String>),
}

impl Cors {
    /// From the settings: development mode allows any origin.
    #[must_use]
    pub fn new(dev: bool, origins: &[String]) -> Self {
        if dev { Self::Any } else { Self::Only(origins.to_vec()) }
    }

    /// Whether a page of `origin` may call.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }

    /// The middleware. It exposes what WHIP, WHEP and the REST clients read, and leaves a plain OPTIONS
    /// (no preflight) to the handlers.
    fn middleware(&self) -> actix_cors::Cors {
        let cors = match self {
            Self::Any => actix_cors::Cors::default().allow_any_origin(),
            Self::Only(origins) => {
                origins.iter().fold(actix_cors::Cors::default(), |cors, origin| cors.allowed_origin(origin))
            }
        };
        cors.allowed_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_any_header()
        .expose_headers([
            header::LOCATION,
            header::LINK,
            header::ETAG,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            header::ACCESS_CONTROL_ALLOW_METHODS,
            header::HeaderName::from_static("accept-post"),
            header::HeaderName::from_static("accept-patch"),
        ])
        .max_age(3600)
        .block_on_origin_mismatch(false)
    }
}

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

/// A port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (setting `{setting}`): {source}")]
pub struct BindError {
    /// The setting to change.
    pub setting: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: std::io::Error,
}

/// Listening sockets that know their addresses before anything is served.
#[derive(Debug)]
pub struct Server {
    http: TcpListener,
    https: Option<(TcpListener, rustls::ServerConfig)>,
    admin: TcpListener,
}

/// Connections waiting to be accepted.
const BACKLOG: i32 = 1024;

impl Server {
    /// Opens the sockets; port 0 takes a free one.
    ///
    /// # Errors
    /// [`BindError`] names the setting.
    pub fn bind(listen: Listen) -> Result<Self, BindError> {
        let https = match listen.https {
            Some((address, config)) => Some((bind("https_port", address)?, config)),
            None => None,
        };
        Ok(Self { http: bind("http_port", listen.http)?, https, admin: bind("admin_port", listen.admin)? })
    }

    /// Where HTTP listens.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        local_addr(&self.http)
    }

    /// Where HTTPS listens.
    #[must_use]
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(|(listener, _)| local_addr(listener))
    }

    /// Where the admin port listens.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        local_addr(&self.admin)
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
        registry: Registry,
        shutdown: CancellationToken,
        grace: Duration,
    ) -> std::io::Result<()> {
        let stop_admin = CancellationToken::new();
        let admin = tokio::spawn(admin::serve(self.admin, readiness, registry, stop_admin.clone()));

        let server = HttpServer::new(move || {
            let routes = routes.clone();
            App::new()
                .wrap(
                    ErrorHandlers::new()
                        .default_handler_client(rewrite_plain_errors)
                        .default_handler_server(rewrite_plain_errors),
                )
                .wrap(cors.middleware())
                .wrap(Compress::default())
                .wrap(
                    DefaultHeaders::new()
                        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                        .add((header::REFERRER_POLICY, "same-origin")),
                )
                // Outermost: it holds on to a request until all of the answer is sent.
                .wrap(from_fn(body::bounded))
                .configure(move |config| routes.iter().for_each(|routes| routes.configure(config)))
        })
        .disable_signals()
        .shutdown_timeout(grace.as_secs())
        .listen(self.http)?;
        let server = match self.https {
            Some((listener, config)) => server.listen_rustls_0_23(listener, config)?,
            None => server,
        }
        .run();
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

fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let open = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|source| BindError { setting, address, source })
}

fn local_addr(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}
