//! The service for those who decide who may do what.

use std::time::{Duration, SystemTime};

use phasegrid_proto::v1;
use phasegrid_proto::v1::token_service_server::TokenService;
use tonic::{Request, Response, Status};

use super::authorisation::still_may;
use crate::access::{Role, Secret, Token};
use crate::service::{Coordinator, TokenWish};

/// The handlers of `TokenService`.
pub(super) struct Tokens {
    coordinator: Coordinator,
}

impl Tokens {
    pub(super) fn new(coordinator: Coordinator) -> Self {
        Self { coordinator }
    }
}

#[tonic::async_trait]
impl TokenService for Tokens {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let wish = wish(request.into_inner())?;
        let secret = Secret::random().map_err(|error| Status::unavailable(format!("no randomness: {error}")))?;
        let token = self.coordinator.create_token(&secret, wish).await?;
        Ok(Response::new(v1::CreateTokenResponse { token: Some(token.into()), secret: secret.reveal() }))
    }

    async fn list_tokens(&self, _: Request<v1::ListTokensRequest>) -> Result<Response<v1::ListTokensResponse>, Status> {
        let tokens = self.coordinator.tokens().into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListTokensResponse { tokens }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let token = self.coordinator.revoke_token(&request.into_inner().id).await?;
        Ok(Response::new(v1::RevokeTokenResponse { token: Some(token.into()) }))
    }
}

fn wish(request: v1::CreateTokenRequest) -> Result<TokenWish, Status> {
    let role = role_from_wire(request.role());
    let role = role.ok_or_else(|| Status::invalid_argument("role: worker, submit, read and admin are accepted"))?;
    let lifetime = request.lifetime.map(Duration::try_from).transpose();
    let lifetime = lifetime.map_err(|_| Status::invalid_argument("lifetime: a span above zero is accepted"))?;
    Ok(TokenWish { role, name: request.name, lifetime, uses: Some(request.uses).filter(|uses| *uses > 0) })
}

/// The role that a message names, if it names one.
pub(crate) fn role_from_wire(role: v1::Role) -> Option<Role> {
    Role::ALL.into_iter().find(|known| v1::Role::from(*known) == role)
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Worker => Self::Worker,
            Role::Submit => Self::Submit,
            Role::Read => Self::Read,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<Token> for v1::Token {
    fn from(Token { entry, used, revoked, .. }: Token) -> Self {
        let time = |time: Option<SystemTime>| time.map(prost_types::Timestamp::from);
        Self {
            id: entry.id.to_string(),
            role: v1::Role::from(entry.role).into(),
            name: entry.name,
            create_time: time(Some(entry.created)),
            expire_time: time(entry.expires),
            revoke_time: time(revoked),
            uses: entry.uses.unwrap_or_default(),
            used,
        }
    }
}
