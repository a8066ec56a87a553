//! `POST /instances/list`

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::DIALECT;
use super::super::answer::{VzapsBoth, both};
use super::super::body::{OptionalJson, Page};
use super::super::owner::Owner;
use super::VzapsInstance;
use crate::db::administration::{InstanceOrder, InstanceSearch};
use crate::http::api::Api;
use crate::http::extract::Json;
use crate::http::fault::Fault;

/// Which instances.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http::vzaps) struct VzapsInstanceSearch {
    /// Which page of them; the first is 1.
    #[schema(minimum = 1, maximum = 1_000_000_000, default = 1)]
    page: Option<i64>,
    /// How many of them make a page.
    #[serde(alias = "page_size", alias = "pageSize")]
    #[schema(minimum = 1, maximum = 1000, default = 20)]
    size: Option<i64>,
    /// What narrows them.
    #[serde(default)]
    filter: Filter,
    /// By what they are sorted; otherwise by when they were made.
    sort: Option<Sort>,
    /// The last first.
    #[serde(default, alias = "sortDesc")]
    sort_desc: Option<bool>,
}

/// What narrows them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = VzapsInstanceFilter)]
struct Filter {
    /// A part of the name, or the whole `VZ…` id.
    query: Option<String>,
}

/// By what instances are sorted.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = VzapsInstanceSort)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// By name.
    Name,
    /// By when they were made.
    #[serde(alias = "createdAt")]
    CreatedAt,
    /// By when they last changed.
    #[serde(alias = "updatedAt")]
    UpdatedAt,
}

/// A page of instances.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http::vzaps) struct VzapsInstances {
    /// The number of this page.
    page: i64,
    /// How many make a page.
    size: i64,
    /// How many there are in all.
    total: i64,
    /// How many pages they make.
    total_pages: i64,
    /// This page.
    content: Vec<VzapsInstance>,
    /// About all of them.
    summary: Summary,
}

/// About all instances that were found.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = VzapsInstancesSummary)]
struct Summary {
    /// How many there are.
    total: i64,
}

/// List instances
///
/// Those of the account, the latest first unless the order is said.
#[utoipa::path(
    post,
    path = "/instances/list",
    operation_id = "vzaps_instance_list",
    request_body = Option<VzapsInstanceSearch>,
    responses((status = 200, description = "A page of instances", body = VzapsBoth<VzapsInstances>)),
    security(("bearer" = [])),
)]
pub(in crate::http::vzaps) async fn list(
    State(api): State<Api>,
    owner: Owner,
    OptionalJson(search): OptionalJson<VzapsInstanceSearch>,
) -> Result<Json<VzapsBoth<VzapsInstances>>, Fault> {
    let caller = owner.of_account()?;
    let page = Page::new(search.page, search.size)?;
    let order = match search.sort {
        Some(Sort::Name) => InstanceOrder::Name,
        Some(Sort::CreatedAt) | None => InstanceOrder::CreatedAt,
        Some(Sort::UpdatedAt) => InstanceOrder::UpdatedAt,
    };
    let query = search.filter.query.as_deref().map(str::trim);
    let which = InstanceSearch {
        query: query.filter(|query| !query.is_empty()),
        dialect: DIALECT,
        order,
        // Without a word on it, what was made last comes first.
        descending: search.sort_desc.unwrap_or(search.sort.is_none()),
        range: page.range(),
    };
    let (found, total) = api
        .database
        .search_instances(caller.reach(), &which)
        .await?;
    let content = found.iter().map(|found| {
        let webhook = found.webhook.as_deref().zip(found.events.as_deref());
        VzapsInstance::new(&api, &found.instance, webhook)
    });
    let (page, size, total_pages) = page.counted(total);
    Ok(both(
        200,
        VzapsInstances {
            page,
            size,
            total,
            total_pages,
            content: content.collect(),
            summary: Summary { total },
        },
    ))
}
