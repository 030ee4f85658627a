//! The way from a connection to a request: a seat, TLS, HTTP/1, and what every request passes before its route.
//!
//! HTTP/2 is not offered: the HTTP library cannot cap the streams of a connection.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, KeepAlive, Request};
use actix_server::{Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, ErrorHandlers, from_fn};
use actix_web::{App, HttpResponse, web};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::body::{self, Answer};
use crate::client::{Arrival, PublicOrigin, TrustedProxies};
use crate::compress;
use crate::connection::Connection;
use crate::listen::local_addr;
use crate::observe::Observer;
use crate::problem::rewrite_plain_errors;
use crate::routes::{Cors, Routes};
use crate::seats::{Seat, Seats};

/// How long a connection without a request is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The head of the first request has to be there within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of a connection may take.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What is gathered for one write of a connection, in bytes.
const WRITE_BUFFER: usize = 16 * 1024;

/// What a request meets, whichever listener it came in by.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) routes: Vec<Routes>,
    pub(crate) cors: Cors,
    pub(crate) trusted: TrustedProxies,
    pub(crate) public: Option<PublicOrigin>,
    pub(crate) observer: Observer,
}

impl Site {
    /// An application for one thread.
    fn app(
        &self,
    ) -> impl ServiceFactory<
        Request,
        Config = (),
        Response = ServiceResponse<Answer>,
        Error = HttpResponse,
        InitError = (),
    > + use<> {
        let Self { routes, cors, trusted, public, observer } = self.clone();
        let app = App::new()
            .app_data(web::Data::new(trusted))
            .wrap(
                ErrorHandlers::new()
                    .default_handler_client(rewrite_plain_errors)
                    .default_handler_server(rewrite_plain_errors),
            )
            .wrap(cors.middleware())
            .wrap(from_fn(compress::middleware))
            .wrap(
                DefaultHeaders::new()
                    .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                    .add((header::REFERRER_POLICY, "same-origin")),
            )
            .wrap(from_fn(move |request, next| observer.clone().observe(request, next)))
            // Outermost: it holds on to a request until all of the answer is sent.
            .wrap(from_fn(body::bounded))
            .configure(move |config| {
                if let Some(public) = public {
                    config.app_data(web::Data::new(public));
                }
                routes.iter().for_each(|routes| routes.configure(config));
            });
        let factory = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
        // What it says of the connection is not used: `Arrival` does.
        map_config(factory, |()| AppConfig::default())
    }
}

/// A server in the making.
pub(crate) struct Acceptor {
    site: Site,
    builder: ServerBuilder,
}

impl Acceptor {
    /// `grace` is how long requests may take that are under way at the end.
    pub(crate) fn new(site: Site, grace: Duration) -> Self {
        let builder = Server::build().disable_signals().shutdown_timeout(grace.as_secs());
        Self { site, builder }
    }

    /// Serves HTTP on `listener`.
    pub(crate) fn plain(mut self, listener: TcpListener, seats: &Seats) -> io::Result<Self> {
        let arrival = Arrival { secure: false, local: local_addr(&listener) };
        let (site, seats) = (self.site.clone(), seats.clone());
        let ending = self.builder.graceful_shutdown_signal();
        self.builder = self.builder.listen("http", listener, move || {
            let (seats, ending) = (seats.clone(), ending.clone());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || notified(ending.clone()))
                .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
                .client_request_timeout(HEAD_TIMEOUT)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                .h1_write_buffer_size(WRITE_BUFFER)
                .on_connect_ext(move |io: &Connection<TcpStream>, data: &mut Extensions| {
                    describe(data, io.seat(), arrival);
                })
                .h1(site.app());
            fn_service(move |io: TcpStream| {
                let seats = seats.clone();
                async move {
                    let peer = io.peer_addr()?;
                    Ok::<_, DispatchError>((Connection::new(io, seat(&seats, peer.ip())?), Some(peer)))
                }
            })
            .and_then(http)
        })?;
        Ok(self)
    }

    /// Serves HTTPS on `listener`.
    pub(crate) fn tls(
        mut self,
        listener: TcpListener,
        mut config: rustls::ServerConfig,
        seats: &Seats,
    ) -> io::Result<Self> {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let arrival = Arrival { secure: true, local: local_addr(&listener) };
        let (site, seats) = (self.site.clone(), seats.clone());
        let ending = self.builder.graceful_shutdown_signal();
        self.builder = self.builder.listen("https", listener, move || {
            let (seats, acceptor, ending) = (seats.clone(), acceptor.clone(), ending.clone());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || notified(ending.clone()))
                .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
                .client_request_timeout(HEAD_TIMEOUT)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                .h1_write_buffer_size(WRITE_BUFFER)
                .secure()
                .on_connect_ext(move |io: &TlsStream<Connection<TcpStream>>, data: &mut Extensions| {
                    describe(data, io.get_ref().0.seat(), arrival);
                })
                .h1(site.app());
            fn_service(move |io: TcpStream| {
                let (seats, acceptor) = (seats.clone(), acceptor.clone());
                async move {
                    let peer = io.peer_addr()?;
                    let connection = Connection::new(io, seat(&seats, peer.ip())?);
                    // The connection's own limit of silence ends a handshake that hangs.
                    Ok::<_, DispatchError>((acceptor.accept(connection).await?, Some(peer)))
                }
            })
            .and_then(http)
        })?;
        Ok(self)
    }

    pub(crate) fn run(self) -> Server {
        self.builder.run()
    }
}

async fn notified(signal: actix_server::GracefulShutdownSignal) {
    signal.notified().await;
}

fn seat(seats: &Seats, peer: std::net::IpAddr) -> io::Result<Seat> {
    seats.admit(peer).ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
}

fn describe(data: &mut Extensions, seat: &Seat, arrival: Arrival) {
    data.insert(seat.requests());
    data.insert(arrival);
}
