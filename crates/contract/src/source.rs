//! What a participant publishes.

use serde::{Deserialize, Serialize};

/// Where a track comes from (C4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A camera, or whatever the only video is.
    Camera,
    /// A microphone, or whatever the only audio is.
    Microphone,
    /// A shared screen.
    Screen,
    /// Sound of a shared screen.
    ScreenAudio,
}
