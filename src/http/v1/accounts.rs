//! Accounts: owners of instances. Managed with tokens of the operators' account.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Cursor, Page, size};
use crate::db::administration::Account;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path, Query};
use crate::http::fault::{Fault, Kind};

/// How the database begins to say that names of instances stand in an account's way, not another account.
const NAMES_TAKEN: &str = "an instance of the account";

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(own))
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
struct AccountView {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Whether its account tokens may make and remove accounts.
    operator: bool,
    /// How many instances it has.
    instances: i64,
    /// How many it may have; null: as many as it likes.
    instances_max: Option<i32>,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
            id: account.uid,
            name: account.name,
            operator: account.operator,
            instances: account.instances,
            instances_max: account.instances_max,
            created_at: account.created_at,
        }
    }
}

/// An account to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    /// 1 to 255 characters without slashes, unique. In SQL, names of its instances begin with it: `acme/shop`.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// How many instances it may have.
    #[schema(minimum = 0)]
    instances_max: Option<i32>,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many at most: 1 to 500, else 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// The caller's own account
#[utoipa::path(get, path = "/v1/account", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, description = "The account of the token", body = AccountView)))]
async fn own(State(api): State<Api>, caller: Caller) -> Result<Json<AccountView>, Fault> {
    let account = api.database.account(caller.reach().account).await?;
    let account = account.ok_or_else(|| not_found("of this token"))?;
    Ok(Json(account.into()))
}

/// Lists accounts
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts", security(("bearer" = [])), params(Asked),
    responses((status = 200, description = "A page of accounts", body = Page<AccountView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<AccountView>>, Fault> {
    caller.for_operator()?;
    let size = size(asked.limit)?;
    let after = asked.cursor.map_or(0, |cursor| cursor.0);
    let accounts = api.database.accounts(None, after, size + 1).await?;
    Ok(Json(Page::of(
        accounts,
        size,
        |account| account.id,
        AccountView::from,
    )))
}

/// Creates an account
#[utoipa::path(post, path = "/v1/accounts", tag = "accounts", security(("bearer" = [])),
    responses((status = 201, description = "The account; make it a token next", body = AccountView)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    Json(new): Json<NewAccount>,
) -> Result<(StatusCode, Json<AccountView>), Fault> {
    caller.for_operator()?;
    let id = api.database.create_account(&new.name, new.instances_max).await.map_err(|error| {
        match Fault::from(error) {
            fault if fault.kind == Kind::Conflict && !fault.message.starts_with(NAMES_TAKEN) => {
                Fault { message: format!("there is an account {:?} already", new.name), ..fault }
            }
            fault if fault.kind == Kind::Unacceptable => Fault::invalid(
                "name",
                "name is 1 to 255 characters, without control characters and slashes and without spaces at the ends; instances_max is 0 or more",
            ),
            fault => fault,
        }
    })?;
    let account = api.database.account(id).await?;
    let account = account.ok_or_else(|| not_found(&new.name))?;
    Ok((StatusCode::CREATED, Json(account.into())))
}

/// Shows an account
#[utoipa::path(get, path = "/v1/accounts/{account}", tag = "accounts", security(("bearer" = [])),
    params(("account" = String, Path, description = "Its id")),
    responses((status = 200, description = "The account", body = AccountView)))]
async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(uid): Path<String>,
) -> Result<Json<AccountView>, Fault> {
    caller.for_operator()?;
    Ok(Json(find(&api, &uid).await?.into()))
}

/// Deletes an account with its instances and tokens; what was pending goes to the dead letters
#[utoipa::path(delete, path = "/v1/accounts/{account}", tag = "accounts", security(("bearer" = [])),
    params(("account" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(uid): Path<String>,
) -> Result<StatusCode, Fault> {
    caller.for_operator()?;
    let account = find(&api, &uid).await?;
    if account.operator {
        let message = "this is the operators' account, which stays";
        return Err(Fault::new(Kind::Conflict, "operators_account", message));
    }
    api.database.delete_account(account.id).await?;
    api.tokens.forget();
    Ok(StatusCode::NO_CONTENT)
}

/// The account of this id.
pub(super) async fn find(api: &Api, uid: &str) -> Result<Account, Fault> {
    let mut found = api.database.accounts(Some(uid), 0, 1).await?;
    found.pop().ok_or_else(|| not_found(uid))
}

/// There is none.
fn not_found(named: &str) -> Fault {
    Fault::new(
        Kind::NotFound,
        "account_not_found",
        format!("there is no account {named:?}"),
    )
}
