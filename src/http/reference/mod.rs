//! `/docs`: the OpenAPI document as a page to read. Made here, whole: it fetches nothing and runs nothing.

mod schema;

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// How it looks.
const STYLE: &str = include_str!("page.css");

/// The groups of our own API, in the order in which one meets them; the others follow.
const FIRST: [&str; 8] = [
    "accounts",
    "tokens",
    "instances",
    "endpoints",
    "events",
    "deliveries",
    "dead letters",
    "queue",
];

/// What is to be known before the first request.
const INTRODUCTION: &str = r"<p>Send a token with every request: <code>Authorization: Bearer &lt;token&gt;</code>. Make one with
<code>postrider token create</code>; a new installation over its own Postgres has made one and logged where it is kept.</p>
<pre>curl -H 'Authorization: Bearer '$TOKEN http://localhost:8080/v1/instances/shop/events \
  -H 'content-type: application/json' -d '{&quot;type&quot;: &quot;order.paid&quot;, &quot;data&quot;: {&quot;order&quot;: 17}}'</pre>
<p>Lists come in pages: give <code>next_cursor</code> as <code>cursor</code> for the next, while there is one. Problems under
<code>/v1</code> are <code>application/problem+json</code> with a stable <code>code</code>; every response has an
<code>x-request-id</code>, as the log does. The same as <a href=openapi.json>OpenAPI 3.1</a>.</p>";

/// The page.
pub(super) fn page(document: &Value) -> String {
    let groups = groups(document);
    let mut index = String::new();
    let mut text = String::new();
    for (group, operations) in &groups {
        let name = escaped(group);
        // Writing to a String cannot fail.
        let _ = write!(index, "<h2>{name}</h2>");
        let _ = write!(text, "<h2>{name}</h2>");
        for operation in operations {
            operation.list(&mut index);
            operation.tell(&mut text, document);
        }
    }
    let title = escaped(document["info"]["title"].as_str().unwrap_or_default());
    let version = escaped(document["info"]["version"].as_str().unwrap_or_default());
    let about = escaped(document["info"]["description"].as_str().unwrap_or_default());
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>{title}: HTTP APIs</title>\
         <style>{STYLE}</style><nav><strong>{title}</strong> <small>{version}</small>{index}</nav>\
         <main><h1>HTTP APIs</h1><p>{about}</p>{INTRODUCTION}{text}</main></html>"
    )
}

/// One operation of the document.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    described: &'a Map<String, Value>,
}

/// The operations by group.
fn groups(document: &Value) -> Vec<(&str, Vec<Operation<'_>>)> {
    let mut groups: Vec<(&str, Vec<Operation<'_>>)> =
        FIRST.iter().map(|group| (*group, Vec::new())).collect();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, described) in item.as_object().into_iter().flatten() {
            let Some(described) = described.as_object() else {
                continue;
            };
            let tag = described.get("tags").and_then(|tags| tags[0].as_str());
            let tag = tag.unwrap_or("others");
            let operation = Operation {
                method,
                path,
                described,
            };
            match groups.iter_mut().find(|(group, _)| *group == tag) {
                Some((_, operations)) => operations.push(operation),
                None => groups.push((tag, vec![operation])),
            }
        }
    }
    groups.retain(|(_, operations)| !operations.is_empty());
    groups
}

impl Operation<'_> {
    /// Where the page speaks of it.
    fn anchor(&self) -> String {
        let plain = |character: char| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        };
        format!(
            "{}{}",
            self.method,
            self.path.chars().map(plain).collect::<String>()
        )
    }

    /// A text of its description.
    fn text(&self, name: &str) -> String {
        let text = self.described.get(name).and_then(Value::as_str);
        prose(text.unwrap_or_default()).replace("\n\n", "</p><p>")
    }

    /// Its line in the index.
    fn list(&self, index: &mut String) {
        let (method, path) = (self.method, escaped(self.path));
        let _ = write!(
            index,
            "<a href='#{}'><b class='method {method}'>{}</b>{path}</a>",
            self.anchor(),
            method.to_uppercase()
        );
    }

    /// All about it.
    fn tell(&self, text: &mut String, document: &Value) {
        let (method, path) = (self.method, escaped(self.path));
        let _ = write!(
            text,
            "<article id='{}'><h3><b class='method {method}'>{}</b>{path}</h3><p>{}</p><p>{}</p>",
            self.anchor(),
            method.to_uppercase(),
            self.text("summary"),
            self.text("description")
        );
        self.tell_parameters(text);
        let body = self.described.get("requestBody");
        if let Some(schema) = body.map(|body| &body["content"]["application/json"]["schema"]) {
            schema::tell(text, "Body", document, schema);
        }
        self.tell_responses(text, document);
        text.push_str("</article>");
    }

    /// What stands in its path and its query.
    fn tell_parameters(&self, text: &mut String) {
        let parameters = self.described.get("parameters").and_then(Value::as_array);
        let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) else {
            return;
        };
        text.push_str("<h4>Parameters</h4><table>");
        for parameter in parameters {
            let part = |name: &str| escaped(parameter[name].as_str().unwrap_or_default());
            let _ = write!(
                text,
                "<tr><td><code>{}</code><td>{}, {}<td>{}",
                part("name"),
                part("in"),
                escaped(&schema::kind(&parameter["schema"])),
                prose(parameter["description"].as_str().unwrap_or_default())
            );
        }
        text.push_str("</table>");
    }

    /// What it answers. Success with its fields; faults, which are alike, in a line.
    fn tell_responses(&self, text: &mut String, document: &Value) {
        let responses = self.described.get("responses").and_then(Value::as_object);
        let mut faults = Vec::new();
        for (status, response) in responses.into_iter().flatten() {
            if !status.starts_with('2') {
                faults.push(escaped(status));
                continue;
            }
            let said = prose(response["description"].as_str().unwrap_or_default());
            let content = response["content"].as_object();
            let schema = content.and_then(|content| content.values().next());
            let heading = format!("{}: {said}", escaped(status));
            match schema {
                Some(content) => schema::tell(text, &heading, document, &content["schema"]),
                None => {
                    let _ = write!(text, "<h4>{heading}</h4>");
                }
            }
        }
        if !faults.is_empty() {
            let _ = write!(
                text,
                "<h4>Otherwise</h4><small>{}</small>",
                faults.join(" ")
            );
        }
    }
}

/// A description in HTML; what stands between backticks is code.
fn prose(text: &str) -> String {
    let safe = escaped(text);
    let mut parts = safe.split('`');
    let mut told = parts.next().unwrap_or_default().to_owned();
    while let Some(code) = parts.next() {
        let Some(after) = parts.next() else {
            // It has no end.
            told.push('`');
            told.push_str(code);
            break;
        };
        let _ = write!(told, "<code>{code}</code>{after}");
    }
    told
}

/// Text as it stands in HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{page, prose};

    #[test]
    fn what_stands_between_backticks_is_code() {
        assert_eq!(prose("a `b<c` d"), "a <code>b&lt;c</code> d");
        assert_eq!(prose("`a` and ` alone"), "<code>a</code> and ` alone");
    }

    #[test]
    fn what_a_description_says_is_text_and_never_markup() {
        let document = json!({"info": {"title": "<i>"}, "paths": {"/a/{b}": {"get": {"tags": ["t"], "summary": "<script>x</script>",
            "responses": {"200": {"description": "'&\""}}}}}});
        let page = page(&document);
        assert!(!page.contains("<script") && !page.contains("<i>"), "{page}");
        assert!(
            page.contains("&#39;&amp;&quot;") && page.contains("id='get-a--b-'"),
            "{page}"
        );
    }
}
