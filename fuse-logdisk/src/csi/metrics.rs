//! Metrics: one exposition in Prometheus' text format, of the driver and of all volumes on the node.
//!
//! What a volume did, its daemon counts and writes into its folder; here that gets labels. Nothing is read through a mount.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::volumes::{Seen, SeenState, Volumes};
use crate::daemon::METRICS_NAME;

/// Of one name: help, kind and samples.
#[derive(Default)]
struct Family {
    help: String,
    kind: String,
    /// Labels with braces, if there are any, and value.
    samples: Vec<String>,
}

/// Families by their names, so that each is written once and as a whole, as the format demands.
#[derive(Default)]
struct Exposition(BTreeMap<String, Family>);

impl Exposition {
    fn add(&mut self, name: &str, kind: &str, help: &str, labels: &str, value: u64) {
        let family = self.0.entry(format!("logdisk_{name}")).or_default();
        (family.help, family.kind) = (help.to_owned(), kind.to_owned());
        family.samples.push(format!("{labels} {value}"));
    }

    /// What a daemon wrote, with labels.
    fn take(&mut self, text: &str, labels: &str) {
        for line in text.lines().filter(|it| !it.is_empty()) {
            let mut words = line.splitn(4, ' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                    self.0.entry(name.to_owned()).or_default().help = help.to_owned();
                }
                (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                    self.0.entry(name.to_owned()).or_default().kind = kind.to_owned();
                }
                (Some(name), Some(value), None, None) => {
                    let family = self.0.entry(name.to_owned()).or_default();
                    family.samples.push(format!("{labels} {value}"));
                }
                _ => {}
            }
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, family) in self.0.iter().filter(|it| !it.1.samples.is_empty()) {
            let Family { help, kind, samples } = family;
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            for sample in samples {
                text.push_str(&format!("{name}{sample}\n"));
            }
        }
        text
    }
}

/// All that is to be told; of a driver that waits for its turn, only that.
pub(super) fn exposition(volumes: Option<&Volumes>) -> String {
    let mut out = Exposition::default();
    let is_serving = u64::from(volumes.is_some());
    out.add(
        "driver_serving",
        "gauge",
        "1 while this driver serves the kubelet; 0 while it waits for the one before.",
        "",
        is_serving,
    );
    let Some(volumes) = volumes else { return out.text() };
    let seen = volumes.seen();
    for (state, name) in [
        (SeenState::Mounted, "mounted"),
        (SeenState::Changing, "changing"),
        (SeenState::Leftover, "leftover"),
    ] {
        let count = seen.iter().filter(|it| it.state == state).count() as u64;
        let labels = format!("{{state=\"{name}\"}}");
        out.add(
            "volumes",
            "gauge",
            "Volumes of this node; leftover: their pods are gone.",
            &labels,
            count,
        );
    }
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum();
    for (name, help, value) in [
        ("memory_limit_bytes", "Memory that all volumes may take.", volumes.memory_bytes()),
        (
            "memory_promised_bytes",
            "Memory that volumes may take, and that leftovers do.",
            sum(|it| it.promised_bytes),
        ),
        (
            "leftover_bytes",
            "Bytes of pods that are gone, not acknowledged yet.",
            sum(|it| it.left_bytes),
        ),
    ] {
        out.add(name, "gauge", help, "", value);
    }
    let help = "Bytes of pods that are gone, given up undelivered.";
    out.add("lost_bytes_total", "counter", help, "", volumes.lost_bytes());
    for volume in seen.iter().filter(|it| it.state != SeenState::Leftover) {
        let labels = labels(volume);
        out.add("size_bytes", "gauge", "Budget of the volume.", &labels, volume.size_bytes);
        let help = "Supervisors that ended by themselves, and were replaced.";
        out.add("supervisor_restarts_total", "counter", help, &labels, volume.restarts);
        if let Some(text) = read(&volume.store.join(METRICS_NAME)) {
            out.take(&text, &labels);
        }
    }
    out.text()
}

fn labels(volume: &Seen) -> String {
    let Seen { namespace, pod, uid, volume, .. } = volume;
    let escaped = |it: &str| it.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let [namespace, pod, uid, volume] = [namespace, pod, uid, volume].map(|it| escaped(it));
    format!("{{namespace=\"{namespace}\",pod=\"{pod}\",uid=\"{uid}\",volume=\"{volume}\"}}")
}

/// The numbers of a daemon, which it may be writing just now: what is the same twice is whole.
fn read(path: &Path) -> Option<String> {
    let mut before = fs::read_to_string(path).ok()?;
    for _ in 0..3 {
        let now = fs::read_to_string(path).ok()?;
        if now == before {
            return Some(now);
        }
        before = now;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Meter;

    #[test]
    fn numbers_of_several_volumes_stand_together_under_their_name() {
        let mut out = Exposition::default();
        let (one, other) = (Meter::default(), Meter::default());
        one.written_bytes.add(7);
        out.take(&format!("{}\n\n\n", one.text(4096, 0)), "{pod=\"a\"}");
        out.take(&other.text(0, 2), "{pod=\"b\"}");
        let text = out.text();
        let wanted = "# HELP logdisk_written_bytes_total Bytes that applications wrote.\n\
             # TYPE logdisk_written_bytes_total counter\n\
             logdisk_written_bytes_total{pod=\"a\"} 7\n\
             logdisk_written_bytes_total{pod=\"b\"} 0\n";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("logdisk_held_bytes{pod=\"a\"} 4096\n"), "{text}");
        assert!(text.contains("logdisk_waiting_files{pod=\"b\"} 2\n"), "{text}");
        assert_eq!(text.matches("# TYPE logdisk_held_bytes gauge").count(), 1);
    }
}
