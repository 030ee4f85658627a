//! Why the database did not do something, and what the databases' codes mean.

/// Why the database did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database is away, saturated or too slow. Trying again later can help.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database answers and takes no changes: its disk is full, or it is read-only.
    #[error("the database takes no changes: {0}")]
    Unwritable(String),
    /// A statement failed, or a row does not mean anything.
    #[error("the database refused: {0}")]
    Failed(String),
}

/// Why there is no database to start with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The setting is no database of a known kind.
    #[error("the setting of the database: {0}")]
    Url(String),
    /// It cannot be reached or opened.
    #[error("cannot open the database: {0}")]
    Connect(#[source] sqlx::Error),
    /// Its schema cannot be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The lock beside a SQLite file.
    #[error("cannot lock {path}: {source}")]
    Lock {
        /// The lock file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let text = error.to_string();
        match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => {
                Self::Unavailable(text)
            }
            E::Database(database) => match database.code() {
                Some(code) if is_unwritable(&code) => Self::Unwritable(text),
                Some(code) if is_passing(&code) => Self::Unavailable(text),
                _ => Self::Failed(text),
            },
            _ => Self::Failed(text),
        }
    }
}

/// Codes that say that nothing can be written: Postgres SQLSTATE 53100 (disk full), 25006 (read-only, a standby), 58030
/// (I/O error); SQLite READONLY (8), IOERR (10), FULL (13) with their extended codes.
fn is_unwritable(code: &str) -> bool {
    matches!(code, "53100" | "25006" | "58030")
        || (code.len() != 5 && matches!(primary(code), Some(8 | 10 | 13)))
}

/// Codes after which the same statement may work: Postgres SQLSTATE classes 08 (connection), 53 (resources),
/// 57 (shutdown, statement timeout), 40001 and 40P01 (serialisation, deadlock); SQLite BUSY (5), LOCKED (6), CANTOPEN
/// (14) with their extended codes.
fn is_passing(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "53", "57"].iter().any(|class| code.starts_with(class))
            || matches!(code, "40001" | "40P01");
    }
    matches!(primary(code), Some(5 | 6 | 14))
}

/// The primary code of a SQLite result code.
fn primary(code: &str) -> Option<u32> {
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_whether_a_retry_or_an_operator_helps() {
        for code in ["57P01", "57014", "08006", "53300", "40P01", "5", "261", "6", "14"] {
            assert!(is_passing(code) && !is_unwritable(code), "{code}");
        }
        for code in ["53100", "25006", "8", "1032", "10", "778", "13"] {
            assert!(is_unwritable(code), "{code}");
        }
        for code in ["23505", "42P01", "22021", "1", "19", "2067", ""] {
            assert!(!is_passing(code) && !is_unwritable(code), "{code}");
        }
    }
}
