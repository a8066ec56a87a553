//! Tokens that stand in the configuration, as every process knows them: by what they are called and what they are good for.

use super::Api;
use crate::crypto::token::{TokenDigest, digest, is_same};
use crate::model::{Access, Reach};

/// Tokens that stand in the configuration: they reach the whole account `default`.
#[derive(Debug, Default)]
pub struct ConfiguredTokens(Vec<(TokenDigest, Access)>);

impl ConfiguredTokens {
    /// Of these.
    pub fn new(tokens: impl IntoIterator<Item = (TokenDigest, Access)>) -> Self {
        Self(tokens.into_iter().collect())
    }

    /// Those of a configuration, by the names that their keys have there: requests are counted by them, in every process.
    pub fn of(config: &Api) -> Self {
        let given = [
            ("api.account_token", &config.account_token),
            ("api.global_key", &config.global_key),
        ];
        Self::new(given.into_iter().filter_map(|(name, secret)| {
            let access = Access {
                token: name.to_owned(),
                reach: Reach::DEFAULT_ACCOUNT,
            };
            Some((digest(secret.as_ref()?), access))
        }))
    }

    /// What a token is good for. All are compared, each in constant time.
    pub fn find(&self, digest: &TokenDigest) -> Option<Access> {
        let same = self.0.iter().filter(|(known, _)| is_same(known, digest));
        same.fold(None, |_, (_, access)| Some(access.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            token: "one".into(),
            reach: Reach::DEFAULT_ACCOUNT,
        }
    }

    #[test]
    fn a_configured_token_is_found_and_no_other() {
        let tokens = ConfiguredTokens::new([([1; 32], access())]);
        assert_eq!(tokens.find(&[1; 32]), Some(access()));
        assert_eq!(tokens.find(&[2; 32]), None);
    }
}
