//! The OpenAPI document as tests walk it: every route, and a request for it that the route would accept.

use serde_json::{Map, Value, json};

/// One operation of the document.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// GET, POST …
    pub(crate) method: reqwest::Method,
    /// `/v1/endpoints/{endpoint}`.
    pub(crate) path: String,
    /// What stands in braces.
    pub(crate) path_parameters: Vec<String>,
    /// What may stand in the query.
    pub(crate) query_parameters: Vec<String>,
    /// The schema of its body, where it takes one.
    pub(crate) body: Option<Value>,
    /// Whether it asks for a token.
    pub(crate) asks_for_token: bool,
}

/// The whole document.
pub(crate) fn document() -> Value {
    serde_json::to_value(postrider::http::api::openapi()).unwrap()
}

/// The operation that another role serves; its own tests are `realtime`.
pub(crate) const STREAM: &str = "/v1/instances/{instance}/stream";

/// All operations of the role `api`.
pub(crate) fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    let paths = document["paths"].as_object().unwrap().iter();
    for (path, item) in paths.filter(|(path, _)| *path != STREAM) {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse() else {
                continue;
            };
            if !operation["responses"].is_object() {
                continue;
            }
            let parameters = |place: &str| {
                let all = operation["parameters"].as_array().into_iter().flatten();
                let those = all.filter(|parameter| parameter["in"] == place);
                those
                    .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                    .collect()
            };
            let in_braces = path.split('{').skip(1);
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            found.push(Operation {
                method,
                path: path.clone(),
                path_parameters: in_braces
                    .map(|part| part.split('}').next().unwrap().to_owned())
                    .collect(),
                query_parameters: parameters("query"),
                body: body.is_object().then(|| body.clone()),
                asks_for_token: operation["security"]
                    .as_array()
                    .is_some_and(|schemes| schemes.iter().all(|scheme| scheme != &json!({})))
                    && operation["security"][0].is_object(),
            });
        }
    }
    assert!(found.len() > 20, "the document has hardly any routes");
    found
}

/// A value that a schema accepts: its required fields, and no others.
pub(crate) fn sample(document: &Value, schema: &Value) -> Value {
    let schema = resolved(document, schema);
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        let parts = schema[choice].as_array().into_iter().flatten();
        let mut parts = parts.filter(|part| part["type"] != "null");
        if choice == "allOf" {
            let mut merged = Map::new();
            for part in parts {
                if let Value::Object(fields) = sample(document, part) {
                    merged.extend(fields);
                }
            }
            if !merged.is_empty() {
                return merged.into();
            }
        } else if let Some(first) = parts.next() {
            return sample(document, first);
        }
    }
    let kind = schema["type"]
        .as_str()
        .or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten();
            let names = required.map(|name| name.as_str().unwrap());
            names
                .map(|name| {
                    (
                        name.to_owned(),
                        sample(document, &schema["properties"][name]),
                    )
                })
                .collect::<Map<_, _>>()
                .into()
        }
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            (0..least)
                .map(|_| sample(document, &schema["items"]))
                .collect::<Vec<_>>()
                .into()
        }
        Some("integer" | "number") => schema["minimum"]
            .as_i64()
            .map_or(json!(1), |least| json!(least)),
        Some("boolean") => json!(true),
        Some("string") if schema["format"] == "date-time" => json!("2020-01-01T00:00:00Z"),
        Some("string") if schema["format"] == "uri" => json!("https://example.com/sample"),
        Some("string") => json!("sample"),
        _ => json!({}),
    }
}

/// The names of a schema's fields, and their schemas.
pub(crate) fn fields(document: &Value, schema: &Value) -> Vec<(String, Value)> {
    let schema = resolved(document, schema);
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, field)| (name.clone(), resolved(document, field)))
        .collect()
}

/// What a reference stands for.
fn resolved(document: &Value, schema: &Value) -> Value {
    match schema["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .unwrap()
            .clone(),
        None => schema.clone(),
    }
}
