//! The APIs: what their handlers work with, and all their routes put together.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::auth::TokenCache;
use super::limit::tell_limit;
use super::manner::{self, Manner, dress, no_route};
use super::{codechat, cors, document, evolution, ryze, v1, vzaps};
use crate::config::{Config, ConfiguredTokens};
use crate::crypto::Keyring;
use crate::db::{Database, Minutes};
use crate::model::Guard;

/// The manners there are; the first answers what is like none of them.
static MANNERS: [&Manner; 5] = [
    &v1::MANNER,
    &ryze::MANNER,
    &evolution::MANNER,
    &codechat::MANNER,
    &vzaps::MANNER,
];

/// What handlers work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    /// Everything that is kept.
    pub database: Database,
    /// Seals and opens secrets.
    pub keyring: Arc<Keyring>,
    /// What is in force.
    pub config: Arc<Config>,
    /// How clients reach us, without a slash at the end.
    pub public_url: Arc<str>,
    /// Which addresses may be called.
    pub guard: Arc<Guard>,
    /// Tokens that stand in the configuration.
    pub configured: Arc<ConfiguredTokens>,
    /// Tokens that were good a moment ago.
    pub tokens: Arc<TokenCache>,
    /// What time it is in the database, for limits that nobody used.
    pub minutes: Arc<Minutes>,
    /// The largest body that is read.
    pub body_bytes_max: usize,
}

impl Api {
    /// For one process.
    pub fn new(
        database: Database,
        keyring: Arc<Keyring>,
        config: Arc<Config>,
        public_url: &str,
    ) -> Self {
        Self {
            database,
            keyring,
            public_url: public_url.trim_end_matches('/').into(),
            guard: Arc::new(Guard::new(config.egress.allow.clone())),
            configured: Arc::new(ConfiguredTokens::of(&config.api)),
            tokens: Arc::default(),
            minutes: Arc::default(),
            body_bytes_max: config.http.body_bytes_max,
            config,
        }
    }
}

/// The routes of each dialect, with their descriptions.
fn parts() -> [(OpenApiRouter<Api>, &'static Manner); 5] {
    [
        (v1::router(), &v1::MANNER),
        (ryze::router(), &ryze::MANNER),
        (evolution::router(), &evolution::MANNER),
        (codechat::router(), &codechat::MANNER),
        (vzaps::router(), &vzaps::MANNER),
    ]
}

/// The description of all routes, made from their code.
pub fn openapi() -> OpenApi {
    let mut whole = document::beginning();
    for (router, manner) in parts() {
        let mut part = router.into_openapi();
        document::complete(&mut part, manner);
        whole.merge(part);
    }
    document::finish(whole)
}

/// What a path of ours is answered while the process is only starting; none where it is none of ours.
pub(super) fn not_yet(request: &Request) -> Option<Response> {
    manner::not_yet(&MANNERS, request)
}

/// All routes of all dialects.
pub fn router(api: Api) -> Router {
    let mut whole = Router::new();
    for (router, manner) in parts() {
        whole = whole.merge(dress(router.split_for_parts().0, manner));
    }
    whole
        .merge(dress(document::routes(), &v1::MANNER))
        .fallback(|request: Request| no_route(&MANNERS, request))
        // Bodies are read by our own extractor, to a limit of our own.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(api.clone(), |api, request, next| {
            tell_limit(&MANNERS, api, request, next)
        }))
        .layer(from_fn_with_state(api.clone(), cors::allow_origins))
        .with_state(api)
}
