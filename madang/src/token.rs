//! `madang token`: how an operator lets people in. Tokens are signed with the same secret that every service of a
//! cluster verifies with, so a token made here is good for four binaries too.

use clap::{Args, ValueEnum};
use contract::token::{Role, TokenKeys};

/// Longest lifetime: 10 years. A token cannot be taken back but by rotating the secret.
const MAX_TTL_SECS: u64 = 10 * 365 * 86_400;

/// Print a token for a person who may broadcast, or for an administrator
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// What its holder may do
    kind: Kind,
    /// How long it lives: a number with s, m, h or d
    #[arg(long, default_value = "30d", value_parser = lifetime)]
    ttl: u64,
    /// Whom it is for [default: a random name]
    #[arg(long, value_parser = name)]
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Create broadcasts and groups
    Creator,
    /// Change and close everybody's broadcasts and groups
    Admin,
}

impl Token {
    /// The token, signed with `keys`, for a time that begins at `now` (Unix seconds).
    pub(crate) fn mint(self, keys: &TokenKeys, now: u64) -> String {
        let (role, kind) = match self.kind {
            Kind::Creator => (Role::Creator, "creator"),
            Kind::Admin => (Role::Admin, "admin"),
        };
        // Repeated requests are told apart by subject: two holders must not share one by accident.
        let subject = self.name.unwrap_or_else(|| format!("{kind}_{:016x}", rand::random::<u64>()));
        keys.mint(&subject, role, now, self.ttl)
    }
}

fn name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 characters, none of them a control character".into())
    }
}

fn lifetime(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let seconds = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    match seconds {
        Some(seconds @ 1..=MAX_TTL_SECS) => Ok(seconds),
        _ => Err("a number with s, m, h or d, up to 3650d".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        token: Token,
    }

    fn token(args: &[&str]) -> Result<Token, clap::Error> {
        Flags::try_parse_from([&["token"], args].concat()).map(|flags| flags.token)
    }

    #[test]
    fn a_token_has_the_role_and_the_lifetime_that_were_asked_for() {
        let keys = TokenKeys::new(SECRET, None).unwrap();
        let claims = |args: &[&str]| {
            let token = token(args).unwrap().mint(&keys, 1000);
            keys.verify(&token, 1000).unwrap()
        };
        let creator = claims(&["creator"]);
        assert_eq!((creator.role, creator.exp), (Role::Creator, 1000 + 30 * 86_400));
        assert_ne!(creator.sub, claims(&["creator"]).sub);
        let admin = claims(&["admin", "--ttl", "12h", "--name", "Ann"]);
        assert_eq!((admin.role, admin.exp, admin.sub.as_str()), (Role::Admin, 1000 + 12 * 3600, "Ann"));
    }

    #[test]
    fn nothing_else_is_minted() {
        for args in [
            &["service"] as &[&str],
            &[],
            &["creator", "--ttl", "0s"],
            &["creator", "--ttl", "30"],
            &["creator", "--ttl", "-1d"],
            &["creator", "--ttl", "3651d"],
            &["creator", "--ttl", "18446744073709551615d"],
            &["creator", "--ttl", "1é"],
            &["creator", "--name", ""],
        ] {
            assert!(token(args).is_err(), "{args:?}");
        }
    }
}
