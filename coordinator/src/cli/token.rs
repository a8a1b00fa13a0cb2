//! `token`: who may talk to a coordinator.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use phasegrid_proto::v1;

use crate::access::Role;
use crate::config::parse_duration;
use crate::results::format::Format;
use crate::results::{Cell, Kind};
use crate::rpc::tokens::role_from_wire;

use super::client::Remote;
use super::failure::Failure;
use super::list::{table, time};
use super::output::{print, talk};
use super::table::rendered;

/// Make, list and revoke the tokens that open a coordinator
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  phasegrid token create --role worker --expires-in 30d --uses 64 > worker.token\n  \
    phasegrid token list\n  phasegrid token revoke 0123456789abcdef\n\n\
    It takes an admin's token, but for the first: on an address that others can reach, the coordinator makes that one itself, \
    and says where it lies; on loopback nobody needs one until the first is made, which is to be an admin's. Where it is lost, \
    `phasegrid serve --new-admin-token` writes another."
)]
pub(super) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

impl Token {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Create(create) => create.run().await,
            Command::List(list) => list.run().await,
            Command::Revoke(revoke) => revoke.run().await,
        }
    }
}

/// Make a token; prints it, once
///
/// The coordinator keeps no more than its digest: what is printed cannot be asked for again. Given the addresses of several
/// coordinators, it finds the one that leads by another call, which is a use more of the admin's token.
#[derive(Debug, Args)]
struct Create {
    /// What it is for: worker (computes), submit (creates sweeps, and reads), read, or admin (all that people may do)
    #[arg(long)]
    role: Role,
    /// For people, to tell it from others
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// How long it is valid [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires_in: Option<Duration>,
    /// How often it may be used: workers that it registers (one that comes back under its name is not counted again, and one
    /// that is started again has another name, unless it has a --name), or calls [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    uses: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

impl Create {
    async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let request = v1::CreateTokenRequest {
            role: v1::Role::from(self.role).into(),
            name: self.name,
            lifetime: self.expires_in.and_then(|span| span.try_into().ok()),
            uses: self.uses.unwrap_or_default(),
        };
        let answer = client.ask_once(async |way| way.tokens.create_token(request).await).await?;
        let token = answer.token.unwrap_or_default();
        let until = match time(token.expire_time) {
            never if never.is_empty() => "until it is revoked".to_owned(),
            end => format!("until {end}"),
        };
        let mut stdout = std::io::stdout().lock();
        // Unlike other data this one must arrive, also where the reader has gone.
        if let Err(error) = writeln!(stdout, "{}", answer.secret).and_then(|()| stdout.flush()) {
            talk(&lost(&token.id, self.role));
            return Err(Failure::file("write to", Path::new("stdout"))(error));
        }
        talk(&format!("the token {} of role {} is valid {until}; it is not shown again", token.id, self.role));
        Ok(())
    }
}

/// What to do about a token that was made and that nobody has.
fn lost(id: &str, role: Role) -> String {
    let end = format!("end it with `phasegrid token revoke {id}`, and make another");
    let recover = "if there is no other admin's, start `phasegrid serve --new-admin-token`, which writes one into its data folder";
    match role {
        Role::Admin => format!("the token {id} was made, and nobody has it: {end}; {recover}"),
        _ => format!("the token {id} was made, and nobody has it: {end}"),
    }
}

/// List all tokens that were ever made, without their secrets
#[derive(Debug, Args)]
struct List {
    /// csv, json, parquet or markdown
    #[arg(long, default_value = "markdown")]
    format: Format,
    #[command(flatten)]
    remote: Remote,
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let answer = client.ask(async |way| way.tokens.list_tokens(v1::ListTokensRequest {}).await).await?;
        let tokens = answer.tokens;
        let columns = [
            ("id", Kind::Text),
            ("role", Kind::Text),
            ("name", Kind::Text),
            ("create_time", Kind::Text),
            ("expire_time", Kind::Text),
            ("revoke_time", Kind::Text),
            ("uses", Kind::Integer),
            ("used", Kind::Integer),
        ];
        let row = |token: v1::Token| {
            let limited = token.uses > 0;
            vec![
                Cell::text(token.id.as_str()),
                Cell::text(role(token.role())),
                Cell::text(token.name.as_str()),
                Cell::text(time(token.create_time)),
                Cell::text(time(token.expire_time)),
                Cell::text(time(token.revoke_time)),
                if limited { Cell::integer(token.uses) } else { Cell::Missing },
                Cell::integer(token.used),
            ]
        };
        print(&rendered(&table(&columns, tokens.into_iter().map(row).collect()), self.format)?)
    }
}

/// Let a token open nothing any more
///
/// Workers that it registered are refused, and their work goes to others. Revoking twice is no error.
#[derive(Debug, Args)]
struct Revoke {
    /// The token, as `phasegrid token list` names it
    id: String,
    #[command(flatten)]
    remote: Remote,
}

impl Revoke {
    async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let request = v1::RevokeTokenRequest { id: self.id };
        let answer = client.ask(async |way| way.tokens.revoke_token(request.clone()).await).await?;
        let token = answer.token.unwrap_or_default();
        talk(&format!("the token {} of role {} opens nothing any more", token.id, role(token.role())));
        Ok(())
    }
}

fn lifetime(text: &str) -> Result<Duration, String> {
    parse_duration(text)
}

/// A role's name; empty, if it is one of a later release.
fn role(role: v1::Role) -> &'static str {
    role_from_wire(role).map_or("", Role::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lost_an_admins_token_is_told_how_to_get_in() {
        let way_in = "`phasegrid serve --new-admin-token`";
        assert!(lost("0123456789abcdef", Role::Admin).contains(way_in));
        let worker = lost("0123456789abcdef", Role::Worker);
        assert!(worker.contains("`phasegrid token revoke 0123456789abcdef`") && !worker.contains(way_in), "{worker}");
    }
}
