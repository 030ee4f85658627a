//! Who is subscribed to what.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::subscriptions::SubscriptionKey;

/// The index of all subscriptions of all connections, by destination. `C` names a connection.
///
/// It has no limit of its own: a connection has at most
/// [`MAX_SUBSCRIPTIONS`](crate::session::MAX_SUBSCRIPTIONS), and the caller limits connections.
#[derive(Debug)]
pub struct Broker<C> {
    by_destination: HashMap<String, BTreeSet<(C, SubscriptionKey)>>,
    by_connection: HashMap<C, HashMap<SubscriptionKey, String>>,
}

impl<C> Default for Broker<C> {
    fn default() -> Self {
        Self { by_destination: HashMap::new(), by_connection: HashMap::new() }
    }
}

impl<C: Copy + Eq + Hash + Ord> Broker<C> {
    /// `connection` reads `destination` from now on.
    pub fn subscribe(&mut self, connection: C, key: SubscriptionKey, destination: &str) {
        self.unsubscribe(connection, key);
        self.by_destination.entry(destination.to_owned()).or_default().insert((connection, key));
        self.by_connection.entry(connection).or_default().insert(key, destination.to_owned());
    }

    /// Ends one subscription and gives back what it read.
    pub fn unsubscribe(&mut self, connection: C, key: SubscriptionKey) -> Option<String> {
        let own = self.by_connection.get_mut(&connection)?;
        let destination = own.remove(&key)?;
        if own.is_empty() {
            self.by_connection.remove(&connection);
        }
        self.forget(connection, key, &destination);
        Some(destination)
    }

    /// Ends all subscriptions of `connection` and gives back what they read.
    pub fn remove(&mut self, connection: C) -> Vec<String> {
        let own = self.by_connection.remove(&connection).unwrap_or_default();
        own.into_iter()
            .map(|(key, destination)| {
                self.forget(connection, key, &destination);
                destination
            })
            .collect()
    }

    /// The subscriptions to `destination`, in the order of connections.
    pub fn subscribers(&self, destination: &str) -> impl Iterator<Item = (C, SubscriptionKey)> + '_ {
        self.by_destination.get(destination).into_iter().flatten().copied()
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_connection.values().map(HashMap::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_connection.is_empty()
    }

    fn forget(&mut self, connection: C, key: SubscriptionKey, destination: &str) {
        if let Some(readers) = self.by_destination.get_mut(destination) {
            readers.remove(&(connection, key));
            if readers.is_empty() {
                self.by_destination.remove(destination);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SubscriptionKey = SubscriptionKey(1);
    const B: SubscriptionKey = SubscriptionKey(2);

    #[test]
    fn a_destination_knows_its_readers() {
        let mut broker = Broker::default();
        broker.subscribe(1, A, "/topic/x");
        broker.subscribe(1, B, "/topic/x");
        broker.subscribe(2, A, "/topic/x");
        broker.subscribe(2, B, "/topic/y");
        assert_eq!(broker.subscribers("/topic/x").collect::<Vec<_>>(), [(1, A), (1, B), (2, A)]);
        assert_eq!(broker.len(), 4);
        assert_eq!(broker.unsubscribe(1, A).as_deref(), Some("/topic/x"));
        assert_eq!(broker.unsubscribe(1, A), None);
        let mut gone = broker.remove(2);
        gone.sort();
        assert_eq!(gone, ["/topic/x", "/topic/y"]);
        assert_eq!(broker.subscribers("/topic/x").collect::<Vec<_>>(), [(1, B)]);
        assert_eq!(broker.subscribers("/topic/y").count(), 0);
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let mut broker = Broker::default();
        broker.subscribe(1, A, "/topic/x");
        broker.remove(1);
        assert!(broker.is_empty() && broker.by_destination.is_empty());
    }
}
