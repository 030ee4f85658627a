//! A connection that has said who it is: what its frames mean to the hub, and what it hears of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use contract::board::BoardEvent;
use contract::chat::ChatEvent;
use contract::destination::{Address, Destination, Prefix, Reason, Reply};
use contract::room::Room;
use stomp_proto::outbox::Next;
use stomp_proto::session::{Outgoing, Session, SubscriptionKey};

use crate::boards::http::flooded;
use crate::boards::limits::Excess;
use crate::boards::{Answer, Asked, Busy, Job, Wanted, Who};
use crate::chat::job::Wanted as ChatWanted;
use crate::hub::Membership;
use crate::mailbox::{Mailbox, Message};
use crate::refusal::{Refusal, Request};
use crate::rights::{Identity, Rights};
use crate::work::{self, BoardWork, Work};

/// What may be done, but not yet.
struct Held {
    until: Instant,
    what: HeldBack,
}

enum HeldBack {
    Messages(Vec<(Request, Work)>),
    Subscription(SubscriptionKey, Address),
}

/// What became of a message.
enum Performed {
    /// It was done.
    Done,
    /// Somebody else answers it.
    HandedOn,
}

pub(crate) struct Member {
    membership: Membership,
    who: Identity,
    rights: Rights,
    /// What it reads, for the gaps of chat.
    destinations: HashMap<SubscriptionKey, String>,
    /// Subscriptions to its replies; the first one gets them.
    replies: BTreeSet<SubscriptionKey>,
    held: Option<Held>,
    /// That it is a service and was refused is in the log.
    is_noted: bool,
}

impl Member {
    pub(crate) fn new(membership: Membership, who: Identity, rights: Rights) -> Self {
        let (destinations, replies) = (HashMap::new(), BTreeSet::new());
        Self { membership, who, rights, destinations, replies, held: None, is_noted: false }
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        self.membership.mailbox()
    }

    /// Until when nothing more of this connection is handled: its sender is ahead of its pace.
    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.until)
    }

    /// A subscription begins, now or when it is its turn.
    ///
    /// # Errors
    /// Why it may not; that ends the connection.
    pub(crate) fn subscribe(
        &mut self,
        key: SubscriptionKey,
        destination: String,
        now: Instant,
    ) -> Result<(), Refusal> {
        let readable = work::readable(self.rights, &self.who, &destination);
        let address = readable.inspect_err(|refusal| self.note(refusal))?;
        self.destinations.insert(key, destination);
        if address.path == Destination::Replies {
            self.replies.insert(key);
            self.membership.read_replies(self.replies.first().copied());
            return Ok(());
        }
        let hold = self.membership.admit_subscription(&address, now)?;
        if hold.is_zero() {
            self.begin(key, &address, now);
        } else {
            self.hold(now + hold, HeldBack::Subscription(key, address));
        }
        Ok(())
    }

    fn begin(&self, key: SubscriptionKey, address: &Address, now: Instant) {
        if let Destination::Board(room) = &address.path {
            self.membership.reads_board(room, self.rights.draws(&self.who, room));
        }
        self.membership.subscribe(key, address, now);
        if let Destination::Board(room) = &address.path {
            self.membership.hub().read_board(self.membership.id(), key, room);
        }
    }

    /// A subscription has ended.
    pub(crate) fn unsubscribe(&mut self, key: SubscriptionKey) {
        self.destinations.remove(&key);
        if self.replies.remove(&key) {
            self.membership.read_replies(self.replies.first().copied());
        } else {
            self.membership.unsubscribe(key);
        }
    }

    /// Handles messages of which all take effect or none: done now, held back, or refused with a reply.
    ///
    /// # Errors
    /// A refusal that ends the connection.
    pub(crate) fn send(
        &mut self,
        session: &mut Session,
        messages: Vec<Outgoing>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let requests: Vec<Request> = messages.iter().map(Request::of).collect();
        let checked = messages.into_iter().map(|message| work::check(self.rights, &self.who, message));
        let works: Result<Vec<Work>, Refusal> = checked.collect();
        let admitted = works.and_then(|works| {
            let hold = self.membership.admit(&self.who, &works, now)?;
            Ok((hold, works))
        });
        match admitted {
            Ok((hold, works)) => {
                let works: Vec<_> = requests.into_iter().zip(works).collect();
                if hold.is_zero() {
                    self.perform(session, works, now);
                } else {
                    self.hold(now + hold, HeldBack::Messages(works));
                }
                Ok(())
            }
            Err(refusal) if refusal.ends_connection() => {
                self.note(&refusal);
                Err(refusal)
            }
            Err(refusal) => {
                for request in requests {
                    self.refuse(session, request, &refusal, now);
                }
                Ok(())
            }
        }
    }

    /// Does what was held back, if it is time.
    pub(crate) fn release(&mut self, session: &mut Session, now: Instant) {
        if let Some(held) = self.held.take_if(|held| now >= held.until) {
            match held.what {
                HeldBack::Messages(works) => self.perform(session, works, now),
                HeldBack::Subscription(key, address) => self.begin(key, &address, now),
            }
        }
    }

    fn hold(&mut self, until: Instant, what: HeldBack) {
        self.membership.hub().metrics.held.inc();
        self.held = Some(Held { until, what });
    }

    fn perform(&mut self, session: &mut Session, works: Vec<(Request, Work)>, now: Instant) {
        for (request, work) in works {
            if let Work::Board { room, command, .. } = work {
                if let Err((request, refusal)) = self.draw(request, &room, command, now) {
                    self.refuse(session, request, &refusal, now);
                }
                continue;
            }
            match self.perform_one(&request, work, now) {
                Ok(Performed::Done) => {
                    if let Some(reply) = request.done(None) {
                        self.reply(session, &reply, now);
                    }
                }
                Ok(Performed::HandedOn) => {}
                Err(refusal) => self.refuse(session, request, &refusal, now),
            }
        }
    }

    fn perform_one(&self, request: &Request, work: Work, now: Instant) -> Result<Performed, Refusal> {
        let Self { membership, who, .. } = self;
        let hub = membership.hub();
        hub.metrics.received.inc();
        match work {
            Work::Relay { to, joins, headers, body } => {
                if let Some(room) = joins {
                    membership.join(&room, who.token_subject());
                }
                membership.relay(&to, headers, body)?;
            }
            Work::Chat { room, wanted, name, .. } => {
                match wanted {
                    ChatWanted::Write(act) => {
                        membership.write_chat(who, room, act, name.as_deref(), request)?
                    }
                    ChatWanted::Read(ask) => membership.read_chat(who, room, ask, request)?,
                }
                return Ok(Performed::HandedOn);
            }
            // Its keeper answers it: see `draw`.
            Work::Board { .. } => return Ok(Performed::HandedOn),
            Work::Viewers { node, report } => hub.node_viewers(&node, report, now),
            Work::Tracks { node, report } => hub.node_tracks(&node, report, now),
            Work::Command { room, headers, body } => {
                membership.command(&room, headers, body)?;
                return Ok(Performed::HandedOn);
            }
            Work::NodeRoom { node, said } => hub.node_room(&node, &said, now),
            Work::NodeReply { node, said } => hub.node_reply(&node, &said),
        }
        Ok(Performed::Done)
    }

    /// What is sent to a board: handed to its keeper, or shown to its readers. The error has the request, to be refused.
    fn draw(
        &self,
        request: Request,
        room: &Room,
        command: BoardWork,
        now: Instant,
    ) -> Result<(), (Request, Refusal)> {
        let Self { membership, who, .. } = self;
        let hub = membership.hub();
        hub.metrics.received.inc();
        let Some(boards) = hub.boards.get() else { return Err((request, Busy.into())) };
        let grip = membership.board_grip(room);
        let admitted = match &command {
            BoardWork::Presence { client, state } => {
                let event = BoardEvent::Presence {
                    from: who.subject().to_owned(),
                    name: who.name().unwrap_or_default().to_owned(),
                    client: *client,
                    state: state.clone(),
                };
                return membership.board_presence(room, *client, &event, now).map_err(|no| (request, no));
            }
            BoardWork::Open { .. } => hub.board_opens(membership.sender(), now).map_err(Refusal::from),
            BoardWork::Update { client, update, .. } => {
                let taken = hub.board_takes(membership.sender(), update.len(), now);
                taken
                    .map_err(|excess| match excess {
                        Excess::TooFast(too_fast) => too_fast.into(),
                        Excess::Flood => {
                            flooded(boards, room, who.subject());
                            Refusal::Barred
                        }
                    })
                    .and_then(|()| {
                        let is_own = grip.is_some_and(|grip| grip.client == *client);
                        // Whose it is instead the keeper finds out.
                        if is_own || grip.is_some() { Ok(()) } else { Err(Refusal::BoardClient) }
                    })
            }
        };
        if let Err(refusal) = admitted {
            return Err((request, refusal));
        }
        let wanted = match command {
            BoardWork::Open { client, epoch } => Wanted::Open { client, epoch },
            BoardWork::Update { epoch, client, update } => Wanted::Update { epoch, client, update },
            BoardWork::Presence { .. } => return Ok(()),
        };
        let id = membership.id();
        let who = Who { person: who.subject().into(), id: Some(id), holder: grip.map(|grip| grip.holder) };
        let answer = Answer::Reply { id, request: request.clone() };
        boards.send(room, Job::Change(Asked { who, wanted, answer })).map_err(|busy| (request, busy.into()))
    }

    fn refuse(&mut self, session: &mut Session, request: Request, refusal: &Refusal, now: Instant) {
        self.note(refusal);
        self.membership.hub().metrics.refused(refusal.label());
        self.reply(session, &request.refused(refusal), now);
    }

    /// A service that may not do what it does, or says what nobody understands, is of another version, and reads no
    /// replies: its operator has to know. Said once a connection, since it goes on with it.
    fn note(&mut self, refusal: &Refusal) {
        let is_wrong = matches!(refusal.reason(), Reason::Right | Reason::Body);
        if is_wrong && self.who.is_service() && !std::mem::replace(&mut self.is_noted, true) {
            let service = self.who.subject();
            tracing::warn!(service, reason = %refusal, "a service is refused: is it of another version?");
        }
    }

    /// Answers on the connection's own queue, if it reads that.
    fn reply(&self, session: &mut Session, reply: &Reply, now: Instant) {
        let Some(key) = self.replies.first() else { return };
        let destination = Address { prefix: Prefix::User, path: Destination::Replies }.to_string();
        let message = Message::json(destination, reply);
        session.answer(*key, &message.destination, &message.headers, &message.body, now);
    }

    /// What a reader that is too slow gets instead of what was dropped: of a room the whole state, of a chat how many
    /// messages it missed.
    fn instead_of_dropped(&self, destination: &str, dropped: u64) -> Option<Arc<Message>> {
        match destination.parse().map(|address: Address| address.path) {
            Ok(Destination::RoomState(room)) => self.membership.hub().room_state(&room),
            Ok(Destination::Board(_)) => {
                Some(Message::json(destination.to_owned(), &BoardEvent::Gap { dropped }))
            }
            _ => Some(Message::json(destination.to_owned(), &ChatEvent::Gap { dropped })),
        }
    }

    /// The next MESSAGE frame of what subscriptions brought.
    pub(crate) fn next_frame(&self, session: &mut Session, now: Instant) -> Option<Bytes> {
        // Those of ended subscriptions are skipped.
        while let Some(next) = self.mailbox().pop() {
            let frame = match next {
                Next::Message { subscription, message } => {
                    let Message { destination, headers, body } = &*message;
                    session.message(subscription, destination, headers, body, now)
                }
                Next::Gap { subscription, dropped } => {
                    let Some(destination) = self.destinations.get(&subscription) else { continue };
                    let Some(gap) = self.instead_of_dropped(destination, dropped) else { continue };
                    session.message(subscription, destination, &gap.headers, &gap.body, now)
                }
            };
            if frame.is_some() {
                return frame;
            }
        }
        None
    }
}
