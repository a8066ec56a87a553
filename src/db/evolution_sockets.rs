//! What instances have configured for sockets whose filter follows the configuration.

use super::{Database, Error};

impl Database {
    /// By instance, the events of Evolution API's WebSocket where it is on; none means all of them.
    pub async fn evolution_sockets(
        &self,
        instances: &[i64],
    ) -> Result<Vec<(i64, Vec<String>)>, Error> {
        sqlx::query_as(
            "-- endpoints.evolution_sockets: those that are on
            select instance_id, events from postrider.endpoints
            where dialect = 'evolution' and channel = 'websocket' and state <> 'disabled' and not is_global and instance_id = any($1)
            order by id",
        )
        .bind(instances)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("look up what sockets are configured for"))
    }
}
