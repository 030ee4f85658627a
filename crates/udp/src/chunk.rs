//! `sendmmsg` with GSO and a chosen source address. Unsafe.

use std::io::IoSlice;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use crate::socket::Socket;
use crate::types::{Sent, add, mapped};

/// Messages per call; the kernel takes up to 1,024, more than this saves nothing.
const MESSAGES: usize = 64;
/// Datagrams per call, over all messages.
const SEGMENTS: usize = 256;
/// Datagrams in one message (`UDP_MAX_SEGMENTS` of the oldest kernel with GSO).
const SEGMENTS_PER_MESSAGE: u16 = 64;
/// Bytes in one message: a UDP length field's worth, less headers.
const BYTES_PER_MESSAGE: usize = 65_000;
/// Room for a source address (`in6_pktinfo`, 20 bytes) and a segment size (2 bytes), headers included.
const CONTROL: usize = 88;

/// Control messages start with a `size_t`, so the buffer is aligned as one.
#[repr(align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// What is known of a message while its chunk is filled: one cache line.
#[derive(Clone, Copy)]
struct Message {
    to: SocketAddr,
    from: Option<IpAddr>,
    /// A datagram shorter than the segment ends the message.
    closed: bool,
    first: u16,
    count: u16,
    segment: u16,
    bytes: u32,
}

/// A destination as the kernel reads it.
#[repr(C)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// The messages of one call. The packets it points to are borrowed for `'a`.
///
/// Nothing is initialised before it is used: with thousands of calls a second, what is touched here is what the
/// packets find no room for in the nearest cache.
pub(crate) struct Chunk<'a> {
    messages: [MaybeUninit<Message>; MESSAGES],
    message_count: usize,
    segments: [MaybeUninit<IoSlice<'a>>; SEGMENTS],
    segment_count: usize,
    v6: bool,
}

impl<'a> Chunk<'a> {
    pub(crate) fn new() -> Self {
        Self {
            messages: [const { MaybeUninit::uninit() }; MESSAGES],
            message_count: 0,
            segments: [const { MaybeUninit::uninit() }; SEGMENTS],
            segment_count: 0,
            v6: false,
        }
    }

    fn message(&self, index: usize) -> Option<&Message> {
        if index >= self.message_count {
            return None;
        }
        // SAFETY: `start` wrote every message below `message_count`.
        self.messages.get(index).map(|message| unsafe { message.assume_init_ref() })
    }

    /// The datagrams of a message of this chunk.
    fn datagrams(&self, message: &Message) -> &[IoSlice<'a>] {
        let first = usize::from(message.first);
        let segments = self.segments.get(first..first + usize::from(message.count)).unwrap_or_default();
        // SAFETY: `start` and `extend` wrote every segment that they count in a message; initialised slots have the
        // layout of what is in them.
        unsafe { &*(std::ptr::from_ref(segments) as *const [IoSlice<'a>]) }
    }

    /// Appends `data` to the last message if it goes to the same place and fits as a GSO segment.
    pub(crate) fn extend(&mut self, to: SocketAddr, from: Option<IpAddr>, data: &'a [u8]) -> bool {
        let Some(index) = self.message_count.checked_sub(1) else { return false };
        // SAFETY: `start` wrote every message below `message_count`.
        let Some(last) = self.messages.get_mut(index).map(|message| unsafe { message.assume_init_mut() })
        else {
            return false;
        };
        let segment = usize::from(last.segment);
        let fits = last.to == to
            && last.from == from
            && !last.closed
            && !data.is_empty()
            && data.len() <= segment
            && last.count < SEGMENTS_PER_MESSAGE
            && last.bytes as usize + data.len() <= BYTES_PER_MESSAGE;
        let Some(slot) = self.segments.get_mut(self.segment_count).filter(|_| fits) else { return false };
        slot.write(IoSlice::new(data));
        self.segment_count += 1;
        last.count += 1;
        last.bytes += data.len() as u32;
        last.closed = data.len() < segment;
        true
    }

    /// Starts a message with `data`; false if the chunk is full.
    pub(crate) fn start(&mut self, v6: bool, to: SocketAddr, from: Option<IpAddr>, data: &'a [u8]) -> bool {
        let (Some(message), Some(slot)) =
            (self.messages.get_mut(self.message_count), self.segments.get_mut(self.segment_count))
        else {
            return false;
        };
        // Nothing can be a segment beside an empty datagram, or one that no UDP packet carries.
        let segment = u16::try_from(data.len()).unwrap_or(0);
        let (first, bytes) = (self.segment_count as u16, data.len() as u32);
        message.write(Message { to, from, closed: segment == 0, first, count: 1, segment, bytes });
        slot.write(IoSlice::new(data));
        self.message_count += 1;
        self.segment_count += 1;
        self.v6 = v6;
        true
    }

    /// Sends all messages and empties the chunk.
    pub(crate) fn send(&mut self, socket: &Socket, done: &mut Sent) {
        if self.message_count == 0 {
            return;
        }
        let mut names = [const { MaybeUninit::<Name>::uninit() }; MESSAGES];
        let mut controls = [const { MaybeUninit::<Control>::uninit() }; MESSAGES];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES];
        for index in 0..self.message_count {
            let Some(message) = self.message(index) else { break };
            let (name, length) = name(if self.v6 { mapped(message.to) } else { message.to });
            let datagrams = self.datagrams(message);
            // SAFETY: all zeroes is a valid `mmsghdr`: null pointers and zero lengths.
            let header = headers[index].write(unsafe { zeroed() });
            let header = &mut header.msg_hdr;
            header.msg_name = std::ptr::from_mut(names[index].write(name)).cast();
            header.msg_namelen = length;
            // `IoSlice` is an `iovec` on Unix; the kernel only reads it.
            header.msg_iov = datagrams.as_ptr().cast_mut().cast();
            header.msg_iovlen = datagrams.len() as _;
            let segment = (message.count > 1).then_some(message.segment);
            if message.from.is_some() || segment.is_some() {
                let control = controls[index].write(Control([0; CONTROL]));
                write_control(header, control, message.from, segment);
            }
        }
        let headers = headers.get_mut(..self.message_count).unwrap_or_default();
        // SAFETY: the loop wrote every header below `message_count`; initialised slots have the layout of what is in
        // them.
        let headers = unsafe { &mut *(std::ptr::from_mut(headers) as *mut [libc::mmsghdr]) };
        self.submit(socket, headers, done);
        self.message_count = 0;
        self.segment_count = 0;
    }

    fn submit(&self, socket: &Socket, headers: &mut [libc::mmsghdr], done: &mut Sent) {
        let mut next = 0;
        let mut retried = None;
        while let Some(rest) = headers.get_mut(next..).filter(|rest| !rest.is_empty()) {
            // SAFETY: each header points to a name, iovecs, packets and a control buffer that outlive the
            // call: they are locals of the caller, or borrowed for 'a. The kernel only reads them.
            let sent = unsafe {
                libc::sendmmsg(socket.io.as_raw_fd(), rest.as_mut_ptr(), rest.len() as _, libc::MSG_DONTWAIT)
            };
            add(&socket.counters.send_calls, 1);
            if sent > 0 {
                let mut bytes = 0;
                for _ in 0..sent {
                    if let Some(message) = self.message(next) {
                        done.sent += usize::from(message.count);
                        bytes += message.bytes as usize;
                    }
                    next += 1;
                }
                add(&socket.counters.sent_bytes, bytes);
                continue;
            }
            let error = std::io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // With ICMP errors kept, an earlier datagram's error may be told instead of sending this one;
                // telling has cleared it.
                Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EPROTO)
                    if retried != Some(next) =>
                {
                    retried = Some(next);
                }
                Some(libc::EAGAIN) => {
                    // Media is dropped rather than delayed: the buffer holds what the line takes for now.
                    done.dropped += (next..self.message_count)
                        .filter_map(|index| self.message(index))
                        .map(|message| usize::from(message.count))
                        .sum::<usize>();
                    return;
                }
                code => {
                    self.refused(socket, next, code, done);
                    next += 1;
                }
            }
        }
    }

    /// The kernel refused message `index`: without GSO its datagrams may pass one by one.
    fn refused(&self, socket: &Socket, index: usize, code: Option<i32>, done: &mut Sent) {
        let Some(message) = self.message(index) else { return };
        // Of a message with segments some kernels say EINVAL where others say EMSGSIZE.
        let too_long = match code {
            Some(libc::EMSGSIZE) => socket.forbids_fragments(),
            Some(libc::EINVAL) => message.count > 1 && socket.forbids_fragments(),
            _ => false,
        };
        if too_long {
            socket.allow_fragments();
        }
        if (message.count == 1 && !too_long)
            || !matches!(code, Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE))
        {
            done.failed += usize::from(message.count);
            return;
        }
        if code == Some(libc::EIO) {
            // The card cannot compute checksums of segments: no message with segments will ever pass.
            socket.stop_gso();
        }
        for data in self.datagrams(message) {
            socket.send_one(message.to, message.from, data, done);
        }
    }
}

/// An address as the kernel reads it, and how long that is.
fn name(to: SocketAddr) -> (Name, libc::socklen_t) {
    match to {
        SocketAddr::V4(to) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: to.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
                sin_zero: [0; 8],
            };
            (Name { v4 }, size_of::<libc::sockaddr_in>() as _)
        }
        SocketAddr::V6(to) => {
            let v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as _,
                sin6_port: to.port().to_be(),
                sin6_flowinfo: to.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: to.ip().octets() },
                sin6_scope_id: to.scope_id(),
            };
            (Name { v6 }, size_of::<libc::sockaddr_in6>() as _)
        }
    }
}

/// Writes the source address and the segment size as control messages of `header`.
fn write_control(
    header: &mut libc::msghdr,
    control: &mut Control,
    from: Option<IpAddr>,
    segment: Option<u16>,
) {
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL as _;
    let mut used = 0;
    // SAFETY: `msg_control` points to CONTROL zeroed, aligned bytes: room for the two messages written here.
    // CMSG_FIRSTHDR and CMSG_NXTHDR return null rather than a header outside of it.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        match from {
            Some(IpAddr::V4(ip)) => {
                let address = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: address,
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                used += put(next, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
                next = libc::CMSG_NXTHDR(header, next);
            }
            Some(IpAddr::V6(ip)) => {
                let address = libc::in6_addr { s6_addr: ip.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
                used += put(next, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
                next = libc::CMSG_NXTHDR(header, next);
            }
            None => {}
        }
        if let Some(segment) = segment {
            used += put(next, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
    }
    header.msg_controllen = used as _;
}

/// Writes one control message and returns the space that it takes.
///
/// # Safety
/// `at` is null, or points to `CMSG_SPACE(size_of::<T>())` writable bytes aligned as a `cmsghdr`.
unsafe fn put<T: Copy>(at: *mut libc::cmsghdr, level: i32, kind: i32, value: T) -> usize {
    if at.is_null() {
        return 0;
    }
    let size = size_of::<T>() as u32;
    // SAFETY: the caller vouches for `at`; CMSG_DATA of it lies in the same buffer, maybe unaligned for T.
    unsafe {
        (*at).cmsg_level = level;
        (*at).cmsg_type = kind;
        (*at).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(at).cast::<T>().write_unaligned(value);
        libc::CMSG_SPACE(size) as usize
    }
}
