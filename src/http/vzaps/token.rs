//! `POST /token`

use std::time::Duration;

use axum::extract::State;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::crypto::token::generate;
use crate::db::administration::{NewToken, TokenKind};
use crate::http::api::Api;
use crate::http::extract::Json;
use crate::http::fault::{Fault, Kind};

/// How long an access token is good. The SDKs fetch another one a minute earlier.
const LIFETIME: Duration = Duration::from_hours(1);

/// Client credentials, made by `postrider token create --vzaps`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct VzapsCredentials {
    /// The public half.
    #[serde(alias = "clientToken")]
    client_token: String,
    /// The secret half.
    #[serde(alias = "clientSecret")]
    #[schema(value_type = String)]
    client_secret: SecretString,
}

/// What they are exchanged for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VzapsAccessToken {
    /// Goes into `Authorization: Bearer …`.
    access_token: String,
    /// How long it is good, in seconds.
    #[schema(example = 3600)]
    expires_in: u64,
    /// How it is sent.
    #[schema(example = "Bearer")]
    token_type: &'static str,
}

/// Exchange client credentials for an access token
///
/// It is good for an hour, and for nothing once the credentials are revoked.
#[utoipa::path(
    post,
    path = "/token",
    operation_id = "vzaps_token",
    request_body = VzapsCredentials,
    responses((status = 200, description = "The access token", body = VzapsAccessToken)),
    security(()),
)]
pub(super) async fn exchange(
    State(api): State<Api>,
    Json(credentials): Json<VzapsCredentials>,
) -> Result<Json<VzapsAccessToken>, Fault> {
    let (client, secret) = (&credentials.client_token, &credentials.client_secret);
    // No credentials have such a name, and Postgres does not even take it.
    let found = if client.contains('\0') {
        None
    } else {
        api.database.authenticate_client(client, secret).await?
    };
    let client = found.ok_or_else(|| {
        let message = "client_token and client_secret do not belong together; make a pair with `postrider token create --vzaps`";
        Fault::new(Kind::Unauthorized, "invalid_credentials", message)
    })?;
    let token = generate(&mut rand::rng());
    let new = NewToken {
        reach: client.reach,
        kind: TokenKind::Access {
            parent: &client.token,
            lifetime: LIFETIME,
        },
        label: None,
        token: &token,
    };
    api.database.create_token(&new).await?;
    Ok(Json(VzapsAccessToken {
        access_token: token.expose_secret().to_owned(),
        expires_in: LIFETIME.as_secs(),
        token_type: "Bearer",
    }))
}
