//! Bodies of our extensions of WHEP and WHIP: which encoding a viewer gets, and which encodings a publisher is asked
//! for. Clients that know nothing of them lose nothing.

use serde::{Deserialize, Serialize};

use crate::source::Source;

/// `rel` of the `Link` in a WHEP answer that names the resource of [`LayerRequest`] and [`LayerList`].
pub const LAYER_REL: &str = "urn:ietf:params:whep:ext:core:layer";
/// `rel` of the `Link` in a WHIP answer that names the stream of server-sent events.
pub const EVENTS_REL: &str = "urn:ietf:params:whip:ext:core:server-sent-events";
/// Name of the server-sent event whose data is [`EncodingsWanted`].
pub const ENCODINGS_EVENT: &str = "encodings";

/// `POST {session}/layer`: what a viewer wants to get. Without `encodingId` and `maxHeight` the server chooses: the
/// best that the line carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerRequest {
    /// The media section (`a=mid`) that is meant; none is every video section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_id: Option<String>,
    /// The publisher's rid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_id: Option<String>,
    /// The best encoding that is not higher than this, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u16>,
    /// Highest temporal layer, 0 being the lowest frame rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_temporal_layer_id: Option<u8>,
    /// Whether the section gets nothing at all; none leaves that as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// Answer to GET and POST of `{session}/layer`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LayerList {
    /// The video sections of the session that carry something.
    pub media: Vec<MediaLayers>,
}

/// One video section of a viewer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaLayers {
    /// Its `a=mid`.
    pub media_id: String,
    /// What it shows.
    pub source: Source,
    /// Whether it was paused by request.
    pub paused: bool,
    /// What was asked for; empty is the server's choice.
    pub wanted: WantedLayer,
    /// What is sent now.
    #[schema(required)]
    pub current: Option<CurrentLayer>,
    /// Why nothing is shown, or less than there is, where that is not by request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
    /// What the publisher offers, in its order.
    pub encodings: Vec<EncodingLayer>,
}

/// What is in the way of a section's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Obstacle {
    /// The publisher sends a codec, or a profile of it, that the viewer did not offer.
    Codec,
    /// The line carries not even the least of the picture: single pictures are sent as far as they fit, or none.
    Line,
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WantedLayer {
    /// As in [`LayerRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_id: Option<String>,
    /// As in [`LayerRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u16>,
    /// As in [`LayerRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_temporal_layer_id: Option<u8>,
}

/// What is sent now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentLayer {
    /// The rid; none without simulcast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_id: Option<String>,
    /// The highest temporal layer that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporal_layer_id: Option<u8>,
}

/// One encoding of a publisher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EncodingLayer {
    /// The rid; none without simulcast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_id: Option<String>,
    /// Whether it flows.
    pub active: bool,
    /// Pixels, once a keyframe has shown them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u16>,
    /// Pixels, once a keyframe has shown them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u16>,
    /// Bits per second, measured over the last second or so.
    pub bitrate: u64,
}

/// Data of the event [`ENCODINGS_EVENT`]: what a publisher is asked to send. An encoding that nobody watches may be
/// switched off until it is wanted again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EncodingsWanted {
    /// The sections that are sent in several encodings.
    pub media: Vec<MediaEncodings>,
}

/// One section of a publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaEncodings {
    /// Its `a=mid`.
    pub media_id: String,
    /// Its encodings.
    pub encodings: Vec<EncodingWanted>,
}

/// One encoding of a publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EncodingWanted {
    /// The rid.
    pub encoding_id: String,
    /// Whether anybody watches it.
    pub wanted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_documentation_says() {
        let parse = serde_json::from_str::<LayerRequest>;
        let auto = parse("{}").unwrap();
        assert_eq!(auto, LayerRequest::default());
        let request =
            parse(r#"{"mediaId":"1","encodingId":"h","maxTemporalLayerId":1,"paused":false}"#).unwrap();
        assert_eq!((request.media_id.as_deref(), request.encoding_id.as_deref()), (Some("1"), Some("h")));
        assert_eq!((request.max_temporal_layer_id, request.paused), (Some(1), Some(false)));
        assert_eq!(parse(r#"{"maxHeight":480}"#).unwrap().max_height, Some(480));
        for bad in [r#"{"height":480}"#, r#"{"maxHeight":-1}"#, r#"{"maxHeight":70000}"#, r#"{"paused":1}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn states_are_what_the_documentation_says() {
        let layers = LayerList {
            media: vec![MediaLayers {
                media_id: "1".into(),
                source: Source::Camera,
                paused: false,
                wanted: WantedLayer { max_height: Some(480), ..WantedLayer::default() },
                current: None,
                obstacle: None,
                encodings: vec![EncodingLayer {
                    encoding_id: Some("f".into()),
                    active: true,
                    width: Some(1280),
                    height: Some(720),
                    bitrate: 1_500_000,
                }],
            }],
        };
        let text = r#"{"media":[{"mediaId":"1","source":"camera","paused":false,"wanted":{"maxHeight":480},"current":null,"encodings":[{"encodingId":"f","active":true,"width":1280,"height":720,"bitrate":1500000}]}]}"#;
        assert_eq!(serde_json::to_string(&layers).unwrap(), text);
        assert_eq!(serde_json::from_str::<LayerList>(text).unwrap(), layers);
    }
}
