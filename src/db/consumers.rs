//! Durable consumers: names under which the position of a stream is kept.

use std::collections::HashSet;

use super::{Database, Error};

/// One that is connected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Consumer {
    /// The instance whose stream it reads.
    pub instance: i64,
    /// Its name.
    pub name: String,
    /// Rises with each connection: an earlier one has no say any more.
    pub generation: i64,
}

/// How far one is.
#[derive(Debug, Clone, Copy)]
pub struct Position<'a> {
    /// Who.
    pub consumer: &'a Consumer,
    /// Has everything up to this cursor.
    pub cursor: &'a str,
}

impl Database {
    /// A consumer connects: from now on only it may move the position. Also where it left off.
    pub async fn take_consumer(
        &self,
        instance: i64,
        name: &str,
    ) -> Result<(Consumer, Option<String>), Error> {
        let (generation, cursor): (i64, Option<String>) = sqlx::query_as(
            "-- consumers.take: the latest connection counts
            insert into postrider.consumers as known (instance_id, name) values ($1, $2)
            on conflict (instance_id, name) do update set generation = known.generation + 1, connected_at = now()
            returning generation, cursor",
        )
        .bind(instance)
        .bind(name)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("connect the consumer"))?;
        let consumer = Consumer {
            instance,
            name: name.to_owned(),
            generation,
        };
        Ok((consumer, cursor))
    }

    /// Of these, those whose place another connection has taken, or that are forgotten.
    pub async fn replaced_consumers(
        &self,
        connected: &[&Consumer],
    ) -> Result<HashSet<(i64, String)>, Error> {
        let instances: Vec<i64> = connected.iter().map(|one| one.instance).collect();
        let names: Vec<&str> = connected.iter().map(|one| one.name.as_str()).collect();
        let generations: Vec<i64> = connected.iter().map(|one| one.generation).collect();
        let replaced: Vec<(i64, String)> = sqlx::query_as(
            "-- consumers.replaced: by a later generation
            select given.instance_id, given.name
            from unnest($1::bigint[], $2::text[], $3::bigint[]) as given(instance_id, name, generation)
            where not exists (select from postrider.consumers known
              where known.instance_id = given.instance_id and known.name = given.name and known.generation = given.generation)",
        )
        .bind(instances)
        .bind(names)
        .bind(generations)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("look for consumers that were replaced"))?;
        Ok(replaced.into_iter().collect())
    }

    /// Writes how far some are. Answers with those of which it could be written: another connection has taken the others.
    pub async fn save_positions(
        &self,
        positions: &[Position<'_>],
    ) -> Result<HashSet<(i64, String)>, Error> {
        let (mut instances, mut names) = (Vec::new(), Vec::new());
        let (mut generations, mut cursors) = (Vec::new(), Vec::new());
        for position in positions {
            instances.push(position.consumer.instance);
            names.push(position.consumer.name.as_str());
            generations.push(position.consumer.generation);
            cursors.push(position.cursor);
        }
        let saved: Vec<(i64, String)> = sqlx::query_as(
            "-- consumers.save: by whom is connected
            with given as materialized (
              select known.instance_id, known.name, given.cursor
              from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[]) as given(instance_id, name, generation, cursor)
              join postrider.consumers known on known.instance_id = given.instance_id and known.name = given.name and known.generation = given.generation
              order by known.instance_id, known.name for update of known
            )
            update postrider.consumers consumer set cursor = given.cursor, acknowledged_at = now()
            from given where consumer.instance_id = given.instance_id and consumer.name = given.name
            returning consumer.instance_id, consumer.name",
        )
        .bind(instances)
        .bind(names)
        .bind(generations)
        .bind(cursors)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("write the positions of consumers"))?;
        Ok(saved.into_iter().collect())
    }
}
