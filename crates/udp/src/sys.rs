//! The unsafe part: `sendmmsg` with GSO and a chosen source address, the error queue, and a few options.

use std::io::IoSlice;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::send::{Sent, mapped, send_one};
use crate::socket::{IcmpError, Options, Socket, add};

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

/// Room for an error with the address of its sender, behind whatever the socket asks for with each datagram.
const ERROR_CONTROL: usize = 512;

#[repr(align(8))]
struct ErrorControl([u8; ERROR_CONTROL]);

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
            send_one(socket, message.to, message.from, data, done);
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

/// Has runs of equal datagrams come as one message (GRO), lets IP fragment what is longer than the path takes (nobody
/// here does path MTU discovery) unless that is forbidden, and does what `options` ask for. Best effort: a kernel without one of these still sends and receives.
pub(crate) fn prepare(socket: &socket2::Socket, v6: bool, options: Options) {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    // Of an IPv6 socket too: it may send to IPv4 addresses.
    let mode = if options.dont_fragment { libc::IP_PMTUDISC_PROBE } else { libc::IP_PMTUDISC_DONT };
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, mode);
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IP_PMTUDISC_DONT);
    }
    if options.to_ip {
        let (level, name) = if v6 {
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
        } else {
            (libc::IPPROTO_IP, libc::IP_PKTINFO)
        };
        set(socket, level, name, 1);
    }
    if options.icmp_errors {
        set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1);
        if v6 {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1);
        }
    }
}

/// Waits up to `timeout`, rounded up to milliseconds, until `socket` or `poll` is readable; whether `poll` is.
pub(crate) fn wait(socket: &impl AsRawFd, poll: &impl AsRawFd, timeout: Duration) -> std::io::Result<bool> {
    let readable = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut fds = [readable(socket.as_raw_fd()), readable(poll.as_raw_fd())];
    let millis = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
    // SAFETY: the kernel reads and writes that many live `pollfd`.
    if unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as _, millis) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(fds[1].revents != 0)
}

/// Sets or clears the DF bit of what the socket sends. `PROBE` and not `DO`: the latter refuses by what the kernel
/// believes of the path, where the peer's side shall answer.
pub(crate) fn set_dont_fragment(socket: &impl AsRawFd, v6: bool, dont_fragment: bool) {
    let mode = if dont_fragment { libc::IP_PMTUDISC_PROBE } else { libc::IP_PMTUDISC_DONT };
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, mode);
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, mode);
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, i32::from(dont_fragment));
    }
}

/// Takes ICMP errors from the socket's error queue until one is of use.
pub(crate) fn recv_error(socket: &impl AsRawFd) -> Option<IcmpError> {
    /// Errors of other origin that are passed over in one call.
    const TRIES: usize = 64;
    for _ in 0..TRIES {
        let mut control = ErrorControl([0; ERROR_CONTROL]);
        // SAFETY: all zeroes is a valid `msghdr` and a valid `sockaddr_storage`.
        let (mut header, mut name): (libc::msghdr, libc::sockaddr_storage) = unsafe { (zeroed(), zeroed()) };
        header.msg_name = (&raw mut name).cast();
        header.msg_namelen = size_of::<libc::sockaddr_storage>() as _;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = ERROR_CONTROL as _;
        // SAFETY: name and control are live locals of the lengths given; no payload is asked for.
        let got = unsafe {
            libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT)
        };
        if got < 0 {
            return None;
        }
        let Some(to) = address(&name) else { continue };
        // SAFETY: the kernel wrote `msg_controllen` bytes of control messages into `control`; CMSG_FIRSTHDR and
        // CMSG_NXTHDR stay inside of them.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        while !next.is_null() {
            // SAFETY: `next` is a control message inside of `control`, aligned as one.
            let (level, kind, length) = unsafe { ((*next).cmsg_level, (*next).cmsg_type, (*next).cmsg_len) };
            let is_error = matches!(
                (level, kind),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            );
            // SAFETY: computes a length, touches nothing.
            let whole = unsafe { libc::CMSG_LEN(size_of::<libc::sock_extended_err>() as u32) } as usize;
            if is_error && length >= whole {
                // SAFETY: the message is long enough for the struct; it may be unaligned.
                let error =
                    unsafe { libc::CMSG_DATA(next).cast::<libc::sock_extended_err>().read_unaligned() };
                if matches!(error.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6) {
                    let too_big = error.ee_errno == libc::EMSGSIZE as u32;
                    let mtu = if too_big { error.ee_info } else { 0 };
                    return Some(IcmpError { to, kind: error.ee_type, code: error.ee_code, mtu });
                }
            }
            // SAFETY: as above.
            next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
        }
    }
    None
}

/// The address that the kernel wrote.
fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is this struct, which is no longer and no more aligned.
            let v4 = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = std::net::Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::new(ip.into(), u16::from_be(v4.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let ip = std::net::Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddr::new(ip.into(), u16::from_be(v6.sin6_port)))
        }
        _ => None,
    }
}

/// Raises the soft limit of open files to the hard one.
pub(crate) fn raise_file_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one struct to a live local.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return None;
    }
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        // SAFETY: the kernel reads one struct from a live local.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    Some(limit.rlim_cur)
}

fn set(socket: &impl AsRawFd, level: i32, name: i32, value: i32) {
    let value: libc::c_int = value;
    // SAFETY: the kernel reads `size_of::<c_int>()` bytes from a live local.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as _,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RecvBatch, SendBatch};

    /// The kernel's word for what it does with datagrams that are too long.
    fn mode(socket: &Socket) -> i32 {
        let (mut value, mut length): (libc::c_int, libc::socklen_t) = (-1, size_of::<libc::c_int>() as _);
        // SAFETY: the kernel writes `length` bytes to a live local, and their number to another.
        let result = unsafe {
            libc::getsockopt(
                socket.io.as_raw_fd(),
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                (&raw mut value).cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0);
        value
    }

    fn socket(dont_fragment: bool) -> Socket {
        let options = Options { dont_fragment, ..Options::default() };
        Socket::bind_with("127.0.0.1:0".parse().unwrap(), options).unwrap()
    }

    #[test]
    fn what_may_be_cut_leaves_without_df_and_the_rest_with_it() {
        let (from, to) = (socket(true), socket(false));
        assert_eq!((mode(&from), mode(&to)), (libc::IP_PMTUDISC_PROBE, libc::IP_PMTUDISC_DONT));
        let mut batch = SendBatch::new(16, 1_500);
        let address = to.local_addr();
        batch.push_fragmentable(address, None, b"flight 1").unwrap();
        batch.push_slice(address, None, b"media 1").unwrap();
        batch.push_fragmentable(address, None, b"flight 2").unwrap();
        batch.push_slice(address, None, b"media 2").unwrap();
        assert_eq!(batch.flush(&from), Sent { sent: 4, dropped: 0, failed: 0 });
        assert_eq!(mode(&from), libc::IP_PMTUDISC_PROBE, "as before");
        let mut recv = RecvBatch::new();
        let mut came = Vec::new();
        while came.len() < 4 {
            to.recv(&mut recv).unwrap();
            came.extend(recv.iter_mut().map(|datagram| String::from_utf8_lossy(datagram.data).into_owned()));
        }
        // In the order of each kind.
        assert_eq!(came, ["media 1", "media 2", "flight 1", "flight 2"]);
    }

    #[test]
    fn an_interface_that_takes_less_ends_it() {
        let from = socket(true);
        from.allow_fragments();
        assert_eq!(mode(&from), libc::IP_PMTUDISC_DONT);
        let mut batch = SendBatch::new(1, 1_500);
        batch.push_fragmentable(from.local_addr(), None, b"to myself").unwrap();
        batch.flush(&from);
        assert_eq!(mode(&from), libc::IP_PMTUDISC_DONT, "a flush does not bring it back");
    }
}
