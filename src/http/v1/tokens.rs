//! Tokens: made, listed and revoked with account tokens. A token is shown once, when it is made.

use axum::extract::State;
use axum::http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accounts;
use super::page::{Cursor, Page, size};
use crate::crypto::token;
use crate::db::administration::{NewToken, Token, TokenKind};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path, Query};
use crate::http::fault::{Fault, Kind};
use crate::model::Reach;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// A token, without the token itself.
#[derive(Debug, Serialize, ToSchema)]
struct TokenView {
    /// Its id, to revoke it by.
    id: String,
    /// account: it reaches all instances of its account; instance: only one.
    scope: &'static str,
    /// The name of its account.
    account: String,
    /// The name of the one instance it reaches.
    instance: Option<String>,
    /// bearer: shown with each request; client: credentials that are exchanged for one at `POST /token`.
    kind: String,
    /// The public half of client credentials.
    client_id: Option<String>,
    /// What its owner calls it.
    label: Option<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it was revoked; null while it is good.
    #[serde(with = "time::serde::rfc3339::option")]
    revoked_at: Option<OffsetDateTime>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.uid,
            scope: if token.instance.is_some() {
                "instance"
            } else {
                "account"
            },
            account: token.account,
            instance: token.instance,
            kind: token.kind,
            client_id: token.client_id,
            label: token.label,
            created_at: token.created_at,
            revoked_at: token.revoked_at,
        }
    }
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
struct MadeToken {
    /// Its id, to revoke it by.
    id: String,
    /// The token. It is shown only now.
    token: String,
    /// account or instance.
    scope: &'static str,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// The name of the one instance it is to reach; else it reaches the whole account.
    instance: Option<String>,
    /// What to call it.
    #[schema(min_length = 1, max_length = 255)]
    label: Option<String>,
    /// For operators: the id of another account to make it for.
    account: Option<String>,
}

/// Which tokens, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// For operators: the id of another account.
    account: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many at most: 1 to 500, else 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Lists tokens, revoked ones too
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", security(("bearer" = [])), params(Asked),
    responses((status = 200, description = "A page of tokens", body = Page<TokenView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<TokenView>>, Fault> {
    caller.for_account()?;
    let reach = reach(&api, &caller, asked.account.as_deref()).await?;
    let size = size(asked.limit)?;
    let after = asked.cursor.map_or(0, |cursor| cursor.0);
    let tokens = api.database.tokens(reach, after, size + 1).await?;
    Ok(Json(Page::of(
        tokens,
        size,
        |token| token.id,
        TokenView::from,
    )))
}

/// Makes a token
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", security(("bearer" = [])),
    responses((status = 201, description = "The token, shown only now", body = MadeToken)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    Json(asked): Json<TokenRequest>,
) -> Result<(StatusCode, Json<MadeToken>), Fault> {
    caller.for_account()?;
    let mut reach = reach(&api, &caller, asked.account.as_deref()).await?;
    if let Some(name) = &asked.instance {
        let found = api.database.find_instance(reach, name).await?;
        let instance = found.ok_or_else(|| Fault::instance_not_found(name))?;
        reach.instance = Some(instance.id);
    }
    let secret = token::generate(&mut rand::rng());
    let new = NewToken {
        reach,
        kind: TokenKind::Bearer,
        label: asked.label.as_deref(),
        token: &secret,
    };
    let made = MadeToken {
        id: api.database.create_token(&new).await?,
        token: secret.expose_secret().to_owned(),
        scope: if reach.is_account() {
            "account"
        } else {
            "instance"
        },
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes a token. Here it is good for nothing at once, in other processes within a second
#[utoipa::path(delete, path = "/v1/tokens/{token}", tag = "tokens", security(("bearer" = [])),
    params(("token" = String, Path, description = "Its id"), AskedAccount),
    responses((status = 204, description = "It is good for nothing any more")))]
async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Path(uid): Path<String>,
    Query(asked): Query<AskedAccount>,
) -> Result<StatusCode, Fault> {
    caller.for_account()?;
    let reach = reach(&api, &caller, asked.account.as_deref()).await?;
    if !api.database.revoke_token(reach, &uid).await? {
        let message =
            format!("there is no token {uid:?} that is still good; GET /v1/tokens lists them");
        return Err(Fault::new(Kind::NotFound, "token_not_found", message));
    }
    api.tokens.forget();
    Ok(StatusCode::NO_CONTENT)
}

/// Whose token.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AskedAccount {
    /// For operators: the id of another account.
    account: Option<String>,
}

/// The caller's own account, or the one that an operator names.
async fn reach(api: &Api, caller: &Caller, account: Option<&str>) -> Result<Reach, Fault> {
    let Some(uid) = account else {
        return Ok(caller.reach());
    };
    caller.for_operator()?;
    let account = accounts::find(api, uid).await?;
    Ok(Reach {
        account: account.id,
        instance: None,
        operator: account.operator,
    })
}
