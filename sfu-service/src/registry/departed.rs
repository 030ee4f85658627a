//! Sessions that have ended by themselves a moment ago. A client that closes its connection and then deletes its session
//! has done nothing wrong: by then the goodbye of the connection may have ended the session.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use contract::id::SessionId;

use super::session::Session;

/// How long a session is remembered: several times what a client takes from the one to the other on a slow line.
const LIFETIME: Duration = Duration::from_secs(60);
/// Sessions that are remembered; beyond, the oldest is forgotten.
const MAX_DEPARTED: usize = 1_024;

/// See [`self`]; the oldest first.
#[derive(Debug, Default)]
pub(super) struct Departed(VecDeque<(Instant, SessionId, Session)>);

impl Departed {
    pub(super) fn add(&mut self, id: SessionId, session: Session, now: Instant) {
        while let Some((at, ..)) = self.0.front()
            && (self.0.len() >= MAX_DEPARTED || now.saturating_duration_since(*at) >= LIFETIME)
        {
            self.0.pop_front();
        }
        // Its events end with it.
        self.0.push_back((now, id, Session { wanted: None, ..session }));
    }

    pub(super) fn get(&self, id: &SessionId, now: Instant) -> Option<&Session> {
        let known = self.0.iter().find(|(_, other, _)| other == id);
        let (_, _, session) = known.filter(|(at, ..)| now.saturating_duration_since(*at) < LIFETIME)?;
        Some(session)
    }

    /// Its DELETE has come.
    pub(super) fn remove(&mut self, id: &SessionId) {
        self.0.retain(|(_, other, _)| other != id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use contract::id::BroadcastId;

    use super::super::{Kind, SessionKey};
    use super::*;

    fn session(number: u64, now: Instant) -> Session {
        Session {
            key: SessionKey(number),
            broadcast: BroadcastId(1),
            shard: 0,
            kind: Kind::Viewer {
                subject: None,
                preview: false,
                watches: sfu_core::SourceId(0),
                decodes: Vec::new(),
            },
            bearer: None,
            etag: String::new(),
            remote_ufrag: String::new(),
            opened_at: now,
            wanted: None,
            source: Ipv4Addr::LOCALHOST.into(),
            connected: true,
        }
    }

    #[test]
    fn few_are_remembered_and_not_for_long() {
        let now = Instant::now();
        let mut rng = rand::rng();
        let ids: Vec<SessionId> = (0..=MAX_DEPARTED).map(|_| SessionId::random(&mut rng)).collect();
        let mut departed = Departed::default();
        for (number, id) in (0..).zip(&ids) {
            departed.add(id.clone(), session(number, now), now);
        }
        assert_eq!(departed.0.len(), MAX_DEPARTED);
        assert!(departed.get(&ids[0], now).is_none(), "the oldest made room");
        assert_eq!(departed.get(&ids[1], now).map(|session| session.key), Some(SessionKey(1)));
        assert!(departed.get(&ids[1], now + LIFETIME).is_none());
        departed.remove(&ids[1]);
        assert!(departed.get(&ids[1], now).is_none());
        let late = SessionId::random(&mut rng);
        departed.add(late.clone(), session(0, now), now + LIFETIME);
        assert_eq!(departed.0.len(), 1, "old ones go when one comes");
    }
}
