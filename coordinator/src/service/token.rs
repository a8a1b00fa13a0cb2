//! Lease tokens: the sweep's id, which no other data folder has, and the epoch. Opaque to workers.

use std::fmt;

/// A token, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) sweep_id: String,
    pub(super) epoch: u64,
}

impl Token {
    pub(super) fn parse(token: &str) -> Option<Self> {
        let (sweep_id, epoch) = token.rsplit_once('.')?;
        // The store counts epochs in 63 bits.
        let epoch = epoch.parse().ok().filter(|epoch| i64::try_from(*epoch).is_ok())?;
        Some(Self { sweep_id: sweep_id.to_owned(), epoch })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sweep_id, self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_as_it_was_written() {
        let token = Token { sweep_id: "a-map-0a1b2c".into(), epoch: 17 };
        assert_eq!(Token::parse(&token.to_string()), Some(token));
    }

    #[test]
    fn what_is_no_token_is_none() {
        assert!(
            ["", "map", "map.", "map.-1", "map.x", "map.9223372036854775808"]
                .iter()
                .all(|text| Token::parse(text).is_none())
        );
    }
}
