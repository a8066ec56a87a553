//! The HTTP APIs as a test calls them.
//!
//! ```ignore
//! let api = app.api().start().await;                       // `.set("http.body_bytes_max", 2048)` before it configures
//! let made = api.post("/v1/instances").bearer(ACCOUNT).json(&json!({"name": "x"})).send().await;
//! assert_eq!((made.status, &made.json()["name"]), (201, &json!("x")));
//! ```

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use postrider::config::{self, File, Sources};
use postrider::crypto::Keyring;
use postrider::db::{Database, Purpose};
use postrider::http::api::{Api, router};
use postrider::lifecycle::Tasks;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;

use super::app::TestApp;

/// The configured token: it reaches the account `default`, which has what tests create in SQL.
pub(crate) const ACCOUNT: &str = "account-token-of-the-tests";

impl TestApp {
    /// The APIs over this database, to be configured.
    pub(crate) fn api(&self) -> ApiBuilder {
        ApiBuilder {
            options: self.options(),
            settings: BTreeMap::new(),
        }
        .set("api.account_token", format!("'{ACCOUNT}'"))
    }
}

/// What the APIs are to be like.
pub(crate) struct ApiBuilder {
    options: PgConnectOptions,
    settings: BTreeMap<String, String>,
}

impl ApiBuilder {
    /// A key of the configuration, and its value as TOML.
    pub(crate) fn set(mut self, key: &str, value: impl Display) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    /// Starts them in this process, on a port of their own.
    pub(crate) async fn start(self) -> TestApi {
        let lines = self.settings.iter();
        let lines: Vec<String> = lines
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        let sources = Sources {
            file: Some(File {
                name: "test.toml".into(),
                text: lines.join("\n"),
            }),
            ..Sources::default()
        };
        let config = config::load(sources).unwrap().config;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let keyring = Keyring::new(config.encryption.key.as_ref(), &config.encryption.old_keys);
        let api = Api::new(
            Database::open(self.options, Purpose::Api, 10),
            Arc::new(keyring.unwrap()),
            Arc::new(config),
            &format!("http://{address}"),
        );
        // The client speaks no TLS here, but is not built without. One provider for the whole binary is enough.
        drop(rustls::crypto::ring::default_provider().install_default());
        let tasks = Tasks::default();
        let serving = postrider::http::serve(listener, router(api), tasks.hard().clone());
        tasks.serve("http", serving);
        TestApi::at(address, tasks)
    }
}

/// The APIs, listening.
pub(crate) struct TestApi {
    pub(crate) address: SocketAddr,
    tasks: Tasks,
    client: Client,
}

impl TestApi {
    /// Where they listen, and the tasks that end with the test; none of another process.
    pub(crate) fn at(address: SocketAddr, tasks: Tasks) -> Self {
        Self {
            address,
            tasks,
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// A request, to be completed.
    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        let url = format!("http://{}{path}", self.address);
        Call(self.client.request(method, url))
    }

    /// GET.
    pub(crate) fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// POST.
    pub(crate) fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.tasks.shut_down();
        self.tasks.hard().cancel();
    }
}

/// A request.
pub(crate) struct Call(RequestBuilder);

impl Call {
    /// With this token.
    pub(crate) fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    /// With this header.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// With this JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// With these bytes, as JSON or not.
    pub(crate) fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self(
            self.0
                .header("content-type", content_type)
                .body(body.into()),
        )
    }

    /// The answer.
    pub(crate) async fn send(self) -> Answered {
        let response = self.0.send().await.unwrap();
        Answered {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    /// Its body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What its status is called.
    pub(crate) fn reason(&self) -> &'static str {
        let status = reqwest::StatusCode::from_u16(self.status).unwrap();
        status.canonical_reason().unwrap_or_default()
    }

    /// A header; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}
