//! The real Prometheus scrapes the agent.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::kit::{Agent, Bed, append, free_address, get, wait_for};

/// Where Debian's package puts it.
const PROMETHEUS: &str = "/usr/bin/prometheus";

/// A running Prometheus; ended when dropped.
struct Prometheus {
    child: Child,
    listen: SocketAddr,
}

impl Prometheus {
    fn start(bed: &Bed) -> Prometheus {
        assert!(
            fs::exists(PROMETHEUS).unwrap(),
            "{PROMETHEUS} is not there; run `make test`, which installs it, or install the package \
             `prometheus`"
        );
        let config = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: logferry\n  \
             static_configs:\n  - targets: ['{}']\n",
            bed.listen
        );
        fs::write(bed.path("prometheus.yml"), config).unwrap();
        let listen = free_address();
        let child = Command::new(PROMETHEUS)
            .arg(format!("--config.file={}", bed.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", bed.path("prometheus").display()))
            .arg(format!("--web.listen-address={listen}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(bed.path("prometheus.stderr")).unwrap())
            .spawn()
            .unwrap();
        Prometheus { child, listen }
    }

    /// The value of a query that has one; nothing while it has none.
    fn query(&self, query: &str) -> Result<f64, String> {
        let path = format!("/api/v1/query?query={query}");
        let (status, text) = get(self.listen, &path).ok_or("no answer")?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let value = answer["data"]["result"][0]["value"][1].as_str();
        let value = value.and_then(|it| it.parse().ok());
        value.ok_or_else(|| format!("status {status}: {answer}"))
    }

    fn wait_for(&self, query: &str, is_right: impl Fn(f64) -> bool) {
        wait_for(query, || {
            let value = self.query(query)?;
            if is_right(value) { Ok(()) } else { Err(value.to_string()) }
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It keeps nothing that is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_real_prometheus_scrapes_without_a_complaint() {
    let bed = Bed::new();
    bed.configure_files();
    let agent = Agent::start(&bed);
    append(&bed.log("app.log"), b"one\ntwo\n");
    bed.wait_for_bodies(&["one", "two"]);
    let prometheus = Prometheus::start(&bed);
    prometheus.wait_for("up", |it| it == 1.0);
    prometheus.wait_for("logferry_delivered_bytes_total", |it| it == 8.0);
    prometheus.wait_for("logferry_delivered_records_total", |it| it == 2.0);
    prometheus.wait_for("logferry_write_to_ack_seconds_count", |it| it >= 1.0);
    // All that is exposed was taken, more than once, and nothing was a duplicate.
    prometheus.wait_for("count_over_time(up[1m])", |it| it >= 3.0);
    assert_eq!(prometheus.query("min_over_time(up[1m])"), Ok(1.0));
    let taken = prometheus.query("scrape_samples_scraped").unwrap();
    let exposed = get(bed.listen, "/metrics").unwrap().1;
    let exposed = exposed.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    assert_eq!(taken, exposed as f64);
    let said = fs::read_to_string(bed.path("prometheus.stderr")).unwrap();
    let complaints: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("scrape") && (line.contains("warn") || line.contains("error")))
        .collect();
    assert_eq!(complaints, Vec::<&str>::new());
    agent.stop();
}
