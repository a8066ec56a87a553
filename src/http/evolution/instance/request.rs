//! What `/instance/create` takes: the instance, its settings, and a block for each channel in the spellings of three versions.

use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::super::body::{Block, Channel, read_present};
use crate::crypto::token::may_be_chosen;

/// What an instance may be made for.
const INTEGRATIONS: [&str; 3] = ["WHATSAPP-BAILEYS", "WHATSAPP-BUSINESS", "EVOLUTION"];

/// Switches of an instance, kept and shown.
const SWITCHES: [&str; 6] = [
    "rejectCall",
    "groupsIgnore",
    "alwaysOnline",
    "readMessages",
    "readStatus",
    "syncFullHistory",
];

/// An instance as it is to be.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Its name.
    pub(super) name: String,
    /// Its key, where the caller brings one.
    pub(super) token: Option<SecretString>,
    /// Its number.
    pub(super) number: Option<String>,
    /// What it is made for.
    pub(super) integration: String,
    /// How it is to behave.
    pub(super) settings: Value,
    /// Its channels.
    pub(super) blocks: Vec<(Channel, Block)>,
}

/// Reads a body, or says all that is wrong with it.
pub(super) fn read(body: &Value) -> Result<Wanted, Vec<String>> {
    let Value::Object(body) = body else {
        return Err(vec!["instance is not of a type(s) object".to_owned()]);
    };
    let mut problems = Vec::new();
    let name = text(body, "instanceName", &mut problems);
    if !body.contains_key("instanceName") {
        problems.push("instance requires property \"instanceName\"".to_owned());
    } else if name.as_deref() == Some("") {
        problems.push("The \"instanceName\" cannot be empty".to_owned());
    }
    let number = text(body, "number", &mut problems).filter(|number| !number.is_empty());
    if number.as_deref().is_some_and(|number| !is_number(number)) {
        problems.push("number does not match pattern \"^\\\\d+[\\\\.@\\\\w-]+\"".to_owned());
    }
    let integration = text(body, "integration", &mut problems).filter(|name| !name.is_empty());
    let integration = integration.unwrap_or_else(|| INTEGRATIONS[0].to_owned());
    if !INTEGRATIONS.contains(&integration.as_str()) {
        let known = INTEGRATIONS.join(",");
        problems.push(format!("integration is not one of enum values: {known}"));
    }
    let token = text(body, "token", &mut problems).filter(|token| !token.is_empty());
    if token.as_deref().is_some_and(|token| !may_be_chosen(token)) {
        problems.push("token does not match pattern \"^[!-~]{16,255}$\", or has fewer than 8 different characters; leave it out to have one made up".to_owned());
    }
    let settings = settings(body, &mut problems);
    let mut blocks = Vec::new();
    for channel in Channel::ALL {
        match block(channel, body).map(|object| read_present(channel, &object?)) {
            Some(Ok(block)) => blocks.push((channel, block)),
            Some(Err(wrong)) => problems.extend(wrong),
            None => {}
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Wanted {
        name: name.unwrap_or_default(),
        token: token.map(SecretString::from),
        number,
        integration,
        settings,
        blocks,
    })
}

/// A text, where there is one.
fn text(body: &Map<String, Value>, name: &str, problems: &mut Vec<String>) -> Option<String> {
    match body.get(name) {
        None | Some(Value::Null) if name != "instanceName" => None,
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            problems.push(format!("{name} is not of a type(s) string"));
            None
        }
    }
}

/// A number begins with digits; an address (`5511…@s.whatsapp.net`) may follow.
fn is_number(text: &str) -> bool {
    let rest = text.trim_start_matches(|character: char| character.is_ascii_digit());
    let fits = |character: char| character.is_ascii_alphanumeric() || ".@_-".contains(character);
    rest.len() < text.len() && text.len() >= 2 && text.len() <= 128 && rest.chars().all(fits)
}

/// The settings, off unless they are on.
fn settings(body: &Map<String, Value>, problems: &mut Vec<String>) -> Value {
    let mut settings = Map::new();
    for name in SWITCHES {
        match body.get(name) {
            None | Some(Value::Null) => settings.insert(name.to_owned(), json!(false)),
            Some(Value::Bool(on)) => settings.insert(name.to_owned(), json!(on)),
            Some(_) => {
                problems.push(format!("{name} is not of a type(s) boolean"));
                None
            }
        };
    }
    let message = text(body, "msgCall", problems).unwrap_or_default();
    settings.insert("msgCall".to_owned(), message.into());
    Value::Object(settings)
}

/// The block of a channel, if there is one: under its name, or spread over the body as versions 1.8 and 2.0 had it.
fn block(
    channel: Channel,
    body: &Map<String, Value>,
) -> Option<Result<Map<String, Value>, Vec<String>>> {
    let name = channel.name();
    match body.get(name) {
        Some(Value::Object(object)) => return Some(Ok(object.clone())),
        Some(Value::String(url)) if channel == Channel::Webhook => {
            return (!url.is_empty()).then(|| {
                Ok(gathered(
                    body,
                    &[
                        ("url", "webhook"),
                        ("byEvents", "webhook_by_events"),
                        ("base64", "webhook_base64"),
                        ("events", "events"),
                    ],
                ))
            });
        }
        None | Some(Value::Null) => {}
        Some(_) => return Some(Err(vec![format!("{name} is not of a type(s) object")])),
    }
    let has_url = body
        .get("webhookUrl")
        .and_then(Value::as_str)
        .is_some_and(|url| !url.is_empty());
    if channel == Channel::Webhook && has_url {
        return Some(Ok(gathered(
            body,
            &[
                ("url", "webhookUrl"),
                ("byEvents", "webhookByEvents"),
                ("base64", "webhookBase64"),
                ("headers", "webhookHeaders"),
                ("events", "webhookEvents"),
            ],
        )));
    }
    let is_on = |key: String| body.get(&key) == Some(&Value::Bool(true));
    if is_on(format!("{name}Enabled")) {
        return Some(Ok(gathered(body, &[("events", &format!("{name}Events"))])));
    }
    if is_on(format!("{name}_enabled")) {
        return Some(Ok(gathered(body, &[("events", &format!("{name}_events"))])));
    }
    None
}

/// What stands in a body under other names.
fn gathered(body: &Map<String, Value>, names: &[(&str, &str)]) -> Map<String, Value> {
    let found = names.iter().filter_map(|(name, there)| {
        let value = body.get(*there).filter(|value| !value.is_null())?;
        Some(((*name).to_owned(), value.clone()))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_found_as_each_version_wrote_them() {
        let check = |body: Value, expected: &[(Channel, &str, usize)]| {
            let wanted = read(&body).unwrap();
            let found: Vec<_> = wanted
                .blocks
                .iter()
                .map(|(channel, block)| (*channel, block.url.as_str(), block.events.len()))
                .collect();
            assert_eq!(found, expected, "{body}");
            assert!(wanted.blocks.iter().all(|(_, block)| block.enabled));
        };
        check(
            json!({"instanceName": "x",
                "webhook": {"enabled": false, "url": "https://a.example", "events": ["CALL"]},
                "rabbitmq": {"events": []}}),
            &[
                (Channel::Webhook, "https://a.example", 1),
                (Channel::Rabbitmq, "", 0),
            ],
        );
        check(
            json!({"instanceName": "x", "webhook": "https://a.example", "webhook_by_events": true, "events": ["CALL"],
                "websocket_enabled": true, "websocket_events": ["CALL"], "sqs_enabled": false}),
            &[
                (Channel::Webhook, "https://a.example", 1),
                (Channel::Websocket, "", 1),
            ],
        );
        check(
            json!({"instanceName": "x", "webhookUrl": "https://a.example", "sqsEnabled": true, "webhook": null}),
            &[
                (Channel::Webhook, "https://a.example", 0),
                (Channel::Sqs, "", 0),
            ],
        );
        check(json!({"instanceName": "x", "webhookUrl": ""}), &[]);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let problems = read(&json!({
            "number": "x", "token": "a b", "integration": "TELEGRAM", "rejectCall": 1, "msgCall": 2,
            "webhook": {"url": ""}, "sqs": true,
        }))
        .unwrap_err();
        let beginnings: Vec<_> = problems
            .iter()
            .map(|problem| problem.split(' ').next().unwrap())
            .collect();
        let expected = [
            "instance",
            "number",
            "integration",
            "token",
            "rejectCall",
            "msgCall",
            "The",
            "sqs",
        ];
        assert_eq!(beginnings, expected, "{problems:?}");
        assert!(read(&json!([])).is_err());
        assert!(read(&json!({"instanceName": 1})).is_err());
        assert!(read(&json!({"instanceName": null})).is_err());
    }
}
