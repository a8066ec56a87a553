//! Tokens: what callers of the HTTP APIs show. Their digests are kept, not they themselves.

use std::collections::HashSet;
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;

use crate::crypto::token::{TokenDigest, digest};
use crate::db::{Database, Error};
use crate::model::{Access, Allowance, Limit, Reach};

/// How a token is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind<'a> {
    /// Shown with each request.
    Bearer,
    /// The secret half of client credentials, which are exchanged for an access token.
    Client {
        /// The public half.
        id: &'a str,
    },
    /// What client credentials were exchanged for.
    Access {
        /// The public id of the credentials.
        parent: &'a str,
        /// How long it is good.
        lifetime: Duration,
    },
}

/// A token to be kept.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// What it is good for.
    pub reach: Reach,
    /// How it is used.
    pub kind: TokenKind<'a>,
    /// What its owner calls it.
    pub label: Option<&'a str>,
    /// It; only its digest is written.
    pub token: &'a SecretString,
}

/// A token as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Token {
    /// Where a list goes on.
    #[serde(skip)]
    pub id: i64,
    /// Public id.
    #[serde(rename = "id")]
    pub uid: String,
    /// The name of its account.
    pub account: String,
    /// The name of the one instance it reaches.
    pub instance: Option<String>,
    /// bearer, client or access.
    pub kind: String,
    /// What its owner calls it.
    pub label: Option<String>,
    /// The public half of client credentials.
    pub client_id: Option<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ends by itself.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
}

/// What a digest was found to be.
#[derive(FromRow)]
struct Found {
    uid: String,
    account_id: i64,
    instance_id: Option<i64>,
    operator: bool,
}

impl From<Found> for Access {
    fn from(found: Found) -> Self {
        Self {
            token: found.uid,
            reach: Reach {
                account: found.account_id,
                instance: found.instance_id,
                operator: found.operator && found.instance_id.is_none(),
            },
        }
    }
}

impl Database {
    /// Keeps a token; answers with its public id.
    pub async fn create_token(&self, new: &NewToken<'_>) -> Result<String, Error> {
        let (kind, client_id, parent, lifetime) = match new.kind {
            TokenKind::Bearer => ("bearer", None, None, None),
            TokenKind::Client { id } => ("client", Some(id), None, None),
            TokenKind::Access { parent, lifetime } => {
                ("access", None, Some(parent), Some(lifetime.as_secs_f64()))
            }
        };
        sqlx::query_scalar(
            "-- tokens.create: and forget the expired ones of the same credentials
            with forgotten as (
              delete from postrider.tokens former using postrider.tokens parent
              where former.parent_id = parent.id and parent.uid::text = $6 and former.expires_at < now())
            insert into postrider.tokens (account_id, instance_id, kind, label, client_id, parent_id, expires_at, digest)
            select $1, $2, $3, $4, $5, (select parent.id from postrider.tokens parent where parent.uid::text = $6)
              , now() + make_interval(secs => $7), $8
            returning uid::text",
        )
        .bind(new.reach.account)
        .bind(new.reach.instance)
        .bind(kind)
        .bind(new.label)
        .bind(client_id)
        .bind(parent)
        .bind(lifetime)
        .bind(digest(new.token).as_slice())
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("make the token"))
    }

    /// What a token is good for; none where it is nobody's, was revoked or has expired. An instance's own token counts too.
    ///
    /// Found by digest: how long the search takes tells something about the SHA-256 of what was shown, and nobody can choose that.
    pub async fn authenticate(&self, shown: &TokenDigest) -> Result<Option<Access>, Error> {
        let found: Option<Found> = sqlx::query_as(
            "-- tokens.authenticate: by digest, here or as the token of an instance
            select token.uid::text, token.account_id, token.instance_id, account.operator
            from postrider.tokens token
            join postrider.accounts account on account.id = token.account_id
            left join postrider.tokens parent on parent.id = token.parent_id
            where token.digest = $1 and token.kind <> 'client' and token.revoked_at is null and parent.revoked_at is null
              and (token.expires_at is null or token.expires_at > now())
            union all
            select instance.uid::text, instance.account_id, instance.id, false
            from postrider.instances instance where instance.token_digest = $1
            limit 1",
        )
        .bind(shown.as_slice())
        .fetch_optional(self.pool())
        .await
        .map_err(Error::doing("look a token up"))?;
        Ok(found.map(Access::from))
    }

    /// Of these tokens, those that are still good, as [`Database::authenticate`] has it.
    pub async fn good_tokens(&self, shown: &[TokenDigest]) -> Result<HashSet<TokenDigest>, Error> {
        let shown: Vec<&[u8]> = shown.iter().map(<[u8; 32]>::as_slice).collect();
        let good: Vec<Vec<u8>> = sqlx::query_scalar(
            "-- tokens.good: of those who are connected
            select shown.digest from unnest($1::bytea[]) as shown(digest)
            where exists (select from postrider.tokens token left join postrider.tokens parent on parent.id = token.parent_id
                where token.digest = shown.digest and token.kind <> 'client' and token.revoked_at is null and parent.revoked_at is null
                  and (token.expires_at is null or token.expires_at > now()))
              or exists (select from postrider.instances instance where instance.token_digest = shown.digest)",
        )
        .bind(shown)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("look tokens up"))?;
        let good = good.into_iter();
        Ok(good.filter_map(|digest| digest.try_into().ok()).collect())
    }

    /// The same for client credentials. Answers with what they are good for, `token` being their public id.
    pub async fn authenticate_client(
        &self,
        client_id: &str,
        secret: &SecretString,
    ) -> Result<Option<Access>, Error> {
        let found: Option<Found> = sqlx::query_as(
            "-- tokens.authenticate_client: by id and the digest of the secret
            select token.uid::text, token.account_id, token.instance_id, account.operator
            from postrider.tokens token join postrider.accounts account on account.id = token.account_id
            where token.client_id = $1 and token.digest = $2 and token.revoked_at is null",
        )
        .bind(client_id)
        .bind(digest(secret).as_slice())
        .fetch_optional(self.pool())
        .await
        .map_err(Error::refusal_or_doing("look client credentials up"))?;
        Ok(found.map(Access::from))
    }

    /// A page of tokens within reach, without those given for client credentials.
    pub async fn tokens(&self, reach: Reach, after: i64, limit: i64) -> Result<Vec<Token>, Error> {
        sqlx::query_as(
            "-- tokens.list: of an account, or of one instance
            select token.id, token.uid::text, account.name as account, instance.called as instance, token.kind, token.label, token.client_id
              , token.created_at, token.expires_at, token.revoked_at
            from postrider.tokens token
            join postrider.accounts account on account.id = token.account_id
            left join postrider.instances instance on instance.id = token.instance_id
            where token.account_id = $1 and ($2::bigint is null or token.instance_id = $2) and token.kind <> 'access' and token.id > $3
            order by token.id limit $4",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(after)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list tokens"))
    }

    /// Revokes a token within reach. False where there is none that is still good.
    pub async fn revoke_token(&self, reach: Reach, uid: &str) -> Result<bool, Error> {
        let revoked = sqlx::query(
            "-- tokens.revoke: it stays listed
            update postrider.tokens set revoked_at = now()
            where uid::text = $3 and account_id = $1 and ($2::bigint is null or instance_id = $2) and revoked_at is null",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(uid)
        .execute(self.pool())
        .await
        .map_err(Error::refusal_or_doing("revoke the token"))?;
        Ok(revoked.rows_affected() > 0)
    }

    /// Counts a request of a token, over all processes.
    pub async fn count_within(&self, access: &Access, limit: Limit) -> Result<Allowance, Error> {
        let key = format!("{}:{}", limit.bucket, access.token);
        let (requests, resets_at) = self.count_request(&key).await?;
        Ok(Allowance {
            limit: limit.per_minute,
            remaining: (limit.per_minute - requests).max(0),
            resets_at: resets_at.unix_timestamp(),
            within: requests <= limit.per_minute,
        })
    }

    /// Counts a request of this key in the present minute, over all processes: how many there were, and when the next minute begins.
    async fn count_request(&self, key: &str) -> Result<(i32, OffsetDateTime), Error> {
        sqlx::query_as("select requests, resets_at from postrider.count_request($1)")
            .bind(key)
            .fetch_one(self.pool())
            .await
            .map_err(Error::refusal_or_doing("count the request"))
    }
}
