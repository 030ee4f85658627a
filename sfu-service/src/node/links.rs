//! The ICE servers that answers name.

use contract::rest::IceServer;
use contract::turn::{CREDENTIAL_TTL_SECS, TurnSecret};

use super::Node;
use crate::bearer;

/// Stands in `ice_urls` for the host of the request.
const HOST: &str = "{host}";

impl Node {
    /// `Link` values that name the ICE servers to a client that reached this node as `host`. TURN servers come with
    /// credentials for `user`, and not at all where nobody is known: browsers refuse a configuration that names
    /// such a server without them.
    pub(crate) fn ice_links(&self, user: Option<&str>, host: Option<&str>) -> Vec<String> {
        let link = |server: IceServer| {
            let url = server.urls.first().map_or("", String::as_str).to_owned();
            match (server.username, server.credential) {
                (Some(username), Some(password)) => format!(
                    "<{url}>; rel=\"ice-server\"; username=\"{username}\"; credential=\"{password}\"; credential-type=\"password\""
                ),
                _ => format!("<{url}>; rel=\"ice-server\""),
            }
        };
        self.ice_servers(user, host).into_iter().map(link).collect()
    }

    /// The same as values, one URL each.
    pub(super) fn ice_servers(&self, user: Option<&str>, host: Option<&str>) -> Vec<IceServer> {
        let secret = &self.config.turn_secret;
        let credential = user.filter(|_| !secret.is_empty()).map(|user| {
            let expiry = service_kit::unix_now() + CREDENTIAL_TTL_SECS;
            // What follows the prefix of a session id is its secret: the relay need not know it.
            let name = bearer::short_name(user);
            TurnSecret::new(secret.reveal().to_owned()).credential(&name, expiry)
        });
        let server = |url: &String| {
            let url = match host {
                Some(host) => url.replace(HOST, host),
                None if url.contains(HOST) => return None,
                None => url.clone(),
            };
            let is_turn = url.starts_with("turn");
            match &credential {
                Some(credential) if is_turn => Some(IceServer {
                    urls: vec![url],
                    username: Some(credential.username.clone()),
                    credential: Some(credential.password.clone()),
                }),
                None if is_turn => None,
                _ => Some(IceServer { urls: vec![url], username: None, credential: None }),
            }
        };
        self.config.ice_urls.iter().filter_map(server).collect()
    }
}
