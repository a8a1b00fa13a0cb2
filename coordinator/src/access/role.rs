//! What a token is for.

use std::fmt;
use std::str::FromStr;

/// What [`Role::from_str`] takes.
const ROLES: &str = "worker, submit, read or admin";

/// What a token is for. Which calls that allows stands in one table, `rpc/roles.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Computes, and nothing else.
    Worker,
    /// Creates sweeps, cancels, pauses, resumes, ranks and retries them, and reads.
    Submit,
    /// Looks.
    Read,
    /// Whatever people may do, tokens included.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Submit, Self::Read, Self::Admin];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|role| role.name() == text);
        known.ok_or_else(|| format!("{ROLES} is accepted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_reads_as_it_is_written_and_nothing_else_is_one() {
        assert!(Role::ALL.iter().all(|role| role.to_string().parse() == Ok(*role)));
        assert_eq!("root".parse::<Role>(), Err("worker, submit, read or admin is accepted".to_owned()));
    }
}
