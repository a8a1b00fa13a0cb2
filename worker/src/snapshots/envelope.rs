//! A snapshot as the bytes of an object: `magic ‖ BLAKE3(content) ‖ content`, where the content is the encoded
//! [`v1::Snapshot`]. What was cut short on its way, or is something else altogether, is told from a whole one.

use phasegrid_proto::v1;
use prost::Message as _;

/// Names the format and its version.
const MAGIC: &[u8] = b"phasegrid snapshot 1\n";

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("it does not begin as a snapshot of this version does")]
    Foreign,
    #[error("its checksum does not match its content")]
    Torn,
    #[error("its content cannot be decoded: {0}")]
    Undecodable(#[from] prost::DecodeError),
}

/// Wraps a snapshot up.
pub(super) fn seal(snapshot: &v1::Snapshot) -> Vec<u8> {
    let content = snapshot.encode_to_vec();
    [MAGIC, blake3::hash(&content).as_bytes(), &content].concat()
}

/// Unwraps a snapshot if it is whole.
pub(super) fn open(bytes: &[u8]) -> Result<v1::Snapshot, Damage> {
    let sealed = bytes.strip_prefix(MAGIC).ok_or(Damage::Foreign)?;
    let (checksum, content) = sealed.split_first_chunk::<{ blake3::OUT_LEN }>().ok_or(Damage::Torn)?;
    if blake3::hash(content) != *checksum {
        return Err(Damage::Torn);
    }
    Ok(v1::Snapshot::decode(content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> v1::Snapshot {
        v1::Snapshot { digest: "d".into(), step: 7, weights: vec![1; 400], streak: 2, ..Default::default() }
    }

    #[test]
    fn what_was_sealed_opens_as_it_was() {
        assert_eq!(open(&seal(&snapshot())).unwrap(), snapshot());
    }

    #[test]
    fn no_byte_can_be_lost_or_changed_unnoticed() {
        let whole = seal(&snapshot());
        for length in 0..whole.len() {
            assert!(open(&whole[..length]).is_err(), "cut to {length}");
        }
        for position in 0..whole.len() {
            let mut changed = whole.clone();
            changed[position] ^= 0x10;
            assert!(open(&changed).is_err(), "changed at {position}");
        }
    }

    #[test]
    fn another_format_is_foreign_and_never_decoded() {
        assert!(matches!(open(&snapshot().encode_to_vec()), Err(Damage::Foreign)));
        assert!(matches!(open(b"phasegrid snapshot 2\n"), Err(Damage::Foreign)));
    }
}
