//! Schemas as tables: a field, what it is, what it means.

use std::fmt::Write as _;

use serde_json::Value;

use super::{escaped, prose};

/// Schemas within schemas are told to this depth.
const DEPTH_MAX: usize = 3;

/// A heading, and the fields of a schema.
pub(super) fn tell(text: &mut String, heading: &str, document: &Value, schema: &Value) {
    let _ = write!(text, "<h4>{heading}</h4>");
    let mut rows = String::new();
    rows_of(&mut rows, document, schema, "", 0);
    if rows.is_empty() {
        let _ = write!(text, "<small>{}</small>", escaped(&kind(schema)));
    } else {
        let _ = write!(text, "<table>{rows}</table>");
    }
}

/// What a value is, in a word or two.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        let words = values.iter().map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        });
        return words.collect::<Vec<_>>().join(", ");
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(parts) = schema[choice].as_array() {
            let known = parts.iter().map(kind).filter(|kind| !kind.is_empty());
            return known.collect::<Vec<_>>().join(" or ");
        }
    }
    let name = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str);
            names.collect::<Vec<_>>().join(" or ")
        }
        _ => "any JSON".to_owned(),
    };
    match name.as_str() {
        "array" => format!("list of {}", kind(&schema["items"])),
        "string" if schema["format"] == "date-time" => "time, RFC 3339".to_owned(),
        _ => name,
    }
}

/// A row for each field.
fn rows_of(rows: &mut String, document: &Value, schema: &Value, within: &str, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    let schema = resolved(document, schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        rows_of(rows, document, part, within, depth);
    }
    if schema["type"] == "array" {
        return rows_of(
            rows,
            document,
            &schema["items"],
            &format!("{within}[]."),
            depth + 1,
        );
    }
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|known| known == name))
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let inner = resolved(document, field);
        let about = [field, inner]
            .into_iter()
            .find_map(|schema| schema["description"].as_str());
        let note = if required(name) {
            ""
        } else {
            " <small>optional</small>"
        };
        let of = if inner["enum"].is_array() {
            inner
        } else {
            field
        };
        let _ = write!(
            rows,
            "<tr><td><code>{}{}</code>{note}<td>{}<td>{}",
            escaped(within),
            escaped(name),
            escaped(&kind(of)),
            prose(about.unwrap_or_default())
        );
        if inner["properties"].is_object() {
            rows_of(
                rows,
                document,
                inner,
                &format!("{within}{name}."),
                depth + 1,
            );
        } else if inner["type"] == "array" {
            rows_of(
                rows,
                document,
                &inner["items"],
                &format!("{within}{name}[]."),
                depth + 1,
            );
        }
    }
}

/// What a reference stands for.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    reference
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(schema)
}
