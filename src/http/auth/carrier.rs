//! Where a token may stand in a request.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

/// A place for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `Authorization: Bearer <token>`.
    Bearer,
    /// A header of this name, lower case.
    Header(&'static str),
    /// `?<name>=<token>`; never logged.
    Query(&'static str),
}

impl Carrier {
    /// The token that stands there.
    pub fn token(self, parts: &Parts) -> Option<String> {
        match self {
            Self::Bearer => {
                let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
                let (scheme, token) = value.split_once(' ')?;
                scheme
                    .eq_ignore_ascii_case("bearer")
                    .then(|| token.trim().to_owned())
            }
            Self::Header(name) => Some(parts.headers.get(name)?.to_str().ok()?.trim().to_owned()),
            Self::Query(name) => {
                let query = parts.uri.query()?.as_bytes();
                let mut pairs = url::form_urlencoded::parse(query);
                pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
            }
        }
        .filter(|token| !token.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::Carrier;

    #[test]
    fn a_token_is_found_in_its_place_and_in_no_other() {
        let request = Request::get("/ws/x?token=in%20query&tok=no")
            .header("authorization", "bearer  in-bearer ")
            .header("apikey", "in-header")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let check = |carrier: Carrier, expected: Option<&str>| {
            assert_eq!(carrier.token(&parts).as_deref(), expected, "{carrier:?}");
        };
        check(Carrier::Bearer, Some("in-bearer"));
        check(Carrier::Header("apikey"), Some("in-header"));
        check(Carrier::Header("token"), None);
        check(Carrier::Query("token"), Some("in query"));
        check(Carrier::Query("to"), None);
        let basic = Request::get("/")
            .header("authorization", "Basic x")
            .body(())
            .unwrap();
        assert_eq!(Carrier::Bearer.token(&basic.into_parts().0), None);
    }
}
