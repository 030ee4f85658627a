//! The subscriptions of one connection and what they have not acknowledged.

use std::collections::{HashMap, VecDeque};

use crate::ending::Refused;
use crate::frame::Version;

/// Most subscriptions of a connection; one more is an ERROR.
pub const MAX_SUBSCRIPTIONS: usize = 100;

/// Messages of a subscription that wait for an ACK. Topics keep nothing, so an unacknowledged message is never
/// sent again; beyond the limit the oldest counts as acknowledged.
pub(crate) const MAX_UNACKNOWLEDGED: usize = 1_000;

/// A subscription between the session and its caller: unique in the connection, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionKey(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckMode {
    /// Sent is acknowledged.
    Auto,
    /// An ACK covers all messages before it.
    Client,
    /// An ACK covers one message.
    ClientIndividual,
}

impl AckMode {
    pub(crate) fn parse(header: Option<&str>, version: Version) -> Option<Self> {
        match header {
            None | Some("auto") => Some(Self::Auto),
            Some("client") => Some(Self::Client),
            Some("client-individual") if version != Version::V1_0 => Some(Self::ClientIndividual),
            Some(_) => None,
        }
    }
}

#[derive(Debug)]
struct Subscription {
    /// The client's name for it: its `id`, or in 1.0 possibly the destination.
    name: String,
    has_id: bool,
    destination: String,
    ack: AckMode,
    unacknowledged: VecDeque<u64>,
}

/// What a MESSAGE frame of a subscription carries.
pub(crate) struct Stamp<'a> {
    pub(crate) number: u64,
    pub(crate) id: Option<&'a str>,
    pub(crate) ack: AckMode,
}

#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_key: HashMap<SubscriptionKey, Subscription>,
    by_name: HashMap<String, SubscriptionKey>,
    last_key: u32,
    last_message: u64,
}

impl Subscriptions {
    pub(crate) fn insert(
        &mut self,
        id: Option<&str>,
        destination: &str,
        ack: AckMode,
    ) -> Result<SubscriptionKey, Refused> {
        let name = id.unwrap_or(destination);
        if self.by_name.contains_key(name) {
            return Err(Refused::protocol(format!("there is a subscription {name:?} already")));
        }
        if self.by_key.len() >= MAX_SUBSCRIPTIONS {
            return Err(Refused::policy(format!("at most {MAX_SUBSCRIPTIONS} subscriptions")));
        }
        let spent = || Refused::policy("too many subscriptions over the life of the connection");
        self.last_key = self.last_key.checked_add(1).ok_or_else(spent)?;
        let key = SubscriptionKey(self.last_key);
        self.by_name.insert(name.to_owned(), key);
        let subscription = Subscription {
            name: name.to_owned(),
            has_id: id.is_some(),
            destination: destination.to_owned(),
            ack,
            unacknowledged: VecDeque::new(),
        };
        self.by_key.insert(key, subscription);
        Ok(key)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(SubscriptionKey, String), Refused> {
        let unknown = || Refused::protocol(format!("there is no subscription {name:?}"));
        let key = self.by_name.remove(name).ok_or_else(unknown)?;
        let subscription = self.by_key.remove(&key).ok_or_else(unknown)?;
        debug_assert_eq!(subscription.name, name);
        Ok((key, subscription.destination))
    }

    /// Numbers the next message of `key`, and remembers it if it is to be acknowledged.
    pub(crate) fn stamp(&mut self, key: SubscriptionKey) -> Option<Stamp<'_>> {
        let subscription = self.by_key.get_mut(&key)?;
        self.last_message += 1;
        let number = self.last_message;
        if subscription.ack != AckMode::Auto {
            if subscription.unacknowledged.len() >= MAX_UNACKNOWLEDGED {
                subscription.unacknowledged.pop_front();
            }
            subscription.unacknowledged.push_back(number);
        }
        let id = subscription.has_id.then_some(subscription.name.as_str());
        Some(Stamp { number, id, ack: subscription.ack })
    }

    /// Takes an ACK or NACK of message `number`. A message that its subscription took with it when it ended was
    /// sent too, so that one is no error.
    pub(crate) fn acknowledge(&mut self, number: u64) -> Result<(), Refused> {
        if number == 0 || number > self.last_message {
            return Err(Refused::protocol("no message with this id was sent"));
        }
        for subscription in self.by_key.values_mut() {
            let Ok(at) = subscription.unacknowledged.binary_search(&number) else { continue };
            match subscription.ack {
                AckMode::Client => drop(subscription.unacknowledged.drain(..=at)),
                AckMode::ClientIndividual => drop(subscription.unacknowledged.remove(at)),
                AckMode::Auto => {}
            }
            return Ok(());
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn unacknowledged(&self) -> usize {
        self.by_key.values().map(|subscription| subscription.unacknowledged.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(mode: AckMode, count: usize) -> (Subscriptions, Vec<u64>) {
        let mut all = Subscriptions::default();
        let Ok(key) = all.insert(Some("a"), "/topic/a", mode) else { panic!("refused") };
        let numbers = (0..count).map(|_| all.stamp(key).unwrap().number).collect();
        (all, numbers)
    }

    #[test]
    fn an_ack_covers_what_its_mode_says() {
        for (mode, left) in [(AckMode::Auto, 0), (AckMode::Client, 2), (AckMode::ClientIndividual, 4)] {
            let (mut all, numbers) = stamped(mode, 5);
            assert!(all.acknowledge(numbers[2]).is_ok());
            assert_eq!(all.unacknowledged(), left, "{mode:?}");
            assert!(all.acknowledge(numbers[2]).is_ok(), "twice is no harm");
        }
    }

    #[test]
    fn what_was_never_sent_cannot_be_acknowledged() {
        let (mut all, _) = stamped(AckMode::Client, 2);
        assert!(all.acknowledge(0).is_err());
        assert!(all.acknowledge(3).is_err());
    }

    #[test]
    fn waiting_messages_are_bounded() {
        let (mut all, numbers) = stamped(AckMode::ClientIndividual, MAX_UNACKNOWLEDGED + 5);
        assert_eq!(all.unacknowledged(), MAX_UNACKNOWLEDGED);
        assert!(all.acknowledge(numbers[0]).is_ok());
    }
}
