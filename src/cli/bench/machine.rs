//! What a figure was measured on, and what ran beside it.

use std::fs;

use serde::Serialize;

/// Clock ticks a second in `/proc`: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The machine.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    /// Cores we may use.
    pub cores: usize,
    /// The processor, as it calls itself.
    pub processor: String,
    /// The kernel's release.
    pub kernel: String,
    /// Main memory.
    pub memory_gib: f64,
}

impl Machine {
    /// This one.
    pub(super) fn read() -> Self {
        let processors = read("/proc/cpuinfo");
        let processor = field(&processors, "model name").unwrap_or("unknown");
        let memory = read("/proc/meminfo");
        let kib: f64 = field(&memory, "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: processor.to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_gib: (kib / 1024.0 / 1024.0 * 10.0).round() / 10.0,
        }
    }
}

/// CPU seconds of a process and of the children it has waited for; none where there is no such process.
pub(super) fn cpu_s(pid: u32) -> Option<f64> {
    Stat::of(pid).map(|stat| stat.own_s + stat.children_s)
}

/// CPU seconds of a postmaster and all its backends, those that have ended included.
pub(super) fn cpu_of_tree_s(postmaster: u32) -> Option<f64> {
    let mut sum = cpu_s(postmaster)?;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(stat) = pid.and_then(Stat::of)
            && stat.parent == postmaster
        {
            sum += stat.own_s;
        }
    }
    Some(sum)
}

/// The postmaster of a backend, where both are on this machine.
pub(super) fn postmaster_of(backend: u32) -> Option<u32> {
    let name = read(&format!("/proc/{backend}/comm"));
    let parent = Stat::of(backend).map(|stat| stat.parent)?;
    name.starts_with("postgres").then_some(parent)
}

/// CPU seconds that all processes on this machine have used.
pub(super) fn cpu_of_all_s() -> f64 {
    let text = read("/proc/stat");
    let ticks: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait,) irq, softirq
    [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|index| ticks.get(*index))
        .sum::<f64>()
        / TICKS_PER_SECOND
}

/// The most memory a process has had resident, in bytes.
pub(super) fn resident_max_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmHWM")
}

/// The memory a process has resident now, in bytes.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmRSS")
}

/// A line of `/proc/PID/status`.
fn memory_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = read(&format!("/proc/{pid}/status"));
    let kib: u64 = field(&status, name)?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    Some(kib * 1024)
}

/// What we read of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    own_s: f64,
    children_s: f64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything; what follows it is numbers.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
        let seconds = |index: usize| -> Option<f64> {
            Some(fields.get(index)?.parse::<f64>().ok()? / TICKS_PER_SECOND)
        };
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own_s: seconds(11)? + seconds(12)?,
            children_s: seconds(13)? + seconds(14)?,
        })
    }
}

/// A file, or nothing.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first `name : value` line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_and_has_a_parent_and_memory() {
        let pid = std::process::id();
        assert!(cpu_s(pid).is_some());
        assert!(postmaster_of(pid).is_none());
        assert!(resident_max_bytes(pid).is_some_and(|bytes| bytes > 100_000));
        assert!(cpu_of_all_s() > 0.0);
    }
}
