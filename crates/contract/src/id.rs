//! Ids. A broadcast id is a JSON number (the original pages paste it into a script); every other id is an
//! opaque string with a type prefix.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};

/// Why a string is not an id of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// The prefix of another type, or none.
    #[error("expected an id that starts with `{expected}`")]
    Prefix {
        /// The prefix that was expected, with its underscore.
        expected: &'static str,
    },
    /// Characters outside `[A-Za-z0-9_-]`, an empty rest, or more than [`MAX_ID_LEN`] bytes.
    #[error("an id has 1 to 64 characters of A-Z a-z 0-9 _ -")]
    Characters,
    /// A broadcast id that is not a positive integer.
    #[error("a broadcast id is a positive integer without leading zeros")]
    Number,
}

/// Longest id in bytes, prefix included.
pub const MAX_ID_LEN: usize = 64;

/// Id of a broadcast: a positive integer, at most 2^53 - 1 so that JavaScript holds it exactly. Its text has one
/// form: `01` is no id, so nothing else can stand for broadcast 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct BroadcastId(pub i64);

impl fmt::Display for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BroadcastId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<i64>() {
            Ok(n) if digits && n > 0 && n < (1 << 53) => Ok(Self(n)),
            _ => Err(ParseIdError::Number),
        }
    }
}

impl utoipa::IntoParams for BroadcastId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Int64)));
        let schema = number.minimum(Some(1)).maximum(Some((1_i64 << 53) - 1));
        vec![path_id("Id of the broadcast", schema)]
    }
}

/// The parameter `{id}` of a path.
fn path_id(description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(utoipa::openapi::Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// 128 random bits, base64url without padding: 22 characters.
pub(crate) fn random_128(rng: &mut impl Rng) -> String {
    let mut bytes = [0u8; 16];
    rng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// The type prefix, underscore included.
            pub const PREFIX: &'static str = $prefix;

            /// A new id with 128 random bits.
            pub fn random(rng: &mut impl Rng) -> Self {
                Self(format!("{}{}", $prefix, random_128(rng)))
            }

            /// The whole id, prefix included.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl utoipa::IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                let text = ObjectBuilder::new().schema_type(Type::String);
                vec![path_id("Its id", text.pattern(Some(concat!("^", $prefix, "[A-Za-z0-9_-]{22}$"))))]
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let rest = text.strip_prefix($prefix).ok_or(ParseIdError::Prefix { expected: $prefix })?;
                let fits = !rest.is_empty() && text.len() <= MAX_ID_LEN;
                if fits && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(ParseIdError::Characters)
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

string_id!(
    /// Id of a group call.
    GroupId, "grp_"
);
string_id!(
    /// Id of one joined member of a room.
    ParticipantId, "par_"
);
string_id!(
    /// Id of a published track.
    TrackId, "trk_"
);
string_id!(
    /// Id of an SFU node.
    NodeId, "nod_"
);
string_id!(
    /// Id of a WHIP or WHEP session; it is the secret part of the session URL.
    SessionId, "ses_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcast_ids_are_positive_and_fit_javascript() {
        assert_eq!("17".parse(), Ok(BroadcastId(17)));
        for bad in ["", "0", "01", "-1", "+1", "1.0", " 1", "9007199254740992", "99999999999999999999", "a"] {
            assert_eq!(bad.parse::<BroadcastId>(), Err(ParseIdError::Number), "{bad:?}");
        }
    }

    #[test]
    fn string_ids_keep_their_type() {
        let id = GroupId::random(&mut rand::rng());
        assert_eq!(id.as_str().len(), 4 + 22);
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert_eq!(id.as_str().parse::<NodeId>(), Err(ParseIdError::Prefix { expected: "nod_" }));
        assert_eq!("grp_".parse::<GroupId>(), Err(ParseIdError::Characters));
        assert_eq!("grp_a/b".parse::<GroupId>(), Err(ParseIdError::Characters));
    }
}
