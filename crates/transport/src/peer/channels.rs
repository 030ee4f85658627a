//! The data channels of a transport: SCTP in the records of its DTLS.

use std::time::Instant;

use super::Transport;
use crate::data::{ChannelConfig, ChannelId, DataChannels, DataError, DataParameters};

impl Transport {
    /// Takes part in data channels, as the SDP of the peer says. Before `Connected`; without this call the transport
    /// keeps nothing for them.
    pub fn enable_data_channels(&mut self, remote: DataParameters, now: Instant) {
        self.data = Some(Box::new(DataChannels::new(remote, self.dtls_client, now)));
    }

    /// Opens a data channel; [`crate::Event::DataChannelOpened`] says when messages may be sent.
    ///
    /// # Errors
    /// [`DataError`]: no data channels here, too many, or too long a name.
    pub fn open_data_channel(&mut self, config: ChannelConfig, now: Instant) -> Result<ChannelId, DataError> {
        let channel = self.data.as_mut().ok_or(DataError::Unavailable)?.open(config)?;
        self.send_sctp(now);
        Ok(channel)
    }

    /// Queues a message of at most [`crate::MAX_MESSAGE_LEN`] bytes.
    ///
    /// # Errors
    /// [`DataError::Full`] when [`crate::MAX_BUFFERED`] bytes wait: what to do then is the caller's choice.
    pub fn send_data(
        &mut self,
        channel: ChannelId,
        bytes: &[u8],
        binary: bool,
        now: Instant,
    ) -> Result<(), DataError> {
        self.data.as_mut().ok_or(DataError::Unavailable)?.send(channel, bytes, binary)?;
        self.send_sctp(now);
        Ok(())
    }

    /// Ends a data channel.
    pub fn close_data_channel(&mut self, channel: ChannelId, now: Instant) {
        if let Some(data) = &mut self.data {
            data.close(channel);
            self.send_sctp(now);
        }
    }

    /// Sends what SCTP has to send, each packet in a record.
    pub(super) fn send_sctp(&mut self, now: Instant) {
        if !self.is_connected() {
            return;
        }
        while let Some(packets) = self.data.as_mut().and_then(|data| data.poll_transmit(now)) {
            for packet in packets {
                self.step_dtls(None, now, |dtls, out| dtls.send(&packet, now, out));
            }
        }
    }
}
