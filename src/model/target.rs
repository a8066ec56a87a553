//! Where an endpoint points: the URL that its owner wrote, looked at before it is kept.
//!
//! The same parser reads it here and where it is used. An address that stands in it is judged by the same rules as when a
//! connection is made; a name is only known then, and judged then.

use std::net::{IpAddr, Ipv4Addr};

use url::{Host, ParseError, Url};

use super::{Guard, Refused};

/// Longer ones are not kept.
const CHARACTERS_MAX: usize = 2048;

/// Why deliveries cannot go there, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitTarget {
    /// Nothing stands there.
    #[error("it is empty: give an http or https URL")]
    Empty,
    /// Too long.
    #[error("it is longer than {CHARACTERS_MAX} characters")]
    TooLong,
    /// The parser would take them out and go where nobody wrote.
    #[error("it has spaces or control characters: percent-encode them")]
    Blanks,
    /// No URL at all.
    #[error("it is not a URL ({0}): give one like https://example.com/webhook")]
    NotAUrl(#[from] ParseError),
    /// Another scheme.
    #[error("only http and https URLs are called, not {0}")]
    Scheme(String),
    /// An address that may not be called.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Checks a URL that deliveries are to go to.
pub fn target(text: &str, guard: &Guard) -> Result<Url, UnfitTarget> {
    if text.is_empty() {
        return Err(UnfitTarget::Empty);
    }
    if text.chars().count() > CHARACTERS_MAX {
        return Err(UnfitTarget::TooLong);
    }
    if text
        .chars()
        .any(|character| character.is_whitespace() || character.is_control())
    {
        return Err(UnfitTarget::Blanks);
    }
    let url = Url::parse(text)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UnfitTarget::Scheme(url.scheme().to_owned()));
    }
    let address = match url.host() {
        None => return Err(ParseError::EmptyHost.into()),
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        // The one name whose address is known beforehand.
        Some(Host::Domain(name)) if is_localhost(name) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(Host::Domain(_)) => return Ok(url),
    };
    guard.check(address)?;
    Ok(url)
}

/// `localhost` and what lies below it, with or without the dot at the end.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_called_is_refused_with_the_reason() {
        let check = |text: &str, expected: &str| {
            let error = target(text, &Guard::default()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        };
        check("", "is empty");
        check(
            &format!("https://a.example/{}", "x".repeat(2048)),
            "longer than 2048",
        );
        check("https://a.example/a b", "percent-encode");
        check("https://a.example/\n", "percent-encode");
        check("a.example/hook", "not a URL");
        check("https://", "not a URL");
        check("ftp://a.example", "not ftp");
        check("javascript:alert(1)", "not javascript");
        check("https://127.0.0.1/", "127.0.0.1 is loopback");
        check("https://0x7f.1/", "127.0.0.1 is loopback");
        check("http://2130706433/", "127.0.0.1 is loopback");
        check("http://[::ffff:10.0.0.1]/", "egress.allow");
        check("http://169.254.169.254/latest", "link-local");
        check("http://LOCALHOST.:8080/", "127.0.0.1 is loopback");
        check("http://a.localhost/", "127.0.0.1 is loopback");
    }

    #[test]
    fn what_the_operator_allows_and_every_other_name_is_taken() {
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        for text in [
            "http://127.0.0.1:9/a?b#c",
            "http://localhost:9/",
            "https://bücher.example/ü'\"--",
        ] {
            assert!(target(text, &guard).is_ok(), "{text}");
        }
        for text in [
            "https://8.8.8.8/",
            "https://localhost.example/",
            "HTTPS://user:pass@a.example",
        ] {
            assert!(target(text, &Guard::default()).is_ok(), "{text}");
        }
    }
}
