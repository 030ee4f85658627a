//! `turn-relay doctor`: uses a TURN server as a real client would, over every transport, and says in words what
//! works, what does not, and why that is likely so. It knows nothing of the server but its answers, so it serves
//! for any TURN server.
//!
//! [`examine`] does the I/O and returns [`Observations`]; [`diagnose`] turns those into words.

mod diagnosis;
mod link;
mod observation;
mod session;
mod target;

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use contract::turn::TurnSecret;

pub use diagnosis::{Diagnosis, Finding, Mark, diagnose};
pub use observation::{Failure, Observation, Observations, Step, TlsFault};
pub use session::{Credential, Session, channel_data, send_indication};
pub use target::{ParseTargetError, Target, Via};

use link::Link;

/// How long a time-limited credential of the doctor lives, in seconds.
const CREDENTIAL_SECS: u64 = 600;

/// What is sent through the relay; one datagram on any path.
const PROBE: &[u8] = b"turn-relay doctor";

/// Tries of a message that goes through the relay, which may lose it like any datagram.
const TRIES: u32 = 4;

/// How the doctor proves who it is.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The server's secret: a time-limited credential is minted with it.
    Secret(TurnSecret),
    /// A password; the user name goes with it as it is.
    Password(String),
}

/// What to examine and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub target: Target,
    /// Who asks.
    pub user: String,
    /// The proof.
    pub proof: Proof,
    /// How long an answer may take.
    pub patience: Duration,
    /// Root certificates (PEM) beside those of the system.
    pub roots: Option<PathBuf>,
}

/// Examines a server: real I/O, bounded by `patience` for each step.
///
/// # Errors
/// The name of the host cannot be resolved, or the root certificates cannot be read.
pub fn examine(options: &Options) -> Result<Observations, std::io::Error> {
    let unix = service_kit::unix_now();
    let now = credential(options, unix + CREDENTIAL_SECS);
    let ahead = credential(options, unix + 366 * 24 * 3600);
    let tls = link::tls_config(options.roots.as_deref())?;
    let mut transports = Vec::new();
    for (via, server) in options.target.resolve()? {
        let dial = || link::dial(via, server, options.target.host(), &tls, options.patience);
        let doctor = Doctor { dial: &dial, credential: &now, ahead: &ahead, options, via, server };
        transports.push(doctor.examine());
    }
    let minted = matches!(options.proof, Proof::Secret(_));
    let expiry = contract::turn::parse_username(&now.username).map(|(expiry, _)| expiry);
    Ok(Observations { exact: options.target.is_exact(), transports, minted, expiry, unix })
}

fn credential(options: &Options, expiry: u64) -> Credential {
    match &options.proof {
        Proof::Secret(secret) => {
            let contract::turn::Credential { username, password } = secret.credential(&options.user, expiry);
            Credential { username, password }
        }
        Proof::Password(password) => {
            Credential { username: options.user.clone(), password: password.clone() }
        }
    }
}

type Dial<'a> = dyn Fn() -> Result<(Link, Option<TlsFault>), Failure> + 'a;

/// The examination over one transport.
struct Doctor<'a> {
    dial: &'a Dial<'a>,
    credential: &'a Credential,
    ahead: &'a Credential,
    options: &'a Options,
    via: Via,
    server: SocketAddr,
}

impl Doctor<'_> {
    fn examine(&self) -> Observation {
        let mut seen = Observation {
            via: self.via,
            server: self.server,
            connect: Ok(()),
            certificate: None,
            binding: None,
            local: None,
            challenge: None,
            allocate: None,
            clock_ahead: false,
            second: None,
            permission: None,
            indication: None,
            channel: None,
            outside: None,
            refresh: None,
            delete: None,
        };
        // What follows a failed step is left out: it could only fail for the same reason.
        let _ = self.steps(&mut seen);
        seen
    }

    fn steps(&self, seen: &mut Observation) -> Option<()> {
        let (link, fault) = match (self.dial)() {
            Ok(link) => link,
            Err(failure) => {
                seen.connect = Err(failure);
                return None;
            }
        };
        seen.certificate = fault;
        seen.local = link.local_addr();
        let mut first = Session::new(link, self.options.patience);
        noted(&mut seen.binding, first.binding())?;
        noted(&mut seen.challenge, first.challenge())?;
        let relayed = match noted(&mut seen.allocate, first.allocate(self.credential)) {
            Some(relayed) => relayed,
            None => {
                let refused = matches!(&seen.allocate, Some(Err(failure)) if failure.code() == Some(401));
                if refused && matches!(self.options.proof, Proof::Secret(_)) {
                    seen.clock_ahead = first.allocate(self.ahead).is_ok_and(|_| first.delete().is_ok());
                }
                return None;
            }
        };
        self.data(seen, &mut first, relayed);
        noted(&mut seen.refresh, first.refresh());
        noted(&mut seen.delete, first.delete());
        Some(())
    }

    /// Data through two allocations, and to a peer outside.
    fn data(&self, seen: &mut Observation, first: &mut Session, relayed: SocketAddr) {
        let second = (self.dial)().and_then(|(link, _)| {
            let mut second = Session::new(link, self.options.patience);
            second.challenge()?;
            let address = second.allocate(self.credential)?;
            Ok((second, address))
        });
        match second {
            Ok((mut second, other)) => {
                seen.second = Some(Ok(other));
                self.meet(seen, (first, relayed), (&mut second, other));
                // Whether the second one is deleted is not what is asked.
                let _ = second.delete();
            }
            Err(failure) => seen.second = Some(Err(failure)),
        }
        seen.outside = self.outside(first, relayed);
    }

    fn meet(&self, seen: &mut Observation, a: (&mut Session, SocketAddr), b: (&mut Session, SocketAddr)) {
        let ((a, at_a), (b, at_b)) = (a, b);
        let permitted = a.permit(at_b).and_then(|()| b.permit(at_a));
        if noted(&mut seen.permission, permitted).is_none() {
            return;
        }
        let there = self.carried(|| a.send(at_b, PROBE), |wait| b.data(PROBE, wait).map(|_| ()));
        let back =
            there.and_then(|()| self.carried(|| b.send(at_a, PROBE), |wait| a.data(PROBE, wait).map(|_| ())));
        if noted(&mut seen.indication, back).is_none() {
            return;
        }
        let bound = a.bind_channel(at_b).and_then(|()| b.bind_channel(at_a));
        let there =
            bound.and_then(|()| self.carried(|| a.send_channel(PROBE), |wait| b.channel_data(PROBE, wait)));
        let back =
            there.and_then(|()| self.carried(|| b.send_channel(PROBE), |wait| a.channel_data(PROBE, wait)));
        noted(&mut seen.channel, back);
    }

    /// A socket of this machine as a peer: it learns its own outer address from the server, opens the way in its
    /// own NAT with a datagram to the relayed address, and is answered.
    fn outside(&self, session: &mut Session, relayed: SocketAddr) -> Step<()> {
        let any: SocketAddr =
            if self.server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).ok()?;
        let link = Link::datagrams(socket.try_clone().ok()?, self.server);
        // Nothing may answer over UDP on a port for TLS: that is not worth a long wait.
        let patience = self.options.patience.min(Duration::from_secs(1));
        let outer = Session::new(link, patience).binding().ok()?;
        // Of its own address a relay lets clients reach its relayed ones only: there is no outside to be seen here.
        if relayed.is_ipv4() != outer.is_ipv4() || relayed.ip() == outer.ip() {
            return None;
        }
        if let Err(failure) = session.permit(outer) {
            return Some(Err(failure));
        }
        // Behind a symmetric NAT the datagram comes from another port than the server saw: the answer goes there.
        let mut from = outer;
        let there = self.carried(
            || link::sent(socket.send_to(PROBE, relayed)),
            |wait| {
                from = session.data(PROBE, wait)?;
                Ok(())
            },
        );
        let mut peer = Link::datagrams(socket, relayed);
        let back =
            there.and_then(|()| self.carried(|| session.send(from, PROBE), |wait| peer.expect(PROBE, wait)));
        Some(back)
    }

    /// Sends until it has arrived: a datagram may be lost.
    fn carried(
        &self,
        mut send: impl FnMut() -> Result<(), Failure>,
        mut arrived: impl FnMut(Duration) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for _ in 0..TRIES {
            send()?;
            match arrived(self.options.patience / TRIES) {
                Err(Failure::Silence) => {}
                result => return result,
            }
        }
        Err(Failure::Silence)
    }
}

/// Notes the outcome of a step and gives its value.
fn noted<T: Clone>(step: &mut Step<T>, result: Result<T, Failure>) -> Option<T> {
    let value = result.as_ref().ok().cloned();
    *step = Some(result);
    value
}
