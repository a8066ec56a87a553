//! Who calls: the owner with an access token, or a server with `X-Client-Token` and `X-Instance-Token`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::db::administration::Instance;
use crate::http::api::Api;
use crate::http::auth::{Caller, Carrier};
use crate::http::fault::{Fault, Kind};

/// The public half of the client credentials; with a bearer token it may be left out.
const CLIENT_TOKEN: &str = "x-client-token";

/// A caller whose client token, where one was sent, belongs to the same account.
#[derive(Debug)]
pub(super) struct Owner(Caller);

impl Owner {
    /// The caller, who acts for the whole account: the token of an instance is no substitute here.
    pub(super) fn of_account(&self) -> Result<&Caller, Fault> {
        self.0.for_account()?;
        Ok(&self.0)
    }

    /// The instance of this `VZ…` id.
    pub(super) async fn instance(&self, api: &Api, id: &str) -> Result<Instance, Fault> {
        self.0.instance(api, id).await
    }
}

impl FromRequestParts<Api> for Owner {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Fault> {
        let caller = Caller::from_request_parts(parts, api).await?;
        match Carrier::Header(CLIENT_TOKEN).token(parts) {
            Some(client) => {
                let account = api.database.account_of_client(&client).await?;
                if account != Some(caller.reach().account) {
                    return Err(unauthorized("X-Client-Token is not of this account"));
                }
            }
            None if Carrier::Bearer.token(parts).is_none() => {
                return Err(unauthorized(
                    "X-Instance-Token is taken only together with X-Client-Token",
                ));
            }
            None => {}
        }
        Ok(Self(caller))
    }
}

/// That the tokens are not good together.
fn unauthorized(message: &str) -> Fault {
    Fault::new(Kind::Unauthorized, "invalid_token", message)
}
