//! Who a connection is, and the one place that says what it may read and write. Pure. The table of rights is
//! `docs/signaling.md`.

use contract::destination::{Address, Destination, PeerLeaf, Prefix};
use contract::id::NodeId;
use contract::room::Room;
use contract::token::{Claims, Grant, Role};

use crate::chat::job::{GUEST, HOST, MODERATOR, OPERATOR, PARTICIPANT, Rank};

/// Who a connection is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The token's claims; a guest has none.
    claims: Option<Claims>,
    /// The token's subject, or a name made up for this connection.
    subject: String,
}

impl Identity {
    pub(crate) fn new(claims: Option<Claims>, fallback: String) -> Self {
        let subject = claims.as_ref().map_or(fallback, |claims| claims.sub.clone());
        Self { claims, subject }
    }

    /// Who: the same for every connection with the same token.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// The subject, if a token names it.
    pub(crate) fn token_subject(&self) -> Option<&str> {
        self.claims.as_ref().map(|claims| claims.sub.as_str())
    }

    pub(crate) fn is_service(&self) -> bool {
        matches!(self.role(), Some(Role::Service))
    }

    /// The display name that the token fixes.
    pub(crate) fn name(&self) -> Option<&str> {
        match self.role() {
            Some(Role::Join { name, .. }) => name.as_deref(),
            _ => None,
        }
    }

    /// What kind of token it showed, in the words of the header [`contract::destination::SENDER_ROLE`].
    pub(crate) fn role_name(&self) -> &'static str {
        match self.role() {
            None => "guest",
            Some(Role::Join { .. }) => "join",
            Some(Role::Creator) => "creator",
            Some(Role::Admin) => "admin",
            Some(Role::Service) => "service",
        }
    }

    /// The room that its join token admits to.
    pub(crate) fn room(&self) -> Option<&Room> {
        match self.role() {
            Some(Role::Join { room, .. }) => Some(room),
            _ => None,
        }
    }

    /// In which rooms it moderates by its token.
    pub(crate) fn moderates(&self) -> Moderates {
        match self.role() {
            Some(Role::Admin | Role::Service) => Moderates::Everywhere,
            Some(Role::Join { room, grants, .. }) if grants.contains(&Grant::Moderate) => {
                Moderates::In(room.clone())
            }
            _ => Moderates::Nowhere,
        }
    }

    /// What the holder may do to others in the chat of a room, by its token.
    pub(crate) fn chat_rank(&self, room: &Room) -> Rank {
        match self.role() {
            None => GUEST,
            Some(Role::Admin | Role::Service) => OPERATOR,
            Some(Role::Join { room: own, grants, .. }) if own == room => {
                if grants.contains(&Grant::Publish)
                    || (grants.contains(&Grant::Moderate) && room.group().is_some())
                {
                    HOST
                } else if grants.contains(&Grant::Moderate) {
                    MODERATOR
                } else {
                    PARTICIPANT
                }
            }
            Some(Role::Join { .. } | Role::Creator) => PARTICIPANT,
        }
    }

    /// Whether the holder runs the room.
    pub(crate) fn is_host(&self, room: &Room) -> bool {
        self.may_any(room, &[Grant::Publish, Grant::Moderate])
    }

    /// A node's own token: a service's, with the node's id as its subject.
    fn is_node(&self, node: &NodeId) -> bool {
        self.is_service() && self.subject == node.as_str()
    }

    fn role(&self) -> Option<&Role> {
        self.claims.as_ref().map(|claims| &claims.role)
    }

    fn may_any(&self, room: &Room, grants: &[Grant]) -> bool {
        self.claims.as_ref().is_some_and(|claims| grants.iter().any(|grant| claims.may(room, *grant)))
    }

    /// A join token of the room with any grant, or a role that has all.
    fn is_in(&self, room: &Room) -> bool {
        self.claims.as_ref().is_some_and(|claims| claims.is_in(room))
    }
}

/// In which rooms somebody moderates by its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moderates {
    Nowhere,
    In(Room),
    Everywhere,
}

/// Why a frame is not allowed; the text is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("needs a join token of this room in CONNECT")]
    NeedsToken,
    #[error("your token has no right to this")]
    NoRight,
    #[error("nobody can SUBSCRIBE to this destination")]
    NotReadable,
    #[error("nobody can SEND to this destination")]
    NotWritable,
}

const MEMBER: &[Grant] = &[Grant::Subscribe, Grant::Publish];
const PUBLISHER: &[Grant] = &[Grant::Publish];

/// The rules of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights {
    /// Peer-to-peer rooms and chat are open without a token.
    pub(crate) dev: bool,
}

impl Rights {
    /// Whether `who` may SUBSCRIBE to `address`.
    pub(crate) fn read(self, who: &Identity, address: &Address) -> Result<(), Denied> {
        let Address { prefix, path } = address;
        match (prefix, path) {
            (Prefix::Topic, Destination::Room(room)) => self.room(who, room, PUBLISHER),
            (Prefix::Topic, Destination::Peer { room, leaf, .. }) => match leaf {
                PeerLeaf::Offer | PeerLeaf::IceStreamer => self.room(who, room, MEMBER),
                PeerLeaf::Answer | PeerLeaf::IceClient => self.room(who, room, PUBLISHER),
            },
            (Prefix::Topic, Destination::Chat(room)) => {
                if self.dev || who.is_in(room) {
                    Ok(())
                } else {
                    Err(refusal(who))
                }
            }
            (Prefix::Topic, Destination::Board(room)) => {
                if self.reads_board(who, room) {
                    Ok(())
                } else {
                    Err(refusal(who))
                }
            }
            (Prefix::Topic, Destination::RoomState(room)) if who.is_in(room) => Ok(()),
            (Prefix::Topic, Destination::RoomState(_)) => Err(refusal(who)),
            // What these say, `GET /broadcasts` and `GET /groups/{id}` say to anyone too.
            (
                Prefix::Topic,
                Destination::Presence(_)
                | Destination::Broadcasts
                | Destination::Broadcast(_)
                | Destination::Group(_),
            ) => Ok(()),
            (Prefix::Queue, Destination::SfuQueue(node)) if who.is_node(node) => Ok(()),
            (Prefix::Queue, Destination::SfuQueue(_)) => Err(refusal(who)),
            (Prefix::User, Destination::Replies) => Ok(()),
            (Prefix::Queue, Destination::ParticipantQueue(id)) => {
                if who.token_subject() == Some(id.as_str()) { Ok(()) } else { Err(refusal(who)) }
            }
            _ => Err(Denied::NotReadable),
        }
    }

    /// Whether `who` may SEND to `address`.
    pub(crate) fn write(self, who: &Identity, address: &Address) -> Result<(), Denied> {
        let Address { prefix, path } = address;
        match (prefix, path) {
            (Prefix::App | Prefix::Topic, Destination::Room(room)) => self.room(who, room, MEMBER),
            (Prefix::App | Prefix::Topic, Destination::Peer { room, leaf, .. }) => match leaf {
                PeerLeaf::Offer | PeerLeaf::IceStreamer => self.room(who, room, PUBLISHER),
                PeerLeaf::Answer | PeerLeaf::IceClient => self.room(who, room, MEMBER),
            },
            // Who reads it asks for its history; and whom a moderator gave the right to write, the home of the call knows:
            // that is the hub's to check, as it changes.
            (Prefix::App, Destination::Chat(room)) if who.is_in(room) => Ok(()),
            (Prefix::App, Destination::Chat(room)) => self.room(who, room, &[Grant::Chat]),
            // Who draws changes while a call runs: that is the hub's to check.
            (Prefix::App, Destination::Board(room)) => {
                if self.reads_board(who, room) {
                    Ok(())
                } else {
                    Err(refusal(who))
                }
            }
            // What it may command its home knows.
            (Prefix::App, Destination::RoomState(room)) => {
                if who.is_in(room) {
                    Ok(())
                } else {
                    Err(refusal(who))
                }
            }
            // What a node says of itself nobody else says, another node included.
            (
                Prefix::App,
                Destination::NodeViewers(node)
                | Destination::NodeTracks(node)
                | Destination::NodeRooms(node)
                | Destination::NodeReplies(node),
            ) => {
                if who.is_node(node) {
                    Ok(())
                } else {
                    Err(refusal(who))
                }
            }
            (Prefix::Queue, Destination::ParticipantQueue(_)) => {
                if who.is_service() {
                    Ok(())
                } else {
                    Err(refusal(who))
                }
            }
            // That the node serves the room of a join token is the hub's to check: it changes.
            (Prefix::Queue, Destination::SfuQueue(_)) => match who.role() {
                Some(Role::Join { .. } | Role::Service) => Ok(()),
                _ => Err(refusal(who)),
            },
            _ => Err(Denied::NotWritable),
        }
    }

    /// Whether `who` may chat in `room` by what it showed.
    pub(crate) fn chats(self, who: &Identity, room: &Room) -> bool {
        self.room(who, room, &[Grant::Chat]).is_ok()
    }

    /// Whether `who` reads the board of `room`.
    pub(crate) fn reads_board(self, who: &Identity, room: &Room) -> bool {
        self.dev || who.is_in(room)
    }

    /// Whether `who` draws on the board of `room` by what it showed: in a call with the right to it, elsewhere who runs
    /// the room.
    pub(crate) fn draws(self, who: &Identity, room: &Room) -> bool {
        let grants: &[Grant] = match room.group() {
            Some(_) => &[Grant::Draw],
            None => &[Grant::Draw, Grant::Publish, Grant::Moderate],
        };
        self.room(who, room, grants).is_ok()
    }

    fn room(self, who: &Identity, room: &Room, grants: &[Grant]) -> Result<(), Denied> {
        if self.dev || who.may_any(room, grants) { Ok(()) } else { Err(refusal(who)) }
    }
}

fn refusal(who: &Identity) -> Denied {
    if who.claims.is_none() { Denied::NeedsToken } else { Denied::NoRight }
}

#[cfg(test)]
mod tests {
    use contract::token::TokenKeys;

    use super::*;

    const ALL: [&str; 24] = [
        "/app/7",
        "/topic/7",
        "/app/7/k/offer",
        "/topic/7/k/offer",
        "/topic/7/k/answer",
        "/topic/7/k/ice/streamer",
        "/topic/7/k/ice/client",
        "/app/-/chat/7",
        "/topic/-/chat/7",
        "/topic/-/presence/7",
        "/topic/-/broadcasts",
        "/topic/-/broadcast/7",
        "/app/-/sfu/nod_1/viewers",
        "/app/-/sfu/nod_1/tracks",
        "/queue/sfu/nod_1",
        "/queue/participant/par_1",
        "/user/queue/replies",
        "/app/-/room/7",
        "/topic/-/room/7",
        "/app/-/sfu/nod_1/rooms",
        "/app/-/sfu/nod_1/replies",
        "/topic/-/group/grp_a",
        "/app/-/board/7",
        "/topic/-/board/7",
    ];

    fn who(sub: &str, role: Role) -> Identity {
        let keys = TokenKeys::new("0123456789abcdef0123456789abcdef", None).unwrap();
        let claims = keys.verify(&keys.mint(sub, role, 0, 60), 1).unwrap();
        Identity::new(Some(claims), String::new())
    }

    fn join(room: &str, grants: &[Grant]) -> Identity {
        who("par_1", Role::Join { room: room.parse().unwrap(), grants: grants.to_vec(), name: None })
    }

    /// What of [`ALL`] is allowed, as two strings of one character a destination: read, write.
    fn rights(dev: bool, who: &Identity) -> (String, String) {
        let rules = Rights { dev };
        let line = |allowed: &dyn Fn(&Address) -> bool| {
            ALL.iter().map(|text| if allowed(&text.parse().unwrap()) { 'x' } else { '.' }).collect()
        };
        (
            line(&|address| rules.read(who, address).is_ok()),
            line(&|address| rules.write(who, address).is_ok()),
        )
    }

    #[test]
    fn the_matrix_of_rights() {
        let guest = Identity::new(None, "guest".into());
        let table: [(&str, bool, Identity, &str, &str); 10] = [
            ("guest", false, guest.clone(), ".........xxx....x....x..", "........................"),
            ("guest in dev", true, guest, ".x.xxxx.xxxx....x....x.x", "xxxxxxxx..............x."),
            (
                "viewer",
                false,
                join("7", &[Grant::Subscribe, Grant::Chat]),
                "...x.x..xxxx...xx.x..x.x",
                "xx..x.xx......x..x....x.",
            ),
            (
                "viewer, mute",
                false,
                join("7", &[Grant::Subscribe]),
                "...x.x..xxxx...xx.x..x.x",
                "xx..x.xx......x..x....x.",
            ),
            (
                "publisher",
                false,
                join("7", &[Grant::Publish]),
                ".x.xxxx.xxxx...xx.x..x.x",
                "xxxxxxxx......x..x....x.",
            ),
            (
                "other room",
                false,
                join("8", &[Grant::Publish, Grant::Chat]),
                ".........xxx...xx....x..",
                "..............x.........",
            ),
            (
                "node",
                false,
                who("nod_1", Role::Service),
                ".x.xxxx.xxxx..x.x.x..x.x",
                "xxxxxxxx....xxxx.x.xx.x.",
            ),
            (
                "service",
                false,
                who("sfu", Role::Service),
                ".x.xxxx.xxxx....x.x..x.x",
                "xxxxxxxx......xx.x....x.",
            ),
            (
                "other node",
                false,
                who("nod_2", Role::Service),
                ".x.xxxx.xxxx....x.x..x.x",
                "xxxxxxxx......xx.x....x.",
            ),
            (
                "creator",
                false,
                who("ann", Role::Creator),
                ".........xxx....x....x..",
                "........................",
            ),
        ];
        for (name, dev, who, read, write) in table {
            let (can_read, can_write) = rights(dev, &who);
            assert_eq!((can_read.as_str(), can_write.as_str()), (read, write), "{name}");
        }
    }
}
