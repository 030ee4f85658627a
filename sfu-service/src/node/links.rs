//! The ICE servers that answers name.

use contract::turn::{CREDENTIAL_TTL_SECS, TurnSecret};

use super::Node;
use crate::bearer;

impl Node {
    /// `Link` values that name the ICE servers; with credentials for `user`, without where nobody is known.
    pub(crate) fn ice_links(&self, user: Option<&str>) -> Vec<String> {
        let secret = &self.config.turn_secret;
        let credential = user.filter(|_| !secret.is_empty()).map(|user| {
            let expiry = service_kit::unix_now() + CREDENTIAL_TTL_SECS;
            // What follows the prefix of a session id is its secret: the relay need not know it.
            let name = bearer::short_name(user);
            TurnSecret::new(secret.reveal().to_owned()).credential(&name, expiry)
        });
        let link = |url: &String| {
            let is_turn = url.starts_with("turn");
            match &credential {
                Some(credential) if is_turn => Some(format!(
                    "<{url}>; rel=\"ice-server\"; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                    credential.username, credential.password
                )),
                None if is_turn && user.is_some() => None,
                _ => Some(format!("<{url}>; rel=\"ice-server\"")),
            }
        };
        self.config.ice_urls.iter().filter_map(link).collect()
    }
}
