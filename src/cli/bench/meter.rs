//! How long something took, and who used how much CPU meanwhile.

use tokio::time::Instant;

use super::machine;
use super::report::{Report, median};
use super::stage::Stage;

/// Readings at a start.
#[derive(Debug)]
pub(super) struct Meter {
    started: Instant,
    all_s: f64,
    own_s: f64,
    postgres_s: f64,
    others: Vec<(u32, f64)>,
}

/// What was read between a start and an end.
#[expect(
    clippy::struct_field_names,
    reason = "a unit ends the name of everything that has one"
)]
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// On the wall.
    pub wall_s: f64,
    /// CPU of this process.
    pub own_s: f64,
    /// CPU of the database server.
    pub postgres_s: f64,
    /// CPU of each process that was named.
    pub named_s: Vec<f64>,
    /// CPU of everything else on the machine.
    pub strangers_s: f64,
}

impl Meter {
    /// Starts; these processes are told apart.
    pub(super) fn start(stage: &Stage, processes: &[u32]) -> Self {
        let cpu = |pid: &u32| (*pid, machine::cpu_s(*pid).unwrap_or(0.0));
        Self {
            started: Instant::now(),
            all_s: machine::cpu_of_all_s(),
            own_s: machine::cpu_s(std::process::id()).unwrap_or(0.0),
            postgres_s: stage.postgres_cpu_s().unwrap_or(0.0),
            others: processes.iter().map(cpu).collect(),
        }
    }

    /// Ends.
    pub(super) fn read(&self, stage: &Stage) -> Reading {
        let own_s = machine::cpu_s(std::process::id()).unwrap_or(0.0) - self.own_s;
        let postgres_s = stage.postgres_cpu_s().unwrap_or(0.0) - self.postgres_s;
        let named_s: Vec<f64> = self
            .others
            .iter()
            .map(|(pid, before)| machine::cpu_s(*pid).unwrap_or(*before) - before)
            .collect();
        let ours = own_s + postgres_s + named_s.iter().sum::<f64>();
        Reading {
            wall_s: self.started.elapsed().as_secs_f64(),
            own_s,
            postgres_s,
            named_s,
            strangers_s: (machine::cpu_of_all_s() - self.all_s - ours).max(0.0),
        }
    }
}

/// Several runs of one thing.
#[derive(Debug, Default)]
pub(super) struct Runs {
    readings: Vec<Reading>,
    items: f64,
}

impl Runs {
    /// Notes a run of so many items.
    pub(super) fn push(&mut self, reading: Reading, items: u64) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let items = items as f64;
        self.items = items;
        self.readings.push(reading);
    }

    /// The median rate.
    pub(super) fn per_second(&self) -> f64 {
        self.median(|reading| self.items / reading.wall_s)
    }

    /// The median CPU time of one item, in microseconds.
    pub(super) fn cpu_us(&self, of: impl Fn(&Reading) -> f64) -> f64 {
        self.median(|reading| of(reading) / self.items * 1e6)
    }

    /// The median of anything.
    pub(super) fn median(&self, of: impl Fn(&Reading) -> f64) -> f64 {
        median(&self.readings.iter().map(of).collect::<Vec<_>>())
    }

    /// Reports rate and cost, and how much of the machine others took.
    pub(super) fn report(&self, report: &mut Report, name: &str, parts: &[(&str, f64)]) {
        report.figure(format!("{name}: rate"), self.per_second(), "/s");
        for (part, cost_us) in parts {
            report.figure(format!("{name}: CPU of {part}"), *cost_us, "us each");
        }
        report.figure(
            format!("{name}: CPU used by others meanwhile"),
            self.median(|reading| reading.strangers_s / reading.wall_s),
            "cores",
        );
    }
}
