//! What a caller of the HTTP APIs may reach.

/// The instances a token is good for. Whatever looks something up for a caller is given this, and finds nothing outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reach {
    /// All instances of this account …
    pub account: i64,
    /// … or only this one.
    pub instance: Option<i64>,
    /// May make and remove accounts, and tokens for them. It sees no more than others of what other accounts have.
    pub operator: bool,
}

impl Reach {
    /// The account that is there from the beginning, for tokens that stand in the configuration.
    pub const DEFAULT_ACCOUNT: Self = Self {
        account: 1,
        instance: None,
        operator: true,
    };

    /// Whether it reaches all instances of its account: such a token makes instances and tokens.
    pub fn is_account(self) -> bool {
        self.instance.is_none()
    }
}

/// What a token turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Which token, for limits and logs; says nothing about the token itself.
    pub token: String,
    /// What it is good for.
    pub reach: Reach,
}
