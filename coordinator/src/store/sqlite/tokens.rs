//! Access tokens: rows of `token`, and of `token_worker` for the workers that they speak for.

use rusqlite::{Connection, Row, params};

use super::Fault;
use crate::access::{Change, Token, TokenEntry, TokenId};
use crate::store::encoding::{StoredToken, from_micros, role_number, to_micros};

/// Applies a change within a transaction.
pub(super) fn apply(connection: &Connection, change: &Change) -> Result<(), Fault> {
    match change {
        Change::Created(entry) => create(connection, entry),
        Change::Used(token) => take_use(connection, token),
        Change::Registered { token, worker } => {
            take_use(connection, token)?;
            execute(connection, include_str!("sql/register_worker.sql"), [worker, token.as_str()]).map(drop)
        }
        Change::Revoked { token, at } => {
            let row = params![token.as_str(), to_micros(*at)];
            expect_one(connection, include_str!("sql/revoke_token.sql"), row, "there is no such token")?;
            execute(connection, include_str!("sql/forget_token_workers.sql"), [token.as_str()]).map(drop)
        }
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

fn create(connection: &Connection, entry: &TokenEntry) -> Result<(), Fault> {
    let TokenEntry { id, role, name, digest, created, expires, uses } = entry;
    let (created, expires) = (to_micros(*created), expires.map(to_micros));
    let row = params![id.as_str(), role_number(*role), name, digest.as_bytes(), created, expires, uses];
    execute(connection, include_str!("sql/insert_token.sql"), row).map(drop)
}

fn take_use(connection: &Connection, token: &TokenId) -> Result<(), Fault> {
    let otherwise = "the token is revoked or used up";
    expect_one(connection, include_str!("sql/use_token.sql"), [token.as_str()], otherwise)
}

fn execute(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<usize, Fault> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

fn expect_one(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    otherwise: &'static str,
) -> Result<(), Fault> {
    if execute(connection, sql, params)? == 1 { Ok(()) } else { Err(Fault::Conflict(otherwise)) }
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
