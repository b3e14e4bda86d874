//! What smoke checks found as OpenMetrics text. Gauges and counters only: the textfile collector of node_exporter, which
//! knows no other kinds of OpenMetrics, reads it as well.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Asked, Verdict};
use crate::error::{Error, Result};

/// What is known of the checks of a cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    cluster: String,
    /// Whether runs are counted: what asks once has nothing to count.
    counts: bool,
    services: BTreeMap<String, Series>,
}

#[derive(Debug, Clone)]
struct Series {
    last: Asked,
    runs: u64,
    failures: u64,
}

impl Metrics {
    /// Nothing is known yet.
    pub(crate) fn new(cluster: &str, counts: bool) -> Self {
        Self { cluster: cluster.to_owned(), counts, services: BTreeMap::new() }
    }

    /// One more was asked.
    pub(crate) fn add(&mut self, asked: &Asked) {
        let known = self.services.get(&asked.service);
        let (runs, failures) = known.map_or((0, 0), |known| (known.runs, known.failures));
        let failed = u64::from(asked.verdict != Verdict::Passed);
        let series = Series { last: asked.clone(), runs: runs + 1, failures: failures + failed };
        self.services.insert(asked.service.clone(), series);
    }

    /// The text, with its end.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, unit: &str, help: &str, value: &dyn Fn(&Series) -> Option<String>| {
            let full = format!("clustergraph_smoke_{name}");
            text.push_str(&format!("# TYPE {full} {kind}\n"));
            if !unit.is_empty() {
                text.push_str(&format!("# UNIT {full} {unit}\n"));
            }
            text.push_str(&format!("# HELP {full} {help}\n"));
            let end = if kind == "counter" { "_total" } else { "" };
            for (service, series) in &self.services {
                let labels = [
                    ("cluster", self.cluster.clone()),
                    ("service", service.clone()),
                    ("version", series.last.version.to_string()),
                ];
                // What is counted goes on over versions.
                let labels = labels.iter().filter(|(name, _)| kind != "counter" || *name != "version");
                let labels: Vec<String> =
                    labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
                if let Some(value) = value(series) {
                    text.push_str(&format!("{full}{end}{{{}}} {value}\n", labels.join(",")));
                }
            }
        };
        let is = |yes: bool| Some(u8::from(yes).to_string());
        family("success", "gauge", "", "Whether the last check passed.", &|it| is(it.last.verdict == Verdict::Passed));
        family("unknown", "gauge", "", "Whether the last check could not be run.", &|it| {
            is(matches!(it.last.verdict, Verdict::Unknown(_)))
        });
        family("elapsed_seconds", "gauge", "seconds", "How long the last check took with its pod's start.", &|it| {
            Some(format!("{:.3}", it.last.elapsed.as_secs_f64()))
        });
        family("duration_seconds", "gauge", "seconds", "How long the last check's program ran.", &|it| {
            it.last.seconds.map(|seconds| seconds.to_string())
        });
        family("last_run_timestamp_seconds", "gauge", "seconds", "When the last check was over.", &|it| {
            Some(it.last.at.as_second().to_string())
        });
        if self.counts {
            family("runs", "counter", "", "How many checks were run.", &|it| Some(it.runs.to_string()));
            family("failures", "counter", "", "How many of them did not pass.", &|it| Some(it.failures.to_string()));
        }
        text.push_str("# EOF\n");
        text
    }

    /// Writes the text in one piece: who reads the file meanwhile sees the whole of the one or the other.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let failed = |error| Error::Io { what: format!("writing {}", path.display()), error };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".komandan-").tempfile_in(folder).map_err(failed)?;
        std::io::Write::write_all(&mut file, self.text().as_bytes()).map_err(failed)?;
        // Collectors are other users.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(all).map_err(failed)?;
        file.persist(path).map(drop).map_err(|error| failed(error.error))
    }
}

/// A label's value as the format writes it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn asked(service: &str, verdict: Verdict, seconds: Option<u64>) -> Asked {
        Asked {
            service: service.to_owned(),
            version: 7,
            verdict,
            elapsed: Duration::from_millis(2345),
            seconds,
            at: Timestamp::from_second(1_767_225_600).unwrap(),
            said: Vec::new(),
        }
    }

    #[test]
    fn what_was_found_is_told_by_service() {
        let mut metrics = Metrics::new("production", true);
        metrics.add(&asked("www", Verdict::Failed("ended with 1".into()), Some(3)));
        metrics.add(&asked("www", Verdict::Passed, Some(2)));
        metrics.add(&asked("api", Verdict::Unknown("evicted".into()), None));
        insta::assert_snapshot!("openmetrics", metrics.text());
    }

    #[test]
    fn who_reads_the_file_sees_the_whole_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("smoke.prom");
        let mut metrics = Metrics::new("production", false);
        metrics.add(&asked("www", Verdict::Passed, Some(2)));
        metrics.write(&path).unwrap();
        metrics.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("# EOF\n") && !text.contains("_total"), "{text}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        assert!(metrics.write(&folder.path().join("none/smoke.prom")).is_err());
    }

    proptest! {
        #[test]
        fn every_line_is_a_comment_or_a_sample(cluster in any::<String>(), service in any::<String>(), runs in 1_usize..4) {
            let mut metrics = Metrics::new(&cluster, true);
            for _ in 0..runs {
                metrics.add(&asked(&service, Verdict::Passed, Some(1)));
            }
            let text = metrics.text();
            for line in text.split('\n').filter(|line| !line.is_empty()) {
                let sample = line.starts_with("clustergraph_smoke_") && line.rsplit(' ').next().unwrap().parse::<f64>().is_ok();
                prop_assert!(line.starts_with("# ") || sample, "{}", line);
            }
            let runs = format!("}} {runs}\n");
            let counted = text.lines().any(|line| line.starts_with("clustergraph_smoke_runs_total")) && text.contains(&runs);
            prop_assert!(counted, "{}", text);
        }
    }
}
