//! Media inside an event's data: found where only its URL is given, and put in as base64.
//!
//! The dialects agree on little, so all the places are looked at: `message.media` and `media` (`url`, `s3Url`), `message`
//! (`mediaUrl`) and the event itself (`media_url`, `mediaUrl`). Everything but the base64 keeps its bytes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The key that media stands under.
const BASE64: &str = "base64";

/// Media whose content is not in the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsentMedia {
    /// Where it can be fetched, as the event says.
    pub url: String,
    /// What its content takes the place of: an empty value, or nothing before the end of its object.
    place: Range<usize>,
    /// What goes before the content.
    before: &'static str,
}

/// The media of an event that is given by URL alone, in the order of their places. What is no JSON object has none.
pub fn absent_media(data: &[u8]) -> Vec<AbsentMedia> {
    let mut found = Vec::new();
    let Some(event) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| Object::parse(text, 0))
    else {
        return found;
    };
    found.extend(event.absent(&["media_url", "mediaUrl"]));
    if let Some(message) = event.object("message") {
        found.extend(message.absent(&["mediaUrl", "media_url"]));
        let media = message.object("media");
        found.extend(media.and_then(|media| media.absent(&["s3Url", "url", "mediaUrl"])));
    }
    let media = event.object("media");
    found.extend(media.and_then(|media| media.absent(&["s3Url", "url", "mediaUrl"])));
    found.sort_by_key(|media| media.place.start);
    found
}

/// `data` with these contents, in base64, in their places.
pub fn with_media(data: &[u8], contents: &[(&AbsentMedia, String)]) -> Vec<u8> {
    let room: usize = contents.iter().map(|(_, content)| content.len() + 16).sum();
    let mut whole = Vec::with_capacity(data.len() + room);
    let mut contents: Vec<_> = contents.iter().collect();
    contents.sort_by_key(|(media, _)| media.place.start);
    let mut copied = 0;
    for (media, content) in contents {
        whole.extend_from_slice(&data[copied..media.place.start]);
        whole.extend_from_slice(media.before.as_bytes());
        whole.push(b'"');
        whole.extend_from_slice(content.as_bytes());
        whole.push(b'"');
        copied = media.place.end;
    }
    whole.extend_from_slice(&data[copied..]);
    whole
}

/// A JSON object whose values are not looked into.
struct Object<'a> {
    fields: Fields<'a>,
    /// Where it begins in the event.
    start: usize,
    /// Its text, braces included.
    text: &'a str,
}

impl<'a> Object<'a> {
    /// What begins at `start` of the event, if it is an object.
    fn parse(text: &'a str, start: usize) -> Option<Self> {
        let padding = text.len() - text.trim_start().len();
        let (text, start) = (text.trim(), start + padding);
        let fields = serde_json::from_str(text).ok()?;
        Some(Self {
            fields,
            start,
            text,
        })
    }

    /// The last value of that name, and where it begins in the event: of several the last one counts.
    fn value(&self, name: &str) -> Option<(&'a str, usize)> {
        let mut fields = self.fields.0.iter().rev();
        let value = fields.find(|(key, _)| key == name)?.1.get();
        let offset = value.as_ptr() as usize - self.text.as_ptr() as usize;
        Some((value, self.start + offset))
    }

    /// The object of that name.
    fn object(&self, name: &str) -> Option<Object<'a>> {
        let (text, start) = self.value(name)?;
        Object::parse(text, start)
    }

    /// The media it is about, where a URL is there and no content.
    fn absent(&self, urls: &[&str]) -> Option<AbsentMedia> {
        let url = urls.iter().find_map(|name| {
            let (text, _) = self.value(name)?;
            let url: String = serde_json::from_str(text).ok()?;
            let is_web = url.starts_with("https://") || url.starts_with("http://");
            is_web.then_some(url)
        })?;
        match self.value(BASE64) {
            Some(("null" | "\"\"", start)) => Some(AbsentMedia {
                url,
                before: "",
                place: start..start + self.value(BASE64)?.0.len(),
            }),
            Some(_) => None,
            None => {
                // An object with a URL is not empty, so a comma goes first.
                let end = self.start + self.text.len() - 1;
                Some(AbsentMedia {
                    url,
                    before: ",\"base64\":",
                    place: end..end,
                })
            }
        }
    }
}

/// The names and values of an object, as they stand.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A name that need not be copied where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Name<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        from.deserialize_str(Reader)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, _>()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts `content` into every place found, and compares.
    fn check(data: &str, expected: &str) {
        let found = absent_media(data.as_bytes());
        let contents: Vec<_> = found
            .iter()
            .map(|media| (media, "QUJD".to_owned()))
            .collect();
        let whole = with_media(data.as_bytes(), &contents);
        assert_eq!(std::str::from_utf8(&whole).unwrap(), expected);
        serde_json::from_str::<serde_json::Value>(expected).unwrap();
    }

    #[test]
    fn content_goes_where_each_dialect_looks_for_it_and_all_else_keeps_its_bytes() {
        check(
            r#" {"id":"\u0000", "message" : { "media": {"type":"image","url":"https://a.example/x"} },  "n":1.0 }"#,
            r#" {"id":"\u0000", "message" : { "media": {"type":"image","url":"https://a.example/x","base64":"QUJD"} },  "n":1.0 }"#,
        );
        check(
            r#"{"message":{"imageMessage":{},"mediaUrl":"https://a.example/x" }}"#,
            r#"{"message":{"imageMessage":{},"mediaUrl":"https://a.example/x" ,"base64":"QUJD"}}"#,
        );
        check(
            r#"{"type":"Message","event":{},"media_url":"https://a.example/x"}"#,
            r#"{"type":"Message","event":{},"media_url":"https://a.example/x","base64":"QUJD"}"#,
        );
        check(
            r#"{"media":{"base64": null ,"url":"http://a.example/1"},"message":{"media":{"s3Url":"http://a.example/2","base64":""}}}"#,
            r#"{"media":{"base64": "QUJD" ,"url":"http://a.example/1"},"message":{"media":{"s3Url":"http://a.example/2","base64":"QUJD"}}}"#,
        );
    }

    #[test]
    fn what_has_content_no_url_or_another_shape_is_left_alone() {
        for data in [
            "{}",
            "[]",
            "null",
            "\"media\"",
            r#"[{"media":{"url":"https://a.example/x"}}]"#,
            r#"{"message":"media"}"#,
            r#"{"media":{"url":"https://a.example/x","base64":"AAAA"}}"#,
            r#"{"media":{"url":"/etc/passwd"}}"#,
            r#"{"media":{"url":"file:///etc/passwd"}}"#,
            r#"{"media":{"url":7}}"#,
            r#"{"qrcode":{"url":"https://a.example/x"}}"#,
        ] {
            assert_eq!(absent_media(data.as_bytes()), [], "{data}");
        }
        assert_eq!(absent_media(b"not JSON \xff"), []);
    }

    #[test]
    fn the_copy_in_ones_own_storage_is_fetched_rather_than_the_original() {
        let data = r#"{"media":{"url":"https://a.example/x","s3Url":"https://s3.example/y"}}"#;
        assert_eq!(absent_media(data.as_bytes())[0].url, "https://s3.example/y");
    }
}
