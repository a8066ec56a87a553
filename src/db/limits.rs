//! What functions in the database go by that is a matter of configuration.

use std::time::Duration;

use super::{Database, Error};

impl Database {
    /// Lets `emit` go by these: the largest data of an event, and how long idempotency keys are known.
    pub async fn apply_limits(
        &self,
        payload_bytes_max: u64,
        idempotency_retention: Duration,
    ) -> Result<(), Error> {
        let payload_bytes_max = i64::try_from(payload_bytes_max).unwrap_or(i64::MAX);
        let others: bool = sqlx::query_scalar(
            "-- limits.compare: whether this program was configured otherwise; a database that is read-only need not be written to
            select (known.payload_bytes_max, known.idempotency_retention) is distinct from ($1, make_interval(secs => $2))
            from postrider.limits known",
        )
        .bind(payload_bytes_max)
        .bind(idempotency_retention.as_secs_f64())
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing("read the limits"))?;
        if others {
            sqlx::query(
                "-- limits.apply: as this program was configured
                update postrider.limits set payload_bytes_max = $1, idempotency_retention = make_interval(secs => $2)",
            )
            .bind(payload_bytes_max)
            .bind(idempotency_retention.as_secs_f64())
            .execute(self.pool())
            .await
            .map_err(Error::doing("apply the limits"))?;
        }
        Ok(())
    }
}
