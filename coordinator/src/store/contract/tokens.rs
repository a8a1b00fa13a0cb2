//! What every backend promises of access tokens.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::{Backend, NOW, assert_conflict};
use crate::access::{Change, Role, Secret, Token, TokenEntry, TokenId};
use crate::store::{Reader, Store, Write};

fn entry(role: Role, uses: Option<u64>) -> TokenEntry {
    let secret = Secret::random().unwrap();
    let created = UNIX_EPOCH + Duration::from_micros(1_234_567_890);
    let expires = uses.map(|_| created + Duration::from_secs(3600));
    let (id, digest) = (secret.id().clone(), secret.digest());
    TokenEntry { id, role, name: "a lab's".to_owned(), digest, created, expires, uses }
}

fn made(entry: &TokenEntry) -> Write {
    Write::Access(Change::Created(entry.clone()))
}

fn used(entry: &TokenEntry) -> Write {
    Write::Access(Change::Used(entry.id.clone()))
}

fn registered(token: &TokenId, worker: &str) -> Write {
    Write::Access(Change::Registered { token: token.clone(), worker: worker.to_owned() })
}

pub(crate) fn tokens_are_there_as_they_were_made<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = B::open(folder);
    assert_eq!(reader.tokens().unwrap(), []);
    let later = |entry: TokenEntry, by| TokenEntry { created: entry.created + Duration::from_secs(by), ..entry };
    let entries: Vec<_> =
        (0..).zip(Role::ALL).map(|(by, role)| later(entry(role, (by > 1).then_some(by)), by)).collect();
    store.commit(&entries.iter().map(made).collect::<Vec<_>>(), NOW).unwrap();
    let expected: Vec<_> = entries.iter().cloned().map(Token::new).collect();
    assert_eq!(reader.tokens().unwrap(), expected);
    assert_conflict(store.commit(&[made(&entries[0])], NOW));
    drop((store, reader));
    assert_eq!(B::open(folder).1.tokens().unwrap(), expected);
}

pub(crate) fn a_token_is_used_as_often_as_it_may<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = B::open(folder);
    let (twice, always) = (entry(Role::Worker, Some(2)), entry(Role::Submit, None));
    store.commit(&[made(&twice), made(&always), used(&twice), registered(&twice.id, "w")], NOW).unwrap();
    assert_conflict(store.commit(&[used(&twice)], NOW));
    assert_conflict(store.commit(&[registered(&twice.id, "v")], NOW));
    assert_conflict(store.commit(&[used(&entry(Role::Read, None))], NOW));
    store.commit(&[used(&always), used(&always), used(&always)], NOW).unwrap();
    let tokens = reader.tokens().unwrap();
    let token = tokens.iter().find(|token| token.entry == twice).unwrap();
    assert_eq!((token.used, &*token.workers), (2, &["w".to_owned()][..]));
}

pub(crate) fn a_revoked_token_is_used_no_more_and_speaks_for_nobody<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = B::open(folder);
    let token = entry(Role::Worker, None);
    store.commit(&[made(&token), registered(&token.id, "w")], NOW).unwrap();
    let revoked = |seconds| {
        Write::Access(Change::Revoked { token: token.id.clone(), at: UNIX_EPOCH + Duration::from_secs(seconds) })
    };
    store.commit(&[revoked(5), revoked(9)], NOW).unwrap();
    let stored = reader.tokens().unwrap().swap_remove(0);
    assert_eq!((stored.revoked, stored.workers), (Some(UNIX_EPOCH + Duration::from_secs(5)), vec![]));
    assert_conflict(store.commit(&[registered(&token.id, "w")], NOW));
    let nobody = Change::Revoked { token: entry(Role::Read, None).id, at: UNIX_EPOCH };
    assert_conflict(store.commit(&[Write::Access(nobody)], NOW));
}

pub(crate) fn a_worker_has_one_token<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = B::open(folder);
    let (first, second) = (entry(Role::Worker, None), entry(Role::Worker, None));
    let both = [made(&first), made(&second), registered(&first.id, "w"), registered(&first.id, "v")];
    store.commit(&both, NOW).unwrap();
    store.commit(&[registered(&second.id, "w")], NOW).unwrap();
    let mut workers = |entry: &TokenEntry| {
        let tokens = reader.tokens().unwrap();
        tokens.into_iter().find(|token| token.entry == *entry).unwrap().workers
    };
    assert_eq!((workers(&first), workers(&second)), (vec!["v".to_owned()], vec!["w".to_owned()]));
}
