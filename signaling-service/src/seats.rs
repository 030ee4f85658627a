//! Open connections: how many there are in all and from one address. A seat is given back when it is dropped,
//! whatever ends the connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::Metrics;

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSeat {
    #[error("too many connections")]
    Full,
    #[error("too many connections from this address")]
    Address,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The seats of this process.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: Mutex<Taken>,
    most: usize,
    most_per_address: usize,
    metrics: Metrics,
}

impl Seats {
    pub(crate) fn new(most: usize, most_per_address: usize, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), most, most_per_address, metrics })
    }

    /// A seat for a client at `address`; services of ours, which have none, share only the seats of all.
    pub(crate) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Seat, NoSeat> {
        let mut taken = self.lock();
        if taken.all >= self.most {
            return Err(NoSeat::Full);
        }
        if let Some(address) = address {
            let own = taken.by_address.entry(address).or_default();
            if *own >= self.most_per_address {
                return Err(NoSeat::Address);
            }
            *own += 1;
        }
        taken.all += 1;
        self.metrics.connections.inc();
        Ok(Seat { seats: self.clone(), address })
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Plain numbers, which every critical section leaves whole.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    address: Option<IpAddr>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(own) = taken.by_address.get_mut(&address)
        {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by_address.remove(&address);
            }
        }
        self.seats.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_the_seats_of_the_others() {
        let seats = Seats::new(5, 3, Metrics::default());
        let address = |last| Some(IpAddr::from([192, 0, 2, last]));
        let mut held: Vec<Seat> = (0..3).map(|_| seats.take(address(1)).unwrap()).collect();
        assert_eq!(seats.take(address(1)).unwrap_err(), NoSeat::Address);
        held.push(seats.take(address(2)).unwrap());
        held.push(seats.take(None).unwrap());
        assert_eq!(seats.take(address(2)).unwrap_err(), NoSeat::Full);
        assert_eq!(seats.taken(), 5);
        held.clear();
        assert!(seats.taken() == 0 && seats.lock().by_address.is_empty());
    }

    #[test]
    fn a_panic_gives_the_seat_back() {
        let seats = Seats::new(1, 1, Metrics::default());
        let own = seats.clone();
        let panicked = std::thread::spawn(move || {
            let _seat = own.take(None).unwrap();
            panic!("as a connection might");
        });
        assert!(panicked.join().is_err());
        assert_eq!(seats.taken(), 0);
    }
}
