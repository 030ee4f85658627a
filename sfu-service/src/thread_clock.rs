//! The CPU time of a thread, as the kernel counts it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// Where the kernel counts the CPU time of a shard's thread; the thread itself says so when it starts.
#[derive(Debug, Default)]
pub(crate) struct ThreadClock(OnceLock<PathBuf>);

impl ThreadClock {
    /// Called on the thread that is to be measured.
    pub(crate) fn is_this_thread(&self) {
        // `<pid>/task/<tid>`, in the words of /proc.
        if let Ok(task) = std::fs::read_link("/proc/thread-self") {
            let _ = self.0.set(PathBuf::from("/proc").join(task).join("schedstat"));
        }
    }

    /// CPU time so far; `None` where the kernel does not count it.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let text = std::fs::read_to_string(self.0.get()?).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_this_thread() {
        let clock = ThreadClock::default();
        assert_eq!(clock.cpu(), None);
        clock.is_this_thread();
        let before = clock.cpu().expect("Linux counts the CPU time of a thread");
        let mut sum = 0_u64;
        while clock.cpu().expect("still counted") <= before {
            sum = (0..1_000_000).fold(sum, |sum, n| sum.wrapping_mul(31).wrapping_add(n));
        }
        assert_ne!(sum, 1);
    }
}
