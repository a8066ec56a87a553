//! What channels need beside a URL. Stored sealed as a whole, shown with the credentials masked.

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::view::{ChannelName, DialectName};
use crate::http::fault::Fault;
use crate::model::{Guard, target};

/// What stands for a credential.
const MASK: &str = "********";

/// Whose names there are at a broker or in queues.
#[derive(Debug, Deserialize)]
enum Compat {
    /// Those that are documented.
    #[serde(rename = "")]
    Documented,
    /// Those of Evolution API 2.3.
    #[serde(rename = "evolution-2.3")]
    Version23,
}

/// Of a broker.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rabbitmq {
    uri: Option<String>,
    #[serde(rename = "exchange")]
    _exchange: Option<String>,
    #[serde(rename = "compat")]
    _compat: Option<Compat>,
}

/// Of a queue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sqs {
    #[serde(rename = "region")]
    _region: Option<String>,
    #[serde(rename = "account_id")]
    _account_id: Option<String>,
    #[serde(rename = "access_key_id")]
    _access_key_id: Option<String>,
    #[serde(rename = "secret_access_key")]
    _secret_access_key: Option<String>,
    endpoint_url: Option<String>,
    #[serde(rename = "fifo")]
    _fifo: Option<bool>,
    #[serde(rename = "compat")]
    _compat: Option<Compat>,
}

/// Of an app.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pusher {
    #[serde(rename = "app_id")]
    _app_id: String,
    #[serde(rename = "key")]
    _key: String,
    #[serde(rename = "secret")]
    _secret: String,
    #[serde(rename = "cluster")]
    _cluster: Option<String>,
    #[serde(rename = "host")]
    _host: Option<String>,
    #[serde(rename = "port")]
    _port: Option<u16>,
    #[serde(rename = "use_tls")]
    _use_tls: Option<bool>,
}

/// Checks settings, and makes of them what is stored.
pub(super) fn check(
    settings: &Value,
    channel: ChannelName,
    dialect: DialectName,
    guard: &Guard,
) -> Result<SecretString, Fault> {
    match channel {
        ChannelName::Rabbitmq => {
            let broker: Rabbitmq = read(settings)?;
            broker.uri.as_deref().map_or(Ok(()), check_broker)?;
        }
        ChannelName::Sqs => {
            let queue: Sqs = read(settings)?;
            if let Some(url) = &queue.endpoint_url {
                target(url, guard).map_err(|problem| {
                    let place = "settings.endpoint_url";
                    Fault::invalid(place, format!("{place}: {problem}"))
                })?;
            }
        }
        ChannelName::Pusher => {
            let _: Pusher = read(settings)?;
        }
        // What another dialect keeps of its own endpoints is its own business.
        ChannelName::Webhook | ChannelName::Websocket if dialect != DialectName::Postrider => {}
        ChannelName::Webhook | ChannelName::Websocket => {
            let message = "settings: a webhook or websocket endpoint has none; leave them out";
            return Err(Fault::invalid("settings", message));
        }
    }
    Ok(SecretString::from(settings.to_string()))
}

/// As the type of its channel, or what is wrong with it. The values are not repeated: they may be credentials.
fn read<T: DeserializeOwned>(settings: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." {
            "settings".to_owned()
        } else {
            format!("settings.{path}")
        };
        let problem = error.inner().to_string();
        // "invalid type: string \"the value\", expected …" says the value.
        let problem = match problem.split_once(", expected") {
            Some((said, expected))
                if said.starts_with("invalid ") || said.starts_with("unknown variant") =>
            {
                format!("expected{expected}")
            }
            _ => problem,
        };
        Fault::invalid(place.clone(), format!("{place}: {problem}"))
    })
}

/// The address of a broker.
fn check_broker(uri: &str) -> Result<(), Fault> {
    let parsed = Url::parse(uri).ok();
    let known =
        parsed.is_some_and(|uri| matches!(uri.scheme(), "amqp" | "amqps") && uri.has_host());
    if known {
        return Ok(());
    }
    let message = "settings.uri: expected amqps://user:password@host:5671/vhost";
    Err(Fault::invalid("settings.uri", message))
}

/// Settings as they may be shown. None where they are no JSON.
pub(super) fn masked(text: &str) -> Option<Value> {
    let mut settings: Value = serde_json::from_str(text).ok()?;
    mask(&mut settings);
    Some(settings)
}

/// Masks credentials, at any depth.
fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if is_secret(name) && !field.is_null() {
                    *field = shown(field);
                } else {
                    mask(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// Whether a field of this name holds a credential.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "password", "token", "uri", "jwt", "authorization"]
        .iter()
        .any(|part| name.contains(part))
}

/// Of an address all but the password, of anything else nothing.
fn shown(value: &Value) -> Value {
    let address = value.as_str().and_then(|text| Url::parse(text).ok());
    let Some(mut address) = address.filter(Url::has_host) else {
        return MASK.into();
    };
    if address.password().is_some() && address.set_password(Some(MASK)).is_err() {
        return MASK.into();
    }
    address.set_query(None);
    address.to_string().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let text = json!({"uri": "amqp://user:hunter2@host/vhost?auth=hunter2", "secret": "hunter2", "app_id": "1",
            "nested": [{"secret_access_key": "hunter2"}], "cluster": "us2"});
        let shown = masked(&text.to_string()).unwrap();
        assert!(!shown.to_string().contains("hunter2"), "{shown}");
        assert_eq!(
            (&shown["app_id"], &shown["cluster"]),
            (&json!("1"), &json!("us2"))
        );
        assert_eq!(shown["uri"], "amqp://user:********@host/vhost");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        let check = |channel, settings: Value, expected: &str| {
            let fault = check(
                &settings,
                channel,
                DialectName::Postrider,
                &Guard::default(),
            )
            .unwrap_err();
            assert!(fault.message.starts_with(expected), "{}", fault.message);
            assert!(!fault.message.contains("hunter2"), "{}", fault.message);
        };
        check(
            ChannelName::Pusher,
            json!({"app_id": "1"}),
            "settings: missing field `key`",
        );
        check(
            ChannelName::Pusher,
            json!({"app_id": 7, "key": "k", "secret": "hunter2"}),
            "settings.app_id: expected",
        );
        check(
            ChannelName::Sqs,
            json!({"fifo": "hunter2"}),
            "settings.fifo: expected a boolean",
        );
        check(
            ChannelName::Sqs,
            json!({"endpoint_url": "http://10.0.0.1/"}),
            "settings.endpoint_url: ",
        );
        check(
            ChannelName::Rabbitmq,
            json!({"uri": "http://hunter2@x/"}),
            "settings.uri: expected amqps://",
        );
        check(
            ChannelName::Sqs,
            json!({"compat": "hunter2"}),
            "settings.compat: expected `` or `evolution-2.3`",
        );
        check(
            ChannelName::Rabbitmq,
            json!({"compat": "evolution"}),
            "settings.compat: expected `` or `evolution-2.3`",
        );
        check(
            ChannelName::Rabbitmq,
            json!({"url": "x"}),
            "settings.url: unknown field",
        );
        check(ChannelName::Webhook, json!({}), "settings: a webhook");
        check(ChannelName::Sqs, json!([]), "settings: ");
    }
}
