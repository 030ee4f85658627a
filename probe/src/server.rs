//! CPU and memory of the server's process, and datagrams that the kernel dropped at our sockets: from `/proc`.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use url::Url;

/// What a process has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all its threads, ns.
    pub cpu_ns: u64,
    /// Resident memory, bytes.
    pub rss: u64,
}

/// Reads the usage of a process; `None` if there is none, or no `/proc`.
#[must_use]
pub fn usage(pid: u32) -> Option<Usage> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let cpu = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let cpu_ns = threads.flatten().filter_map(cpu).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Some(Usage { cpu_ns, rss: rss?.parse::<u64>().ok()? * 1024 })
}

/// CPU time of each thread of a process whose name begins with `prefix`, ns, by name.
#[must_use]
pub fn threads(pid: u32, prefix: &str) -> BTreeMap<String, u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |task: fs::DirEntry| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let used = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let used = used.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
        name.starts_with(prefix).then(|| (name.trim().to_owned(), used))
    };
    let mut all = BTreeMap::new();
    for (name, used) in tasks.filter_map(of) {
        *all.entry(name).or_default() += used;
    }
    all
}

/// The process that listens on the port of `url`.
#[must_use]
pub fn listener(url: &str) -> Option<u32> {
    let port = Url::parse(url).ok()?.port_or_known_default()?;
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|path| fs::read_to_string(path).ok());
    let inodes: HashSet<String> = tables
        .flat_map(|table| {
            let inodes = table.lines().filter_map(|line| listening_inode(line, port));
            inodes.map(|inode| format!("socket:[{inode}]")).collect::<Vec<_>>()
        })
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| link.to_str().is_some_and(|link| inodes.contains(link)))
    })
}

/// The inode of a line of `/proc/net/tcp`, if it is a listener (state 0A) on `port`.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, local) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    (state == "0A" && u16::from_str_radix(local, 16).ok()? == port).then_some(inode)
}

/// Datagrams that came to sockets on `ports` and found their receive buffer full.
#[must_use]
pub fn receive_drops(ports: &HashSet<u16>) -> u64 {
    let tables =
        ["/proc/net/udp", "/proc/net/udp6"].into_iter().filter_map(|path| fs::read_to_string(path).ok());
    tables.map(|table| table.lines().filter_map(|line| drops(line, ports)).sum::<u64>()).sum()
}

fn drops(line: &str, ports: &HashSet<u16>) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let (_, local) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(local, 16).ok()?;
    if ports.contains(&port) { fields.next_back()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernels_tables() {
        let tcp = "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100";
        assert_eq!(listening_inode(tcp, 8080), Some("4711"));
        assert_eq!(listening_inode(tcp, 80), None);
        assert_eq!(listening_inode(&tcp.replace(" 0A ", " 01 "), 8080), None);
        assert_eq!(listening_inode("", 80), None);
        let udp = "  311: 00000000:C350 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 9 2 0 42";
        assert_eq!(drops(udp, &HashSet::from([50_000])), Some(42));
        assert_eq!(drops(udp, &HashSet::from([1])), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_something() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.cpu_ns > 0 && usage.rss > 0);
        let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metrics", listening.local_addr().unwrap());
        assert_eq!(listener(&url), Some(std::process::id()));
    }
}
