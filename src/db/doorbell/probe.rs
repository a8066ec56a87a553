//! Is there a pooler in between that would tear our session apart?
//!
//! In transaction mode a pooler gives each statement to any server that is free. A lock taken there stays with that
//! server, held by nobody and released by nobody; LISTEN is heard by nobody. So it is found out before.

use super::ears::Ears;
use super::lock::Lock;

/// What a probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Each connection has a server of its own, and notifications arrive.
    Direct,
    /// Two connections share servers.
    Pooled,
    /// Notifications do not arrive in time.
    Deaf,
}

/// Looks, harmlessly: no lock, no setting.
pub(super) async fn probe(ears: &mut Ears, lock: &mut Lock) -> sqlx::Result<Verdict> {
    // While the transaction keeps one server busy, a pooler must serve the other connection from another one: unless it
    // keeps many idle and takes them in turns, somebody changes servers or two meet at the same.
    let in_transaction = lock.begin().await?;
    let beside = ears.ask_backend().await?;
    lock.commit().await?;
    let after = ears.ask_backend().await?;
    let own_servers = beside == ears.backend()
        && after == ears.backend()
        && in_transaction == lock.backend()
        && beside != in_transaction;
    if !own_servers {
        return Ok(Verdict::Pooled);
    }
    // The test that decides: from one connection to the other, without the other asking for anything meanwhile.
    let topic = format!("postrider_probe_{:016x}", rand::random::<u64>());
    match ears.hears(&topic, lock.notify(&topic)).await {
        Ok(()) => Ok(Verdict::Direct),
        Err(sqlx::Error::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
            Ok(Verdict::Deaf)
        }
        Err(error) => Err(error),
    }
}
