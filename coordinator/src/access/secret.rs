//! What the holder of a token sends, and what is kept of it.
//!
//! A secret is 256 bits from the operating system. Nobody guesses or lists those, so its digest needs no salt and no
//! slow function, as a person's password would: one BLAKE3 hash tells nothing of it, and is cheap enough for every call.

use std::fmt;
use std::sync::Arc;

/// Names a token: 16 hexadecimal digits, no secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(Arc<str>);

/// A token as its holder has it. Never shown by accident: what `Debug` writes is its id.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    id: TokenId,
    key: [u8; 32],
}

/// What is kept of a secret. Two are compared in constant time, so that how long a refusal takes tells nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(
    // Its equality is the constant-time one of `blake3::Hash`, by which this type's is derived.
    blake3::Hash,
);

/// What every secret begins with: whoever finds one, be it a scanner of leaked files, knows what it is.
const PREFIX: &str = "phasegrid";

impl TokenId {
    /// The id that is written so, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 16 && text.bytes().all(digit)).then(|| Self(text.into()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Secret {
    /// A new one, with a new id.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let (mut id, mut key) = ([0; 8], [0; 32]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut key)?;
        Ok(Self { id: TokenId(hex(&id).into()), key })
    }

    /// The secret that is written so, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, key) = text.strip_prefix(PREFIX)?.strip_prefix('_')?.split_once('_')?;
        let key = blake3::Hash::from_hex(key).ok()?;
        Some(Self { id: TokenId::parse(id)?, key: *key.as_bytes() })
    }

    /// The token's id.
    #[must_use]
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(blake3::hash(&self.key))
    }

    /// The text that its holder sends: told once, and kept by nobody here.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}_{}_{}", self.id, hex(&self.key))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, …)", self.id)
    }
}

impl Digest {
    /// The digest that is stored as these bytes, if they are one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        blake3::Hash::from_slice(bytes).ok().map(Self)
    }

    /// As it is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_as_it_is_written_and_two_differ() {
        let [first, second] = [Secret::random().unwrap(), Secret::random().unwrap()];
        assert_eq!(Secret::parse(&first.reveal()), Some(first.clone()));
        assert_ne!((first.id(), first.digest()), (second.id(), second.digest()));
        assert_eq!(first.reveal().len(), "phasegrid_".len() + 16 + 1 + 64);
    }

    #[test]
    fn what_is_no_secret_is_none() {
        let whole = Secret::random().unwrap().reveal();
        let short = &whole[..whole.len() - 1];
        let foreign = whole.replace("phasegrid", "other");
        let longer = format!("{whole}0");
        for text in ["", "phasegrid", "phasegrid_0123456789abcdef_", short, &foreign, &longer, &whole.to_uppercase()] {
            assert_eq!(Secret::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_told_by_what_is_logged_or_kept() {
        let secret = Secret::random().unwrap();
        let (shown, kept) = (format!("{secret:?}"), secret.digest());
        let key = &secret.reveal()[27..];
        assert!(!shown.contains(&key[..8]), "{shown}");
        assert_ne!(hex(kept.as_bytes()), key);
        assert_eq!(Digest::from_bytes(kept.as_bytes()), Some(kept));
    }

    #[test]
    fn a_digest_that_differs_in_any_byte_is_another() {
        let digest = Secret::random().unwrap().digest();
        for position in 0..32 {
            let mut bytes = *digest.as_bytes();
            bytes[position] ^= 1;
            assert_ne!(Digest::from_bytes(&bytes), Some(digest.clone()), "byte {position}");
        }
    }
}
