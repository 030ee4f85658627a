//! `/ice-servers`.

use actix_web::HttpResponse;
use actix_web::http::header;
use contract::rest::{IceServer, IceServers};
use contract::turn::CREDENTIAL_TTL_SECS;
use service_kit::HttpProblem;

use super::extract::{Client, Meta};
use super::failure::Answer;
use super::problems::IceProblems;
use crate::auth::Caller;
use service_kit::client::Origin;

/// Get ICE servers
///
/// STUN and TURN servers with credentials that live 12 hours, for the holder of a join token, a stream key or an
/// owner key. Renew them before they end.
#[utoipa::path(
    get, path = "/ice-servers", tag = "tokens", operation_id = "read_ice_servers",
    responses((status = 200, description = "The servers", body = IceServers), IceProblems),
    security(("bearer" = []))
)]
pub(crate) async fn read(meta: Meta, caller: Caller, client: Client) -> Answer {
    let user = match caller {
        Caller::Anonymous => {
            return Err(
                HttpProblem::unauthorized("this needs a join token, a stream key or an owner key").into()
            );
        }
        Caller::Token(claims) => claims.sub,
        Caller::Key(key) => {
            let hash = key.hash();
            match meta.store.broadcasts.of_key(hash).await? {
                Some(id) => format!("broadcast-{id}"),
                None => {
                    let group = meta.store.groups.of_key(hash).await?;
                    group.ok_or_else(|| HttpProblem::unauthorized("the key is not valid"))?.to_string()
                }
            }
        }
    };
    let ice_servers = ice_servers(&meta, &client.origin, &user);
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(IceServers { ice_servers, ttl: CREDENTIAL_TTL_SECS }))
}

/// The servers for `user`, with fresh credentials.
pub(crate) fn ice_servers(meta: &Meta, origin: &Origin, user: &str) -> Vec<IceServer> {
    let urls = |urls: &[String]| -> Vec<String> {
        urls.iter().map(|url| url.replace("{host}", origin.host())).collect()
    };
    let mut servers = Vec::new();
    if !meta.config.stun_urls.is_empty() {
        servers.push(IceServer { urls: urls(&meta.config.stun_urls), username: None, credential: None });
    }
    if !meta.config.turn_urls.is_empty() {
        // The user is whatever a token says; the colon separates it from the expiry.
        let user = user.replace(':', "_");
        let credential = meta.turn.credential(&user, meta.clock.unix().saturating_add(CREDENTIAL_TTL_SECS));
        servers.push(IceServer {
            urls: urls(&meta.config.turn_urls),
            username: Some(credential.username),
            credential: Some(credential.password),
        });
    }
    servers
}
