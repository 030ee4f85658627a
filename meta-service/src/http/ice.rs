//! `/ice-servers`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use contract::rest::{IceServer, IceServers};
use contract::turn::CREDENTIAL_TTL_SECS;
use service_kit::HttpProblem;

use super::{Answer, State};
use crate::auth::Caller;
use crate::http::openapi::IceProblems;
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
pub(crate) async fn read(request: HttpRequest, state: State) -> Answer {
    let user = match state.caller(&request)? {
        Caller::Anonymous => {
            return Err(HttpProblem::unauthorized("this needs a join token or a stream key"));
        }
        Caller::Token(claims) => claims.sub,
        Caller::Key(key) => {
            let hash = key.hash();
            let broadcast = state.store.broadcast_of_key(hash).await.map_err(|error| state.failed(&error))?;
            match broadcast {
                Some(id) => format!("broadcast-{id}"),
                None => {
                    let group = state.store.group_of_key(hash).await.map_err(|error| state.failed(&error))?;
                    group.ok_or_else(|| HttpProblem::unauthorized("the key is not valid"))?.to_string()
                }
            }
        }
    };
    let ice_servers = ice_servers(&state, &state.origin(&request), &user);
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(IceServers { ice_servers, ttl: CREDENTIAL_TTL_SECS }))
}

/// The servers for `user`, with fresh credentials.
pub(crate) fn ice_servers(state: &State, origin: &Origin, user: &str) -> Vec<IceServer> {
    let urls = |urls: &[String]| -> Vec<String> {
        urls.iter().map(|url| url.replace("{host}", origin.host())).collect()
    };
    let mut servers = Vec::new();
    if !state.config.stun_urls.is_empty() {
        servers.push(IceServer { urls: urls(&state.config.stun_urls), username: None, credential: None });
    }
    if !state.config.turn_urls.is_empty() {
        // The user is whatever a token says; the colon separates it from the expiry.
        let user = user.replace(':', "_");
        let credential = state.turn.credential(&user, state.clock.unix().saturating_add(CREDENTIAL_TTL_SECS));
        servers.push(IceServer {
            urls: urls(&state.config.turn_urls),
            username: Some(credential.username),
            credential: Some(credential.password),
        });
    }
    servers
}
