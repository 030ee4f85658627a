//! What a viewer gets and a publisher is asked for.

use contract::id::SessionId;
use contract::layer::{EncodingsWanted, LayerList, LayerRequest};
use service_kit::HttpProblem;
use tokio::sync::{oneshot, watch};

use super::problem::{RETRY_AFTER, internal, no_session};
use super::{Node, SHARD_TIMEOUT};
use crate::shard::{Command, LayerError};

impl Node {
    /// The layers of a viewer's video sections, after `change` if there is one.
    pub(crate) async fn layers(
        &self,
        id: &SessionId,
        change: Option<LayerRequest>,
    ) -> Result<LayerList, HttpProblem> {
        let found = self.registry().session(id).map(|session| (session.key, session.shard));
        let (key, shard) = found.ok_or_else(no_session)?;
        let overloaded = || HttpProblem::unavailable("the server is overloaded", RETRY_AFTER);
        let (reply, answer) = oneshot::channel();
        let command = Command::ChooseLayers { key, change, reply };
        self.shards.get(shard).ok_or_else(internal)?.send(command).map_err(|_| overloaded())?;
        let answer = tokio::time::timeout(SHARD_TIMEOUT, answer).await;
        answer.map_err(|_| overloaded())?.map_err(|_| overloaded())?.map_err(|error| match error {
            LayerError::Ended => no_session(),
            LayerError::NoMedia | LayerError::NoEncoding => HttpProblem::bad_request(error.to_string()),
        })
    }

    /// Which of its encodings a publisher is asked for, now and whenever that changes. Ends with the session.
    pub(crate) fn encodings_wanted(&self, id: &SessionId) -> Option<watch::Receiver<EncodingsWanted>> {
        self.registry().session(id)?.wanted.as_ref().map(watch::Sender::subscribe)
    }
}
