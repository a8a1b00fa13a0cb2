//! Access tokens: rows of `token`, and of `token_worker` for the workers that they speak for.

use rusqlite::{Connection, Row, params};

use super::Fault;
use super::write::Group;
use crate::access::{Change, Token, TokenEntry, TokenId};
use crate::store::encoding::{StoredToken, from_micros, role_number, to_micros};

impl Group<'_> {
    /// Applies a change of who has access.
    pub(super) fn change_access(&self, change: &Change) -> Result<(), Fault> {
        match change {
            Change::Created(entry) => self.create_token(entry),
            Change::Used(token) => self.take_use(token),
            Change::Registered { token, worker } => {
                self.take_use(token)?;
                self.execute(include_str!("sql/register_worker.sql"), [worker, token.as_str()]).map(drop)
            }
            Change::Revoked { token, at } => {
                let row = params![token.as_str(), to_micros(*at)];
                self.expect_one(include_str!("sql/revoke_token.sql"), row, "there is no such token")?;
                self.execute(include_str!("sql/forget_token_workers.sql"), [token.as_str()]).map(drop)
            }
        }
    }

    fn create_token(&self, entry: &TokenEntry) -> Result<(), Fault> {
        let TokenEntry { id, role, name, digest, created, expires, uses } = entry;
        let (created, expires) = (to_micros(*created), expires.map(to_micros));
        let row = params![id.as_str(), role_number(*role), name, digest.as_bytes(), created, expires, uses];
        self.execute(include_str!("sql/insert_token.sql"), row).map(drop)
    }

    fn take_use(&self, token: &TokenId) -> Result<(), Fault> {
        let otherwise = "the token is revoked or used up";
        self.expect_one(include_str!("sql/use_token.sql"), [token.as_str()], otherwise)
    }
}

/// All tokens, in the order of their creation.
pub(super) fn load(connection: &Connection) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut statement = connection.prepare_cached(include_str!("sql/load_tokens.sql"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        tokens.push(token(connection, row)?);
    }
    Ok(tokens)
}

fn token(connection: &Connection, row: &Row<'_>) -> Result<Token, Fault> {
    let id: String = row.get(0)?;
    let mut workers = connection.prepare_cached(include_str!("sql/load_token_workers.sql"))?;
    let workers = workers.query_map([&id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let stored = StoredToken {
        id,
        role: row.get(1)?,
        name: row.get(2)?,
        digest: row.get(3)?,
        created: from_micros(row.get(4)?),
        expires: row.get::<_, Option<i64>>(5)?.map(from_micros),
        uses: row.get(6)?,
        used: row.get(7)?,
        revoked: row.get::<_, Option<i64>>(8)?.map(from_micros),
        workers,
    };
    Ok(stored.read()?)
}
