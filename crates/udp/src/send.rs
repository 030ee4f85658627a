//! Sending: packets are written into one arena, grouped by destination, and leave in as few calls as the
//! kernel allows. Packets to one destination keep their order; destinations do not wait for each other.

use std::net::{IpAddr, SocketAddr};

#[cfg(target_os = "linux")]
use crate::chunk::Chunk;
use crate::socket::Socket;
use crate::types::{Sent, add};

/// The batch has no room for one more packet: flush it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the send batch is full")
    }
}

impl std::error::Error for Full {}

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Packet {
    offset: u32,
    len: u32,
    /// Next packet to the same destination, or [`NONE`].
    next: u32,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    to: SocketAddr,
    from: Option<IpAddr>,
    /// Routers may cut its datagrams, whatever the socket asks for.
    fragmentable: bool,
    head: u32,
    tail: u32,
    /// Place in the hash table, to empty it without walking the table.
    place: u32,
}

/// Reusable memory for outgoing datagrams, allocated once: a full batch refuses ([`Full`]), it never grows.
/// One serves all sockets of a thread.
#[derive(Debug)]
pub struct SendBatch {
    arena: Box<[u8]>,
    used: usize,
    max_datagram: usize,
    packets: Vec<Packet>,
    groups: Vec<Group>,
    /// Some of the groups are fragmentable.
    has_fragmentable: bool,
    /// Open addressing from (destination, source) to a group; twice as many places as packets.
    table: Box<[u32]>,
}

impl SendBatch {
    /// Memory for up to `packets` datagrams of up to `max_datagram` bytes, at most 65,507 each.
    #[must_use]
    pub fn new(packets: usize, max_datagram: usize) -> Self {
        let packets = packets.clamp(1, 1 << 16);
        let max_datagram = max_datagram.clamp(1, 65_507);
        Self {
            arena: vec![0; packets * max_datagram].into_boxed_slice(),
            used: 0,
            max_datagram,
            packets: Vec::with_capacity(packets),
            groups: Vec::with_capacity(packets),
            has_fragmentable: false,
            table: vec![NONE; (packets * 2).next_power_of_two()].into_boxed_slice(),
        }
    }

    /// Adds a datagram to `to`, leaving from the local address `from` where given. `write` gets
    /// `max_datagram` bytes of scratch memory and returns how many of them it used; 0 takes the datagram back.
    ///
    /// # Errors
    /// [`Full`]: nothing was written, `write` was not called.
    pub fn push(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), Full> {
        if self.packets.len() == self.packets.capacity() {
            return Err(Full);
        }
        let end = self.used + self.max_datagram;
        let len = write(self.arena.get_mut(self.used..end).ok_or(Full)?).min(self.max_datagram);
        if len == 0 {
            return Ok(());
        }
        let index = self.packets.len() as u32;
        self.packets.push(Packet { offset: self.used as u32, len: len as u32, next: NONE });
        self.used += len;
        self.link(to, from, false, index);
        Ok(())
    }

    /// Adds a copy of `data`, which may be empty; longer than `max_datagram` is refused.
    ///
    /// # Errors
    /// [`Full`] when there is no room or `data` is longer than a datagram of this batch.
    pub fn push_slice(&mut self, to: SocketAddr, from: Option<IpAddr>, data: &[u8]) -> Result<(), Full> {
        self.push_copy(to, from, false, data)
    }

    /// The same for a datagram that has to arrive over a path with a small MTU, if need be in fragments: also from a
    /// socket that forbids them ([`crate::Options::dont_fragment`]), which costs it two calls a flush.
    ///
    /// # Errors
    /// As [`SendBatch::push_slice`].
    pub fn push_fragmentable(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        data: &[u8],
    ) -> Result<(), Full> {
        self.push_copy(to, from, true, data)
    }

    fn push_copy(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        fragmentable: bool,
        data: &[u8],
    ) -> Result<(), Full> {
        let end = self.used + self.max_datagram;
        let room = self.packets.len() < self.packets.capacity();
        let place = self.arena.get_mut(self.used..end).filter(|_| room);
        place.and_then(|place| place.get_mut(..data.len())).ok_or(Full)?.copy_from_slice(data);
        let index = self.packets.len() as u32;
        self.packets.push(Packet { offset: self.used as u32, len: data.len() as u32, next: NONE });
        self.used += data.len();
        self.link(to, from, fragmentable, index);
        Ok(())
    }

    /// Number of datagrams that wait for [`SendBatch::flush`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Sends everything and empties the batch. What the send buffer has no room for is dropped, what the
    /// kernel refuses is skipped; both are counted, neither is an error.
    pub fn flush(&mut self, socket: &Socket) -> Sent {
        let mut done = Sent::default();
        if !self.packets.is_empty() {
            self.transmit(socket, &mut done);
            add(&socket.counters.sent, done.sent);
            add(&socket.counters.dropped, done.dropped);
            add(&socket.counters.failed, done.failed);
        }
        self.clear();
        done
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        for group in self.groups.drain(..) {
            if let Some(place) = self.table.get_mut(group.place as usize) {
                *place = NONE;
            }
        }
        self.packets.clear();
        self.has_fragmentable = false;
        self.used = 0;
    }

    /// Appends packet `index` to the group of its destination.
    fn link(&mut self, to: SocketAddr, from: Option<IpAddr>, fragmentable: bool, index: u32) {
        let same = |group: &Group| group.to == to && group.from == from && group.fragmentable == fragmentable;
        // The packets of a frame come one after another: no look into the table for them.
        if let Some(group) = self.groups.last_mut().filter(|group| same(group)) {
            if let Some(last) = self.packets.get_mut(group.tail as usize) {
                last.next = index;
            }
            group.tail = index;
            return;
        }
        let mask = self.table.len() - 1;
        let mut place = hash(&to) as usize & mask;
        // The table has more places than packets, so there is always an empty one.
        while let Some(&entry) = self.table.get(place) {
            let Some(group) = self.groups.get_mut(entry as usize) else { break };
            if same(group) {
                if let Some(last) = self.packets.get_mut(group.tail as usize) {
                    last.next = index;
                }
                group.tail = index;
                return;
            }
            place = (place + 1) & mask;
        }
        if let Some(entry) = self.table.get_mut(place) {
            *entry = self.groups.len() as u32;
            self.groups.push(Group { to, from, fragmentable, head: index, tail: index, place: place as u32 });
            self.has_fragmentable |= fragmentable;
        }
    }

    fn packet(&self, index: u32) -> Option<(&[u8], u32)> {
        let packet = self.packets.get(index as usize)?;
        let start = packet.offset as usize;
        Some((self.arena.get(start..start + packet.len as usize)?, packet.next))
    }

    #[cfg(target_os = "linux")]
    fn transmit(&self, socket: &Socket, done: &mut Sent) {
        if !(self.has_fragmentable && socket.forbids_fragments()) {
            return self.transmit_groups(socket, |_| true, done);
        }
        self.transmit_groups(socket, |group| !group.fragmentable, done);
        socket.set_dont_fragment(false);
        self.transmit_groups(socket, |group| group.fragmentable, done);
        socket.set_dont_fragment(socket.forbids_fragments());
    }

    #[cfg(target_os = "linux")]
    fn transmit_groups(&self, socket: &Socket, wanted: impl Fn(&Group) -> bool, done: &mut Sent) {
        let mut chunk = Chunk::new();
        for group in self.groups.iter().filter(|group| wanted(group)) {
            let (to, from) = (group.to, group.from.filter(|_| socket.chooses_source()));
            let mut next = group.head;
            while let Some((data, after)) = self.packet(next) {
                next = after;
                let joined = socket.uses_gso() && chunk.extend(to, from, data);
                if !joined && !chunk.start(socket.v6, to, from, data) {
                    chunk.send(socket, done);
                    chunk.start(socket.v6, to, from, data);
                }
            }
        }
        chunk.send(socket, done);
    }

    #[cfg(not(target_os = "linux"))]
    fn transmit(&self, socket: &Socket, done: &mut Sent) {
        for group in &self.groups {
            let mut next = group.head;
            while let Some((data, after)) = self.packet(next) {
                next = after;
                socket.send_one(group.to, group.from.filter(|_| socket.chooses_source()), data, done);
            }
        }
    }
}

/// FNV-1a over the address: destinations are validated peers of this node, so nobody gains by collisions.
fn hash(to: &SocketAddr) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let start = to.port().to_be_bytes().iter().fold(0xcbf2_9ce4_8422_2325, mix);
    let hash = match to.ip() {
        IpAddr::V4(ip) => ip.octets().iter().fold(start, mix),
        IpAddr::V6(ip) => ip.octets().iter().fold(start, mix),
    };
    hash ^ (hash >> 32)
}
