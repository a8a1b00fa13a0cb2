//! Claims about tokens and the workers that they speak for.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn entry(secret: &Secret, role: Role, uses: Option<u64>) -> TokenEntry {
    let (id, digest) = (secret.id().clone(), secret.digest());
    TokenEntry { id, role, name: String::new(), digest, created: at(0), expires: Some(at(100)), uses }
}

/// A book with one token that expires at 100 s.
fn book(role: Role, uses: Option<u64>) -> (Book, Secret) {
    let (mut book, secret) = (Book::default(), Secret::random().unwrap());
    book.insert(entry(&secret, role, uses));
    (book, secret)
}

fn caller(secret: &Secret) -> Caller {
    Caller::Holder(secret.id().clone(), Role::Worker)
}

#[test]
fn a_token_is_asked_for_once_there_was_one() {
    let mut empty = Book::default();
    assert!(!empty.is_required());
    empty.require();
    assert!(empty.is_required());
    let (mut book, secret) = book(Role::Admin, None);
    book.revoke(secret.id(), at(1));
    assert!(book.is_required() && !book.has_admin(at(2)));
}

#[test]
fn a_token_opens_until_it_expires_or_is_revoked() {
    let (mut book, secret) = book(Role::Read, None);
    let sent = secret.reveal();
    assert_eq!(book.identify(Some(&sent), at(99)), Ok(Caller::Holder(secret.id().clone(), Role::Read)));
    assert_eq!(book.identify(Some(&sent), at(100)), Err(Denied::Expired(secret.id().clone())));
    book.revoke(secret.id(), at(5));
    assert_eq!(book.identify(Some(&sent), at(6)), Err(Denied::Revoked(secret.id().clone())));
}

#[test]
fn what_is_not_the_tokens_secret_opens_nothing() {
    let (book, secret) = book(Role::Admin, None);
    let id = secret.id();
    let forged = format!("phasegrid_{id}_{}", "0".repeat(64));
    assert_eq!(book.identify(Some(&forged), at(0)), Err(Denied::Unknown));
    assert_eq!(book.identify(Some(&Secret::random().unwrap().reveal()), at(0)), Err(Denied::Unknown));
    assert_eq!(book.identify(Some(id.as_str()), at(0)), Err(Denied::Malformed));
    assert_eq!(book.identify(None, at(0)), Err(Denied::Missing));
}

#[test]
fn a_token_is_used_as_often_as_it_may_and_no_more() {
    let (mut book, secret) = book(Role::Submit, Some(2));
    let used = Ok(Some(Change::Used(secret.id().clone())));
    assert_eq!(book.take_use(secret.id(), at(0)), used);
    assert_eq!(book.take_use(secret.id(), at(0)), used);
    assert_eq!(book.take_use(secret.id(), at(0)), Err(Denied::UsedUp(secret.id().clone())));
}

#[test]
fn a_worker_that_registers_again_is_no_further_use() {
    let (mut book, secret) = book(Role::Worker, Some(1));
    let change = book.register(secret.id(), "w", at(0)).unwrap().unwrap();
    assert_eq!(change, Change::Registered { token: secret.id().clone(), worker: "w".to_owned() });
    assert_eq!(book.register(secret.id(), "w", at(1)), Ok(None));
    assert_eq!(book.register(secret.id(), "other", at(1)), Err(Denied::UsedUp(secret.id().clone())));
    assert_eq!(book.speaks_for(&caller(&secret), "w", at(1)), Ok(true));
}

#[test]
fn a_worker_is_its_tokens_alone_until_that_opens_nothing_any_more() {
    let (mut book, first) = book(Role::Worker, None);
    let second = Secret::random().unwrap();
    book.insert(TokenEntry { expires: None, ..entry(&second, Role::Worker, None) });
    book.register(first.id(), "w", at(0)).unwrap();
    assert_eq!(book.register(second.id(), "w", at(1)), Err(Denied::NotYours("w".to_owned())));
    assert_eq!(book.speaks_for(&caller(&second), "w", at(1)), Err(Denied::NotYours("w".to_owned())));
    // At 100 s the first expires.
    assert_eq!(book.speaks_for(&caller(&first), "w", at(100)), Err(Denied::Expired(first.id().clone())));
    assert!(book.register(second.id(), "w", at(100)).unwrap().is_some());
    assert_eq!(book.speaks_for(&caller(&second), "w", at(101)), Ok(true));
    book.revoke(second.id(), at(102));
    assert_eq!(book.speaks_for(&caller(&second), "w", at(103)), Err(Denied::Revoked(second.id().clone())));
}

#[test]
fn a_book_is_what_was_stored_of_it() {
    let secret = Secret::random().unwrap();
    let stored = Token { used: 1, workers: vec!["w".to_owned()], ..Token::new(entry(&secret, Role::Worker, Some(1))) };
    let mut book = Book::restore(vec![stored.clone()]);
    assert_eq!(book.tokens(), [stored]);
    assert_eq!(book.speaks_for(&caller(&secret), "w", at(0)), Ok(true));
    assert_eq!(book.register(secret.id(), "v", at(0)), Err(Denied::UsedUp(secret.id().clone())));
}
