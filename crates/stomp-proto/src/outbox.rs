//! The queue of one connection between the broker and its socket. It never grows without bound, and what happens
//! at its limit depends on what the message is for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::session::SubscriptionKey;

/// What a message is for, and so what a full queue does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// The state of the thing that the key names: a newer one replaces a waiting one. Over the limit the oldest
    /// is dropped.
    State(Arc<str>),
    /// Chat: over the limit the oldest is dropped, and the reader is told how many are missing.
    Chat,
    /// Signaling, where each message matters: over the limit it is refused, and the connection should end.
    Signal,
}

/// A limit on messages that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// How many.
    pub count: usize,
    /// Of how many bytes in all.
    pub bytes: usize,
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
}

impl Caps {
    /// For anybody.
    pub const CLIENT: Self = Self {
        state: Cap { count: 1_024, bytes: 1024 * 1024 },
        chat: Cap { count: 256, bytes: 512 * 1024 },
        signal: Cap { count: 1_024, bytes: 1024 * 1024 },
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
    /// It was not taken: the connection is too slow.
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
    /// Chat of this subscription was dropped here.
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
            latest: HashMap::new(),
            gaps: BTreeMap::new(),
        }
    }

    /// Sets other limits for what is pushed from now on.
    pub fn set_caps(&mut self, caps: Caps) {
        self.caps = caps;
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
        if *class == Class::Signal {
            let line = &self.signal;
            if line.order.len() >= cap.count || line.bytes.saturating_add(bytes) > cap.bytes {
                return Pushed::Full;
            }
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

    /// Drops the oldest of a class until `bytes` more fit, and counts them.
    fn make_room(&mut self, class: &Class, cap: Cap, bytes: usize) -> usize {
        let mut dropped = 0;
        loop {
            let line = self.line(class);
            let fits = line.order.len() < cap.count && line.bytes.saturating_add(bytes) <= cap.bytes;
            if fits || *class == Class::Signal {
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
        if let Class::State(key) = &entry.class {
            self.latest.remove(&(entry.subscription, key.clone()));
        }
    }

    fn line(&mut self, class: &Class) -> &mut Line {
        match class {
            Class::State(_) => &mut self.state,
            Class::Chat => &mut self.chat,
            Class::Signal => &mut self.signal,
        }
    }

    fn cap(&self, class: &Class) -> Cap {
        match class {
            Class::State(_) => self.caps.state,
            Class::Chat => self.caps.chat,
            Class::Signal => self.caps.signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SubscriptionKey = SubscriptionKey(1);
    const B: SubscriptionKey = SubscriptionKey(2);

    fn small() -> Outbox<u32> {
        let cap = Cap { count: 3, bytes: 100 };
        Outbox::new(Caps { state: cap, chat: cap, signal: cap })
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
        outbox.push(A, &Class::Signal, 1, 1);
        outbox.push(B, &Class::Chat, 1, 2);
        outbox.push(A, &state("x"), 1, 3);
        outbox.push(A, &Class::Signal, 1, 4);
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
        assert_eq!(outbox.push(A, &Class::Signal, 60, 1), Pushed::Queued);
        assert_eq!(outbox.push(A, &Class::Signal, 60, 2), Pushed::Full);
        for number in 3..5 {
            assert_eq!(outbox.push(A, &Class::Signal, 1, number), Pushed::Queued);
        }
        assert_eq!(outbox.push(A, &Class::Signal, 1, 5), Pushed::Full);
        assert_eq!(drain(&mut outbox), [message(A, 1), message(A, 3), message(A, 4)]);
        assert_eq!(outbox.push(A, &Class::Signal, 100, 6), Pushed::Queued);
    }
}
