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
    // While the transaction keeps one server busy, a pooler serves the other connection from another one. One that takes
    // the server used last, or the next in turn, is seen by one of these.
    let in_transaction = lock.begin().await?;
    let mut backends = vec![ears.backend(), ears.ask_backend().await?];
    lock.commit().await?;
    backends.push(ears.ask_backend().await?);
    backends.push(ears.ask_backend().await?);
    let same_for_ears = backends.iter().all(|&backend| backend == ears.backend());
    let same_for_lock = in_transaction == lock.backend();
    if !same_for_ears || !same_for_lock || lock.backend() == ears.backend() {
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
