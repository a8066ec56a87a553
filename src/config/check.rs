//! Collects what is wrong with values, so that all of it is reported at once.

use std::fmt::Display;
use std::ops::RangeInclusive;

use figment::Figment;

use super::error::{Error, Fault};

/// The faults found so far.
pub(super) struct Check<'a> {
    /// Tells where a value came from.
    layers: &'a Figment,
    /// In the order found.
    faults: Vec<Fault>,
}

impl<'a> Check<'a> {
    /// Nothing found yet.
    pub(super) fn new(layers: &'a Figment) -> Self {
        Self {
            layers,
            faults: Vec::new(),
        }
    }

    /// Notes a fault of `key` unless `holds`; `problem` includes the remedy.
    pub(super) fn require(&mut self, holds: bool, key: &str, problem: &str) {
        if !holds {
            let origin = self
                .layers
                .find_metadata(key)
                .map(|metadata| metadata.name.as_ref());
            self.faults.push(Fault::at(origin, key, problem.to_owned()));
        }
    }

    /// Notes a fault unless `value` lies within `range`.
    pub(super) fn range<T: PartialOrd + Display + Copy>(
        &mut self,
        key: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        let problem = format!(
            "{value} is not between {} and {}",
            range.start(),
            range.end()
        );
        self.require(range.contains(&value), key, &problem);
    }

    /// The verdict.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Error(self.faults))
        }
    }
}
