//! The table of public operations: from it the routes are made, and the API description.

use std::sync::Arc;

use actix_web::{FromRequest, Handler, Responder, Route, web};
use utoipa::__dev::SchemaReferences;
use utoipa::openapi::path::Operation as Description;
use utoipa::openapi::{HttpMethod, RefOr, Schema};

use super::{broadcasts, groups, ice, keys, thumbnails, tokens};

/// The public operations: path and method come from the attribute of the handler, `__path_...` is what it generates.
pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation::<broadcasts::__path_list, _, _>(broadcasts::list),
        operation::<broadcasts::__path_create, _, _>(broadcasts::create),
        operation::<broadcasts::__path_read, _, _>(broadcasts::read),
        operation::<broadcasts::__path_update, _, _>(broadcasts::update),
        operation::<broadcasts::__path_delete, _, _>(broadcasts::delete),
        operation::<keys::__path_replace, _, _>(keys::replace),
        operation::<tokens::__path_of_broadcast, _, _>(tokens::of_broadcast),
        operation::<thumbnails::__path_read, _, _>(thumbnails::read),
        operation::<thumbnails::__path_write, _, _>(thumbnails::write),
        operation::<groups::__path_list, _, _>(groups::list),
        operation::<groups::__path_create, _, _>(groups::create),
        operation::<groups::__path_read, _, _>(groups::read),
        operation::<groups::__path_update, _, _>(groups::update),
        operation::<groups::__path_delete, _, _>(groups::delete),
        operation::<tokens::__path_of_group, _, _>(tokens::of_group),
        operation::<ice::__path_read, _, _>(ice::read),
    ]
}

/// A public operation: how it is served, and how it is described.
pub(crate) struct Operation {
    pub(crate) path: String,
    pub(crate) methods: Vec<HttpMethod>,
    pub(crate) description: Description,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(crate) route: Arc<dyn Fn() -> Route + Send + Sync>,
}

fn operation<P, F, Args>(handler: F) -> Operation
where
    P: utoipa::Path + SchemaReferences,
    F: Handler<Args> + Send + Sync,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let mut schemas = Vec::new();
    P::schemas(&mut schemas);
    Operation {
        path: P::path(),
        methods: P::methods(),
        description: P::operation(),
        schemas,
        route: Arc::new(move || web::route().to(handler.clone())),
    }
}
