//! Options of a socket that no safe call sets, waiting, and the error queue. Unsafe.

use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::types::{IcmpError, Options};

/// Room for an error with the address of its sender, behind whatever the socket asks for with each datagram.
const ERROR_CONTROL: usize = 512;

#[repr(align(8))]
struct ErrorControl([u8; ERROR_CONTROL]);

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
