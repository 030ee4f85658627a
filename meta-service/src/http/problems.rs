//! What may go wrong with an operation, as the API description says it.

use contract::problem::Problem;
use utoipa::IntoResponses;

/// Declares the problems that an operation answers with.
macro_rules! problems {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $status:literal, $what:literal;)* }) => {
        $(#[$doc])*
        #[derive(IntoResponses)]
        #[allow(dead_code, reason = "only its description is used")]
        pub(crate) enum $name {
            $(
                #[response(status = $status, description = $what, content_type = "application/problem+json")]
                $variant(Problem),
            )*
        }
    };
}

problems!(
    /// Of a list.
    ListProblems {
        BadRequest = 400, "A parameter";
        TooMany = 429, "Too many searches by one person or address";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of the list of groups.
    GroupsProblems {
        BadRequest = 400, "A parameter";
        Unauthorized = 401, "No valid credential";
        Forbidden = 403, "Not with this credential";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of reading one thing.
    ReadProblems {
        NotFound = 404, "There is none";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of a creation.
    CreateProblems {
        BadRequest = 400, "A missing field, a wrong type, a text that is too long";
        Unauthorized = 401, "No valid credential";
        Forbidden = 403, "Not with this credential";
        Timeout = 408, "The body took too long";
        TooLarge = 413, "More than 64 KiB";
        MediaType = 415, "Not JSON";
        Mismatch = 422, "The Idempotency-Key came with another request before, or a plan is too far away";
        TooMany = 429, "Too many by one person or address";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of a change.
    UpdateProblems {
        BadRequest = 400, "A wrong type, a text that is too long";
        Unauthorized = 401, "No valid credential";
        Forbidden = 403, "Not with this credential, or a field that only services set";
        NotFound = 404, "There is none";
        Timeout = 408, "The body took too long";
        Conflict = 409, "The status does not move that way";
        Changed = 412, "It is no longer what If-Match names";
        TooLarge = 413, "More than 64 KiB";
        MediaType = 415, "Not JSON";
        Unprocessable = 422, "A plan that is too far away";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of a change of a group.
    ChangeProblems {
        BadRequest = 400, "A wrong type, a text that is too long, metadata that is too large";
        Unauthorized = 401, "No valid credential";
        Forbidden = 403, "Not with this credential";
        NotFound = 404, "There is none";
        Timeout = 408, "The body took too long";
        Changed = 412, "It is no longer what If-Match names";
        TooLarge = 413, "More than 64 KiB";
        MediaType = 415, "Not JSON";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of replacing a key.
    KeyProblems {
        BadRequest = 400, "What it names is no stream key";
        Unauthorized = 401, "No valid credential";
        Forbidden = 403, "Not with this credential";
        NotFound = 404, "There is none";
        Timeout = 408, "The body took too long";
        Conflict = 409, "The key was replaced meanwhile";
        TooLarge = 413, "More than 64 KiB";
        MediaType = 415, "Not JSON";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of deleting.
    DeleteProblems {
        Unauthorized = 401, "No valid credential";
        Forbidden = 403, "Not with this credential";
        NotFound = 404, "There is none";
        Changed = 412, "It is no longer what If-Match names";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of asking for a token.
    TokenProblems {
        TooMany = 429, "Too many by one person or address";
        BadRequest = 400, "An unknown grant, a name that is too long";
        Unauthorized = 401, "No valid credential";
        Forbidden = 403, "Not with this credential";
        NotFound = 404, "There is none";
        Timeout = 408, "The body took too long";
        TooLarge = 413, "More than 64 KiB";
        MediaType = 415, "Not JSON";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of setting a thumbnail.
    ThumbnailProblems {
        BadRequest = 400, "Not a picture of that type";
        Unauthorized = 401, "No valid credential";
        Forbidden = 403, "Not with this credential";
        NotFound = 404, "There is no such broadcast";
        Timeout = 408, "The body took too long";
        Conflict = 409, "The broadcast is closed";
        TooLarge = 413, "More than 64 KiB";
        MediaType = 415, "Neither JPEG nor WebP";
        Unavailable = 503, "The database is away";
    }
);
problems!(
    /// Of asking for ICE servers.
    IceProblems {
        Unauthorized = 401, "No valid credential";
        Unavailable = 503, "The database is away";
    }
);
