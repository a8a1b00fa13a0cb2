//! Access tokens: rows of `token`, and of `token_worker` for the workers that they speak for.

use tokio_postgres::Row;

use super::session::Step;
use super::values::{nullable, value};
use super::{Fault, int, number};
use crate::access::{Change, Token, TokenEntry, TokenId};
use crate::store::encoding::{StoredToken, from_micros, role_number, to_micros};

/// The steps of a change.
pub(super) fn apply(change: &Change, steps: &mut Vec<Step>) {
    match change {
        Change::Created(entry) => steps.push(create(entry)),
        Change::Used(token) => steps.push(take_use(token)),
        Change::Registered { token, worker } => {
            let row = [value(worker.as_str()), value(token.as_str())];
            steps.extend([take_use(token), Step::new(include_str!("sql/register_worker.sql"), row)]);
        }
        Change::Revoked { token, at } => {
            let row = [value(token.as_str()), value(to_micros(*at))];
            let revoke = Step::new(include_str!("sql/revoke_token.sql"), row);
            let forget = Step::new(include_str!("sql/forget_token_workers.sql"), [value(token.as_str())]);
            steps.extend([revoke.expecting(1, "there is no such token"), forget]);
        }
    }
}

/// Asks for all tokens, in the order of their creation.
pub(super) fn all() -> Step {
    Step::plain(include_str!("sql/load_tokens.sql"))
}

/// A token that was asked for.
pub(super) fn token(row: &Row) -> Result<Token, Fault> {
    let stored = StoredToken {
        id: row.try_get(0)?,
        role: row.try_get(1)?,
        name: row.try_get(2)?,
        digest: row.try_get(3)?,
        created: from_micros(row.try_get(4)?),
        expires: row.try_get::<_, Option<i64>>(5)?.map(from_micros),
        uses: row.try_get::<_, Option<i64>>(6)?.map(number).transpose()?,
        used: number(row.try_get(7)?)?,
        revoked: row.try_get::<_, Option<i64>>(8)?.map(from_micros),
        workers: row.try_get(9)?,
    };
    Ok(stored.read()?)
}

fn create(entry: &TokenEntry) -> Step {
    let TokenEntry { id, role, name, digest, created, expires, uses } = entry;
    let row = [
        value(id.as_str()),
        value(u64::from(role_number(*role))),
        value(name.as_str()),
        value(digest.as_bytes().to_vec()),
        value(to_micros(*created)),
        nullable(expires.map(to_micros)),
        nullable(uses.map(int)),
    ];
    Step::new(include_str!("sql/insert_token.sql"), row)
}

fn take_use(token: &TokenId) -> Step {
    let step = Step::new(include_str!("sql/use_token.sql"), [value(token.as_str())]);
    step.expecting(1, "the token is revoked or used up")
}
