//! Names to addresses, the forbidden ones taken out. This runs when a connection is made, so a name that changes its address
//! between a check and the use of it (DNS rebinding) gains nothing: the check *is* the use.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::model::{Guard, Refused};

/// A name without an address. The cause is the resolver's own words.
#[derive(Debug, thiserror::Error)]
#[error("the name {name} does not resolve")]
pub struct Unresolved {
    /// The name.
    pub name: String,
    /// What the resolver said; none where it knew the name, but no address for it.
    #[source]
    pub cause: Option<std::io::Error>,
}

/// The system's resolver behind the guard.
#[derive(Clone)]
pub(super) struct GuardedResolver {
    pub(super) guard: Arc<Guard>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        Box::pin(async move {
            // Port 0 stands for "the scheme's or the URL's", which the connector fills in.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|cause| Unresolved {
                name: name.as_str().to_owned(),
                cause: Some(cause),
            })?;
            let allowed = permitted(&guard, found)?.ok_or_else(|| Unresolved {
                name: name.as_str().to_owned(),
                cause: None,
            })?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be called; a refusal where there are only others; none where there are none at all.
fn permitted(
    guard: &Guard,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Option<Vec<SocketAddr>>, Refused> {
    let mut allowed = Vec::new();
    let mut refused = None;
    for address in found {
        match guard.check(address.ip()) {
            Ok(()) => allowed.push(address),
            Err(refusal) => refused = Some(refusal),
        }
    }
    match (allowed.is_empty(), refused) {
        (true, Some(refusal)) => Err(refusal),
        (true, None) => Ok(None),
        (false, _) => Ok(Some(allowed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_names_addresses_only_the_permitted_ones_are_called() {
        let guard = Guard::default();
        let check = |found: &[&str], expected: Result<Option<Vec<SocketAddr>>, ()>| {
            let found = found.iter().map(|address| address.parse().unwrap());
            assert_eq!(permitted(&guard, found).map_err(|_| ()), expected);
        };
        let public: SocketAddr = "8.8.8.8:0".parse().unwrap();
        check(&["8.8.8.8:0"], Ok(Some(vec![public])));
        check(
            &["127.0.0.1:0", "8.8.8.8:0", "[::1]:0"],
            Ok(Some(vec![public])),
        );
        check(&["127.0.0.1:0", "10.0.0.1:0"], Err(()));
        check(&[], Ok(None));
    }
}
