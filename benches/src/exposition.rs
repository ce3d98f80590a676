//! Exposition: the agent's metrics as its HTTP endpoint tells them, in Prometheus text format.
//!
//! Source: Prometheus, "Text-based format", version 0.0.4.

use std::net::SocketAddr;

/// Answers that take longer than this are none, in seconds.
const TIMEOUT_SECONDS: u64 = 5;

/// One value of one metric.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// All metrics at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    samples: Vec<Sample>,
}

/// Why metrics are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ExpositionError {
    /// The endpoint did not answer.
    #[error("{url}: {source}")]
    Http {
        /// What was asked for.
        url: String,
        /// What went wrong.
        source: minreq::Error,
    },
    /// The endpoint answered with something else.
    #[error("{url}: status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// A line is not in the text format.
    #[error("metrics: line {line}: {text:?}: want NAME{{LABELS}} VALUE")]
    Malformed {
        /// Number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
    },
}

/// Asks the agent that listens at `address` for its metrics.
///
/// # Errors
/// If it does not answer, or not in the format.
pub fn fetch(address: SocketAddr) -> Result<Exposition, ExpositionError> {
    let url = format!("http://{address}/metrics");
    let answer = minreq::get(&url).with_timeout(TIMEOUT_SECONDS).send();
    let answer = answer.map_err(|source| ExpositionError::Http { url: url.clone(), source })?;
    if answer.status_code != 200 {
        return Err(ExpositionError::Status { url, status: answer.status_code });
    }
    let text = answer.as_str().map_err(|source| ExpositionError::Http { url, source })?;
    Exposition::parse(text)
}

impl Exposition {
    /// Reads the text format.
    ///
    /// # Errors
    /// If a line is not in it.
    pub fn parse(text: &str) -> Result<Exposition, ExpositionError> {
        let mut samples = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let sample = parse_sample(line).ok_or_else(|| ExpositionError::Malformed {
                line: index + 1,
                text: line.to_owned(),
            })?;
            samples.push(sample);
        }
        Ok(Exposition { samples })
    }

    /// The sum of `name` over all label sets; `None` if it is not there.
    #[must_use]
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.of(name).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }

    /// The sum of `name` over the label sets in which `label` is `value`; `None` if there is none.
    #[must_use]
    pub fn sum_where(&self, name: &str, label: &str, value: &str) -> Option<f64> {
        let is_it = |sample: &&Sample| {
            sample
                .labels
                .iter()
                .any(|(its_label, its_value)| its_label == label && its_value == value)
        };
        self.of(name).filter(is_it).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }

    /// The `quantile` (0 to 1) of the histogram or summary `name` over all label sets.
    ///
    /// Of a histogram as Prometheus' `histogram_quantile` has it, by linear interpolation within
    /// a bucket; of a summary the largest that any label set says. `None` if there is nothing in it.
    #[must_use]
    pub fn quantile(&self, name: &str, quantile: f64) -> Option<f64> {
        let buckets = self.buckets(name);
        let Some(&(_, total)) = buckets.last() else { return self.summary(name, quantile) };
        if total == 0.0 {
            return None;
        }
        let rank = quantile * total;
        let (mut lower, mut below) = (0.0, 0.0);
        for (upper, count) in buckets {
            if count >= rank {
                if upper.is_infinite() || count <= below {
                    return Some(lower);
                }
                return Some(lower + (upper - lower) * (rank - below) / (count - below));
            }
            (lower, below) = (upper, count);
        }
        None
    }

    /// Upper bounds and cumulative counts of a histogram, in order of the bounds.
    fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.of(&format!("{name}_bucket")) {
            let Some(upper) = sample.number("le") else { continue };
            match buckets.iter_mut().find(|bucket| bucket.0 == upper) {
                Some(bucket) => bucket.1 += sample.value,
                None => buckets.push((upper, sample.value)),
            }
        }
        buckets.sort_by(|first, second| first.0.total_cmp(&second.0));
        buckets
    }

    fn summary(&self, name: &str, quantile: f64) -> Option<f64> {
        self.of(name)
            .filter(|sample| sample.number("quantile") == Some(quantile))
            .map(|sample| sample.value)
            .reduce(f64::max)
    }

    fn of<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }
}

impl Sample {
    fn number(&self, label: &str) -> Option<f64> {
        let (_, value) = self.labels.iter().find(|(key, _)| key == label)?;
        value.parse().ok()
    }
}

/// `name{key="value",…} 1.5` and perhaps a time, which is passed over.
fn parse_sample(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (Vec::new(), rest),
    };
    // "+Inf" and "NaN" are numbers to Rust too.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then(|| Sample { name: name.to_owned(), labels, value })
}

/// Labels up to the closing bracket, and what follows it.
fn parse_labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, after_key) = rest.split_once("=\"")?;
        let (value, after_value) = parse_label_value(after_key)?;
        labels.push((key.trim().to_owned(), value));
        rest = after_value;
    }
}

/// A value up to its closing quote, with `\\`, `\"` and `\n` resolved, and what follows it.
fn parse_label_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, letter)) = chars.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const TEXT: &str = r#"
# HELP logferry_delivered_bytes_total Bytes acknowledged.
# TYPE logferry_delivered_bytes_total counter
logferry_delivered_bytes_total{tenant="a",sink="out"} 1000
logferry_delivered_bytes_total{tenant="b, \"}{\\",sink="out"} 2.5e3 1795255199000
logferry_delivered_bytes_total_other 7
logferry_up 1
logferry_write_to_ack_seconds_bucket{lane="a",le="0.1"} 30
logferry_write_to_ack_seconds_bucket{lane="a",le="0.5"} 40
logferry_write_to_ack_seconds_bucket{lane="a",le="+Inf"} 50
logferry_write_to_ack_seconds_bucket{lane="b",le="0.1"} 20
logferry_write_to_ack_seconds_bucket{lane="b",le="0.5"} 50
logferry_write_to_ack_seconds_bucket{lane="b",le="+Inf"} 50
some_summary{quantile="0.5"} 0.25
some_summary{lane="b",quantile="0.5"} 0.75
some_summary_sum 3
"#;

    #[test]
    fn sums_go_over_all_label_sets() {
        let metrics = Exposition::parse(TEXT).unwrap();
        assert_eq!(metrics.sum("logferry_delivered_bytes_total"), Some(3500.0));
        assert_eq!(metrics.sum("logferry_up"), Some(1.0));
        assert_eq!(metrics.sum("logferry_down"), None);
        assert_eq!(metrics.samples[1].labels[0].1, "b, \"}{\\");
    }

    #[test]
    fn quantiles_interpolate_within_buckets() {
        let metrics = Exposition::parse(TEXT).unwrap();
        let quantile = |quantile| metrics.quantile("logferry_write_to_ack_seconds", quantile);
        assert_eq!(quantile(0.25), Some(0.05));
        assert_eq!(quantile(0.5), Some(0.1));
        let near = |got: Option<f64>, want: f64| (got.unwrap() - want).abs() < 1e-12;
        assert!(near(quantile(0.7), 0.3), "{:?}", quantile(0.7));
        assert_eq!(quantile(0.99), Some(0.5), "beyond the last bound: the last bound");
        assert_eq!(metrics.quantile("some_summary", 0.5), Some(0.75));
        assert_eq!(metrics.quantile("nothing", 0.5), None);
    }

    #[test]
    fn lines_in_no_format_are_named() {
        for bad in ["name", "name{le=\"1\" 3", "name x", "{le=\"1\"} 3", "name{le=1} 3"] {
            let error = Exposition::parse(&format!("up 1\n{bad}\n")).unwrap_err();
            assert!(error.to_string().starts_with("metrics: line 2:"), "{error}");
        }
    }

    /// Answers one request with `answer`.
    fn serve(answer: String) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let count = peer.read(&mut request).unwrap();
            peer.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request[..count].to_vec()).unwrap()
        });
        (address, server)
    }

    #[test]
    fn metrics_are_fetched_over_http() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
        let (address, server) =
            serve(format!("{head}Content-Length: {}\r\n\r\n{TEXT}", TEXT.len()));
        let metrics = fetch(address).unwrap();
        assert_eq!(metrics.sum("logferry_delivered_bytes_total"), Some(3500.0));
        assert!(server.join().unwrap().starts_with("GET /metrics HTTP/1.1\r\n"));
    }

    #[test]
    fn other_answers_are_errors() {
        let (address, server) = serve("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned());
        assert!(matches!(fetch(address), Err(ExpositionError::Status { status: 404, .. })));
        server.join().unwrap();
        assert!(matches!(fetch(address), Err(ExpositionError::Http { .. })));
    }
}
