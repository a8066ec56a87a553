//! Makes handles and renders them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

/// Buckets by the end of a histogram's name. The finest are as fine as our targets: milliseconds.
const BUCKETS: [(&str, &[f64]); 4] = [
    (
        "_duration_seconds",
        &[
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
            30.0, 60.0,
        ],
    ),
    (
        "_lag_seconds",
        &[
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0, 604_800.0,
        ],
    ),
    (
        "_awake_seconds",
        &[
            0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
        ],
    ),
    (
        "_batch_rows",
        &[
            1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0,
        ],
    ),
];

/// Required by the recorder's interface; it plays no part.
const METADATA: Metadata<'static> = Metadata::new("postrider", Level::INFO, None);

/// A label: a closed set of values.
pub trait Label: Copy + 'static {
    /// Its name.
    const KEY: &'static str;
    /// All its values.
    const ALL: &'static [Self];

    /// Where the value stands in `ALL`.
    fn index(self) -> usize;

    /// The value as text.
    fn name(self) -> &'static str;
}

/// What a metric is used through.
pub(super) trait Handle: Sized {
    /// Registers one series.
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self;

    /// Sets a metric's help.
    fn describe(recorder: &PrometheusRecorder, name: KeyName, help: &'static str);
}

impl Handle for Counter {
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        recorder.register_counter(key, &METADATA)
    }

    fn describe(recorder: &PrometheusRecorder, name: KeyName, help: &'static str) {
        recorder.describe_counter(name, None, help.into());
    }
}

impl Handle for Gauge {
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        recorder.register_gauge(key, &METADATA)
    }

    fn describe(recorder: &PrometheusRecorder, name: KeyName, help: &'static str) {
        recorder.describe_gauge(name, None, help.into());
    }
}

impl Handle for Histogram {
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        recorder.register_histogram(key, &METADATA)
    }

    fn describe(recorder: &PrometheusRecorder, name: KeyName, help: &'static str) {
        recorder.describe_histogram(name, None, help.into());
    }
}

/// A metric with one label: a handle for each of its values.
#[derive(Debug)]
pub struct Family<L, H> {
    /// In the order of `L::ALL`.
    handles: Vec<H>,
    /// Only found by its label.
    label: PhantomData<L>,
}

impl<L: Label, H> Family<L, H> {
    /// The handle for one value.
    pub fn of(&self, label: L) -> &H {
        &self.handles[label.index()]
    }
}

/// A metric with two labels: a handle for each pair of values.
#[derive(Debug)]
pub struct Grid<A, B, H> {
    /// Row by row.
    handles: Vec<H>,
    /// Only found by its labels.
    labels: PhantomData<(A, B)>,
}

impl<A: Label, B: Label, H> Grid<A, B, H> {
    /// The handle for one pair of values.
    pub fn of(&self, first: A, second: B) -> &H {
        &self.handles[first.index() * B::ALL.len() + second.index()]
    }
}

/// Makes handles.
pub(super) struct Registry {
    /// Where they count.
    recorder: PrometheusRecorder,
    /// What was made.
    names: Mutex<Vec<&'static str>>,
}

impl Registry {
    /// Empty.
    pub(super) fn new() -> Self {
        let builder =
            BUCKETS
                .iter()
                .fold(PrometheusBuilder::new(), |builder, (ending, buckets)| {
                    builder
                        .set_buckets_for_metric(Matcher::Suffix((*ending).into()), buckets)
                        .expect("no list of buckets is empty")
                });
        Self {
            recorder: builder.build_recorder(),
            names: Mutex::new(Vec::new()),
        }
    }

    /// Describes a metric.
    fn describe<H: Handle>(&self, name: &'static str, help: &'static str) {
        H::describe(&self.recorder, KeyName::from_const_str(name), help);
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name);
    }

    /// A metric without labels.
    pub(super) fn one<H: Handle>(&self, name: &'static str, help: &'static str) -> H {
        self.describe::<H>(name, help);
        H::register(&self.recorder, &Key::from_name(name))
    }

    /// A metric with one label.
    pub(super) fn family<L: Label, H: Handle>(
        &self,
        name: &'static str,
        help: &'static str,
    ) -> Family<L, H> {
        self.describe::<H>(name, help);
        let series = |label: &L| Key::from_parts(name, &[(L::KEY, label.name())]);
        let handles = L::ALL
            .iter()
            .map(|label| H::register(&self.recorder, &series(label)))
            .collect();
        Family {
            handles,
            label: PhantomData,
        }
    }

    /// A metric with two labels.
    pub(super) fn grid<A: Label, B: Label, H: Handle>(
        &self,
        name: &'static str,
        help: &'static str,
    ) -> Grid<A, B, H> {
        self.describe::<H>(name, help);
        let pairs = A::ALL
            .iter()
            .flat_map(|first| B::ALL.iter().map(move |second| (first, second)));
        let series = |first: &A, second: &B| {
            Key::from_parts(name, &[(A::KEY, first.name()), (B::KEY, second.name())])
        };
        let handles = pairs
            .map(|(first, second)| H::register(&self.recorder, &series(first, second)))
            .collect();
        Grid {
            handles,
            labels: PhantomData,
        }
    }

    /// The customary constant 1 that carries the version.
    pub(super) fn build_info(&self) {
        let name = "postrider_build_info";
        self.describe::<Gauge>(name, "Always 1; the version is the label.");
        Gauge::register(
            &self.recorder,
            &Key::from_parts(name, &[("version", env!("CARGO_PKG_VERSION"))]),
        )
        .set(1);
    }

    /// What renders what was made.
    pub(super) fn exporter(self) -> Exporter {
        let names = self
            .names
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Exporter {
            handle: self.recorder.handle(),
            names: names.into(),
        }
    }
}

/// Renders all metrics for Prometheus.
#[derive(Clone)]
pub struct Exporter {
    /// The recorder's contents.
    handle: PrometheusHandle,
    /// All metrics, in the order of their definition.
    names: Arc<[&'static str]>,
}

impl Exporter {
    /// The page that Prometheus reads.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// To be called every few seconds: moves recorded values into their buckets, which else only a scrape does, and a
    /// busy histogram that nobody scrapes would grow without bound.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// The names of all metrics, without the endings that histograms get.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exporter").finish_non_exhaustive()
    }
}
