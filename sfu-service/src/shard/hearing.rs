//! Whether a publisher is still heard, pulse by pulse. Pure.

/// A publisher is silent after so many pulses without a packet, if media came last.
const MEDIA_PULSES: u8 = 5;
/// The same if only reports came last: who is muted sends them alone, clients that we did not write as seldom as every
/// 5 s (RFC 3550, section 6.2).
const REPORT_PULSES: u8 = 26;

/// Whether a publisher is still heard. Checks of ICE do not count: they come as seldom as every 5 s.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    media: bool,
    reports: bool,
    /// Pulses without a packet.
    quiet: u8,
    /// How many of them are too many; none are before the first media.
    patience: Option<u8>,
}

impl Hearing {
    /// An RTP packet came.
    pub(super) fn media(&mut self) {
        self.media = true;
    }

    /// RTCP came.
    pub(super) fn reports(&mut self) {
        self.reports = true;
    }

    /// Whether it was heard and is not any more.
    pub(super) fn is_silent(&self) -> bool {
        self.patience.is_some_and(|patience| self.quiet >= patience)
    }

    /// A pulse has passed; whether [`Self::is_silent`] has changed with it.
    pub(super) fn pulse(&mut self) -> bool {
        let before = self.is_silent();
        match (std::mem::take(&mut self.media), std::mem::take(&mut self.reports)) {
            (true, _) => (self.quiet, self.patience) = (0, Some(MEDIA_PULSES)),
            (false, true) => (self.quiet, self.patience) = (0, self.patience.and(Some(REPORT_PULSES))),
            (false, false) => self.quiet = self.quiet.saturating_add(1),
        }
        before != self.is_silent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came in each pulse, and whether the publisher is silent after it: `m` media, `r` reports, `-` nothing.
    fn after(pulses: &str) -> bool {
        let mut hearing = Hearing::default();
        for pulse in pulses.chars() {
            match pulse {
                'm' => hearing.media(),
                'r' => hearing.reports(),
                _ => {}
            }
            let before = hearing.is_silent();
            assert_eq!(hearing.pulse(), before != hearing.is_silent(), "{pulses}");
        }
        hearing.is_silent()
    }

    #[test]
    fn a_publisher_whose_media_breaks_off_is_silent_within_a_second_and_a_half() {
        assert!(!after("mm----"));
        assert!(after("mm-----"));
        assert!(after(&format!("m{}", "-".repeat(300))), "for as long as it lasts");
        assert!(!after("m------m"), "until it is heard again");
        assert!(!after("m------r"));
    }

    #[test]
    fn who_is_muted_sends_reports_alone_and_is_not_silent() {
        let twenty = "-".repeat(20);
        assert!(!after(&format!("m---r{twenty}r{twenty}r{twenty}")));
        assert!(after(&format!("m---r{twenty}------")), "but nobody is that seldom");
        assert!(after(&format!("m---r{twenty}m-----")), "who speaks again has to go on");
    }

    #[test]
    fn who_has_never_sent_media_is_not_silent() {
        assert!(!after(&"-".repeat(300)));
        assert!(!after(&format!("r{}", "-".repeat(300))));
    }
}
