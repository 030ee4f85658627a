//! The queue of one connection between the broker and its socket. It never grows without bound, and what happens
//! at its limit depends on what the message is for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::subscriptions::SubscriptionKey;

/// What a message is for, and so what a full queue does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// The state of the thing that the key names: a newer one replaces a waiting one. Over the limit the oldest
    /// is dropped.
    State(Arc<str>),
    /// Chat, and changes that build on each other: over the limit the oldest is dropped, and the reader is told how many
    /// are missing.
    Chat,
    /// Signaling, where each message matters: over the limit of its sender, or of all, it is refused and what waits
    /// stays. The sender is told; the reader of the queue is never to blame for what others send.
    Signal(SenderKey),
}

/// Whose share of the queue a signaling message takes. The caller chooses what a sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SenderKey(pub u64);

/// A limit on messages that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// How many.
    pub count: usize,
    /// Of how many bytes in all.
    pub bytes: usize,
}

impl Cap {
    /// Whether `more` bytes fit in one message beside `count` messages of `bytes`.
    fn fits(self, count: usize, bytes: usize, more: usize) -> bool {
        count < self.count && bytes.saturating_add(more) <= self.bytes
    }
}

/// The limits of each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Of [`Class::State`].
    pub state: Cap,
    /// Of [`Class::Chat`].
    pub chat: Cap,
    /// Of [`Class::Signal`].
    pub signal: Cap,
    /// Of [`Class::Signal`] from one sender, so that one alone cannot fill the queue.
    pub signal_per_sender: Cap,
}

impl Caps {
    /// For anybody.
    pub const CLIENT: Self = Self {
        state: Cap { count: 1_024, bytes: 1024 * 1024 },
        chat: Cap { count: 256, bytes: 512 * 1024 },
        signal: Cap { count: 1_024, bytes: 1024 * 1024 },
        signal_per_sender: Cap { count: 512, bytes: 512 * 1024 },
    };
    /// For connections of services.
    pub const SERVICE: Self = Self { signal: Cap { count: 16_384, bytes: 16 * 1024 * 1024 }, ..Self::CLIENT };
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits.
    Queued,
    /// It waits in the place of an older state.
    Replaced,
    /// It waits, and this many older ones were dropped for it.
    Dropped(usize),
    /// It was not taken: the queue, or the sender's share of it, is full.
    Full,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<M> {
    /// A message.
    Message {
        /// The subscription that it is for.
        subscription: SubscriptionKey,
        /// The message.
        message: M,
    },
    /// Messages of [`Class::Chat`] of this subscription were dropped here.
    Gap {
        /// The subscription.
        subscription: SubscriptionKey,
        /// How many messages.
        dropped: u64,
    },
}

#[derive(Debug)]
struct Entry<M> {
    subscription: SubscriptionKey,
    class: Class,
    bytes: usize,
    message: M,
}

/// What of one sender waits.
#[derive(Debug, Default)]
struct Share {
    count: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Line {
    /// Numbers of the waiting entries of one class, oldest first.
    order: VecDeque<u64>,
    bytes: usize,
}

/// A bounded queue in the order of pushing.
#[derive(Debug)]
pub struct Outbox<M> {
    caps: Caps,
    entries: BTreeMap<u64, Entry<M>>,
    next: u64,
    state: Line,
    chat: Line,
    signal: Line,
    shares: HashMap<SenderKey, Share>,
    latest: HashMap<(SubscriptionKey, Arc<str>), u64>,
    gaps: BTreeMap<SubscriptionKey, u64>,
}

impl<M> Outbox<M> {
    /// An empty queue.
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            entries: BTreeMap::new(),
            next: 0,
            state: Line::default(),
            chat: Line::default(),
            signal: Line::default(),
            shares: HashMap::new(),
            latest: HashMap::new(),
            gaps: BTreeMap::new(),
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.gaps.is_empty()
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds `message`, which counts as `bytes`.
    pub fn push(&mut self, subscription: SubscriptionKey, class: &Class, bytes: usize, message: M) -> Pushed {
        if let Class::State(key) = class
            && let Some(number) = self.latest.get(&(subscription, key.clone()))
            && let Some(entry) = self.entries.get_mut(number)
        {
            self.state.bytes = self.state.bytes.saturating_sub(entry.bytes).saturating_add(bytes);
            entry.bytes = bytes;
            entry.message = message;
            return Pushed::Replaced;
        }
        let cap = self.cap(class);
        if let Class::Signal(sender) = class
            && !self.take_share(*sender, bytes)
        {
            return Pushed::Full;
        }
        let dropped = self.make_room(class, cap, bytes);
        let number = self.next;
        self.next += 1;
        let line = self.line(class);
        line.order.push_back(number);
        line.bytes = line.bytes.saturating_add(bytes);
        if let Class::State(key) = class {
            self.latest.insert((subscription, key.clone()), number);
        }
        self.entries.insert(number, Entry { subscription, class: class.clone(), bytes, message });
        if dropped == 0 { Pushed::Queued } else { Pushed::Dropped(dropped) }
    }

    /// Takes the oldest message; before a chat message that follows dropped ones, the gap.
    pub fn pop(&mut self) -> Option<Next<M>> {
        let Some((_, first)) = self.entries.first_key_value() else {
            return self.gaps.pop_first().map(|(subscription, dropped)| Next::Gap { subscription, dropped });
        };
        let subscription = first.subscription;
        if first.class == Class::Chat
            && let Some(dropped) = self.gaps.remove(&subscription)
        {
            return Some(Next::Gap { subscription, dropped });
        }
        let (_, entry) = self.entries.pop_first()?;
        // The oldest of all is the oldest of its class.
        self.line(&entry.class).order.pop_front();
        self.forget(&entry);
        Some(Next::Message { subscription, message: entry.message })
    }

    /// Counts a signaling message that is about to wait, unless it does not fit.
    fn take_share(&mut self, sender: SenderKey, bytes: usize) -> bool {
        let Caps { signal, signal_per_sender: own, .. } = self.caps;
        let share = self.shares.get(&sender).map_or((0, 0), |share| (share.count, share.bytes));
        let fits = signal.fits(self.signal.order.len(), self.signal.bytes, bytes)
            && own.fits(share.0, share.1, bytes);
        if fits {
            let share = self.shares.entry(sender).or_default();
            share.count += 1;
            share.bytes = share.bytes.saturating_add(bytes);
        }
        fits
    }

    /// Drops the oldest of a class until `bytes` more fit, and counts them.
    fn make_room(&mut self, class: &Class, cap: Cap, bytes: usize) -> usize {
        let mut dropped = 0;
        loop {
            let line = self.line(class);
            if cap.fits(line.order.len(), line.bytes, bytes) || matches!(class, Class::Signal(_)) {
                return dropped;
            }
            let Some(oldest) = line.order.pop_front() else { return dropped };
            let Some(entry) = self.entries.remove(&oldest) else { continue };
            self.forget(&entry);
            dropped += 1;
            if *class == Class::Chat {
                let gap = self.gaps.entry(entry.subscription).or_default();
                *gap = gap.saturating_add(1);
            }
        }
    }

    fn forget(&mut self, entry: &Entry<M>) {
        let line = self.line(&entry.class);
        line.bytes = line.bytes.saturating_sub(entry.bytes);
        match &entry.class {
            Class::State(key) => drop(self.latest.remove(&(entry.subscription, key.clone()))),
            Class::Signal(sender) => {
                let Some(share) = self.shares.get_mut(sender) else { return };
                share.count = share.count.saturating_sub(1);
                share.bytes = share.bytes.saturating_sub(entry.bytes);
                if share.count == 0 {
                    self.shares.remove(sender);
                }
            }
            Class::Chat => {}
        }
    }

    fn line(&mut self, class: &Class) -> &mut Line {
        match class {
            Class::State(_) => &mut self.state,
            Class::Chat => &mut self.chat,
            Class::Signal(_) => &mut self.signal,
        }
    }

    fn cap(&self, class: &Class) -> Cap {
        match class {
            Class::State(_) => self.caps.state,
            Class::Chat => self.caps.chat,
            Class::Signal(_) => self.caps.signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SubscriptionKey = SubscriptionKey(1);
    const B: SubscriptionKey = SubscriptionKey(2);
    const SIGNAL: Class = Class::Signal(SenderKey(1));
    const OTHER: Class = Class::Signal(SenderKey(2));

    fn small() -> Outbox<u32> {
        let cap = Cap { count: 3, bytes: 100 };
        Outbox::new(Caps {
            state: cap,
            chat: cap,
            signal: cap,
            signal_per_sender: Cap { count: 3, bytes: 100 },
        })
    }

    fn state(key: &str) -> Class {
        Class::State(key.into())
    }

    fn drain(outbox: &mut Outbox<u32>) -> Vec<Next<u32>> {
        std::iter::from_fn(|| outbox.pop()).collect()
    }

    fn message(subscription: SubscriptionKey, message: u32) -> Next<u32> {
        Next::Message { subscription, message }
    }

    #[test]
    fn order_holds_across_classes() {
        let mut outbox = small();
        outbox.push(A, &SIGNAL, 1, 1);
        outbox.push(B, &Class::Chat, 1, 2);
        outbox.push(A, &state("x"), 1, 3);
        outbox.push(A, &SIGNAL, 1, 4);
        assert_eq!(drain(&mut outbox), [message(A, 1), message(B, 2), message(A, 3), message(A, 4)]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn the_latest_state_replaces_the_waiting_one() {
        let mut outbox = small();
        assert_eq!(outbox.push(A, &state("x"), 90, 1), Pushed::Queued);
        assert_eq!(outbox.push(A, &state("y"), 5, 2), Pushed::Queued);
        assert_eq!(outbox.push(A, &state("x"), 10, 3), Pushed::Replaced);
        assert_eq!(outbox.push(B, &state("x"), 10, 4), Pushed::Queued);
        assert_eq!(drain(&mut outbox), [message(A, 3), message(A, 2), message(B, 4)]);
        assert_eq!(outbox.push(A, &state("x"), 100, 5), Pushed::Queued);
        assert_eq!(outbox.push(A, &state("z"), 1, 6), Pushed::Dropped(1));
        assert_eq!(drain(&mut outbox), [message(A, 6)]);
    }

    #[test]
    fn chat_drops_the_oldest_and_marks_the_gap() {
        let mut outbox = small();
        for number in 0..5 {
            outbox.push(A, &Class::Chat, 1, number);
        }
        let gap = Next::Gap { subscription: A, dropped: 2 };
        assert_eq!(drain(&mut outbox), [gap, message(A, 2), message(A, 3), message(A, 4)]);
        outbox.push(A, &Class::Chat, 60, 1);
        assert_eq!(outbox.push(B, &Class::Chat, 60, 2), Pushed::Dropped(1));
        // The gap of a subscription that has nothing left still comes.
        assert_eq!(drain(&mut outbox), [message(B, 2), Next::Gap { subscription: A, dropped: 1 }]);
    }

    #[test]
    fn signaling_is_refused_by_count_and_by_bytes_and_keeps_what_waits() {
        let mut outbox = small();
        assert_eq!(outbox.push(A, &SIGNAL, 60, 1), Pushed::Queued);
        assert_eq!(outbox.push(A, &SIGNAL, 60, 2), Pushed::Full);
        for number in 3..5 {
            assert_eq!(outbox.push(A, &SIGNAL, 1, number), Pushed::Queued);
        }
        assert_eq!(outbox.push(A, &SIGNAL, 1, 5), Pushed::Full);
        assert_eq!(drain(&mut outbox), [message(A, 1), message(A, 3), message(A, 4)]);
        assert_eq!(outbox.push(A, &SIGNAL, 100, 6), Pushed::Queued);
    }

    #[test]
    fn one_sender_cannot_fill_the_queue_for_the_others() {
        let own = Cap { count: 2, bytes: 50 };
        let all = Cap { count: 4, bytes: 100 };
        let mut outbox = Outbox::new(Caps { state: all, chat: all, signal: all, signal_per_sender: own });
        assert_eq!(outbox.push(A, &SIGNAL, 51, 0), Pushed::Full);
        assert_eq!(outbox.push(A, &SIGNAL, 10, 1), Pushed::Queued);
        assert_eq!(outbox.push(B, &SIGNAL, 10, 2), Pushed::Queued);
        assert_eq!(outbox.push(A, &SIGNAL, 10, 3), Pushed::Full);
        assert_eq!(outbox.push(A, &OTHER, 50, 4), Pushed::Queued);
        assert_eq!(drain(&mut outbox), [message(A, 1), message(B, 2), message(A, 4)]);
        assert_eq!(outbox.push(A, &SIGNAL, 50, 5), Pushed::Queued);
        assert_eq!(drain(&mut outbox), [message(A, 5)]);
        assert!(outbox.shares.is_empty());
    }
}
