//! How every backend stores what is not a plain number or text: sets of points as roaring bitmaps in their portable
//! serialisation, with runs; states and roles by number; times in microseconds; records as the bytes of their message.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phasegrid_proto::v1;
use prost::Message;
use roaring::RoaringBitmap;

use crate::access::{Digest, Role, Token, TokenEntry, TokenId};
use crate::scheduler::snapshot::SweepSnapshot;
use crate::scheduler::{Points, SweepState};

/// What was stored cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable(pub(super) String);

pub(super) fn encode(points: &Points) -> Vec<u8> {
    let mut packed = points.clone();
    packed.optimize();
    blob(packed.serialized_size(), |blob| packed.serialize_into(blob))
}

pub(super) fn decode(blob: &[u8]) -> Result<Points, Unreadable> {
    Points::deserialize_from(blob).map_err(|error| Unreadable(format!("a set of points: {error}")))
}

pub(super) fn encode_bitmap(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut packed = bitmap.clone();
    packed.optimize();
    blob(packed.serialized_size(), |blob| packed.serialize_into(blob))
}

pub(super) fn decode_bitmap(blob: &[u8]) -> Result<RoaringBitmap, Unreadable> {
    RoaringBitmap::deserialize_from(blob).map_err(|error| Unreadable(format!("a chunk of points: {error}")))
}

fn blob(size: usize, serialize: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Vec<u8> {
    let mut blob = Vec::with_capacity(size);
    serialize(&mut blob).unwrap_or_else(|error| unreachable!("a vector takes all bytes: {error}"));
    blob
}

pub(super) fn decode_record(point: u64, payload: &[u8]) -> Result<v1::Record, Unreadable> {
    v1::Record::decode(payload).map_err(|error| Unreadable(format!("a record of point {point}: {error}")))
}

/// The state of a sweep, if its parts agree.
pub(super) fn sound(state: SweepSnapshot) -> Result<SweepSnapshot, Unreadable> {
    match state.contradiction() {
        Some(problem) => Err(Unreadable(format!("the state of sweep {}: {problem}", state.key.0))),
        None => Ok(state),
    }
}

/// The number under which a state is stored.
pub(super) fn state_number(state: SweepState) -> u8 {
    match state {
        SweepState::Running => 1,
        SweepState::Completed => 2,
        SweepState::Cancelled => 3,
        SweepState::Paused => 4,
    }
}

/// The state that is stored under a number.
pub(super) fn state(number: i64) -> Result<SweepState, Unreadable> {
    match number {
        1 => Ok(SweepState::Running),
        2 => Ok(SweepState::Completed),
        3 => Ok(SweepState::Cancelled),
        4 => Ok(SweepState::Paused),
        _ => Err(Unreadable(format!("a sweep is in state {number}, which there is not"))),
    }
}

/// The number under which a role is stored.
pub(super) fn role_number(role: Role) -> u8 {
    match role {
        Role::Worker => 1,
        Role::Submit => 2,
        Role::Read => 3,
        Role::Admin => 4,
    }
}

/// An access token as its columns have it.
#[derive(Debug)]
pub(super) struct StoredToken {
    pub(super) id: String,
    pub(super) role: i64,
    pub(super) name: String,
    pub(super) digest: Vec<u8>,
    pub(super) created: SystemTime,
    pub(super) expires: Option<SystemTime>,
    pub(super) uses: Option<u64>,
    pub(super) used: u64,
    pub(super) revoked: Option<SystemTime>,
    pub(super) workers: Vec<String>,
}

impl StoredToken {
    pub(super) fn read(self) -> Result<Token, Unreadable> {
        let Self { id, role, name, digest, created, expires, uses, used, revoked, workers } = self;
        let damaged = |what: &str| Unreadable(format!("the {what} of the token {id:?} is none"));
        let role = Role::ALL.into_iter().find(|known| i64::from(role_number(*known)) == role);
        let entry = TokenEntry {
            id: TokenId::parse(&id).ok_or_else(|| damaged("id"))?,
            role: role.ok_or_else(|| damaged("role"))?,
            name,
            digest: Digest::from_bytes(&digest).ok_or_else(|| damaged("digest"))?,
            created,
            expires,
            uses,
        };
        Ok(Token { entry, used, revoked, workers })
    }
}

pub(super) fn to_micros(time: SystemTime) -> i64 {
    let micros = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    i64::try_from(micros).unwrap_or(i64::MAX)
}

pub(super) fn from_micros(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
