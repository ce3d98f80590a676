//! Agent config: the YAML file that a bench starts the agent with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the agent reads from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputConfig {
    /// Files that a pattern matches.
    Files(String),
    /// Containers below a folder laid out as `/var/log/pods`.
    Containers(PathBuf),
    /// Such containers, whose traces of Java are put together.
    Traces(PathBuf),
}

/// Where the agent delivers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputConfig {
    /// Encoded, not compressed, and forgotten.
    Blackhole,
    /// The embedded queue in a folder, compressed by zstd at level 1.
    Queue(PathBuf),
    /// A file, as lines of JSON.
    File(PathBuf),
    /// A topic of Kafka.
    Kafka(KafkaOutput),
}

/// How the agent delivers to Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaOutput {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// Where all goes.
    pub topic: String,
    /// `otlp_proto` or `json_lines`.
    pub encoding: &'static str,
    /// Whether the agent compresses payloads itself, instead of the client library record batches: by
    /// zstd at level 1 either way.
    pub payload_compression: bool,
}

impl KafkaOutput {
    /// The sink's fields, and its compression.
    fn to_yaml(&self) -> (String, &'static str) {
        let (payloads, batches) = if self.payload_compression {
            (", payloadCompression: {codec: zstd, level: 1}", "{codec: none}")
        } else {
            ("", "{codec: zstd, level: 1}")
        };
        let (brokers, topic) = (quote(&self.brokers), quote(&self.topic));
        (format!("kafka: {{brokers: [{brokers}], topic: {topic}{payloads}}}"), batches)
    }
}

/// One configuration of the agent: one input, one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// Folder of checkpoints.
    pub state: PathBuf,
    /// Where it listens for requests for metrics.
    pub listen: SocketAddr,
    /// Where it reads from.
    pub input: InputConfig,
    /// Where it delivers to.
    pub output: OutputConfig,
}

impl AgentConfig {
    /// The YAML file.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let input = match &self.input {
            InputConfig::Files(pattern) => format!("files: {{include: [{}]}}", quote(pattern)),
            InputConfig::Containers(root) | InputConfig::Traces(root) => {
                format!("containers: {{root: {}}}", quote_path(root))
            }
        };
        let multiline = match &self.input {
            InputConfig::Traces(_) => ", multiline: {preset: java}",
            InputConfig::Files(_) | InputConfig::Containers(_) => "",
        };
        let mut encoding = "otlp_proto";
        let (output, compression) = match &self.output {
            OutputConfig::Blackhole => ("blackhole: {}".to_owned(), "{codec: none}"),
            OutputConfig::Queue(path) => {
                (format!("queue: {{path: {}}}", quote_path(path)), "{codec: zstd, level: 1}")
            }
            OutputConfig::File(path) => {
                encoding = "json_lines";
                (format!("file: {{path: {}}}", quote_path(path)), "{codec: none}")
            }
            OutputConfig::Kafka(kafka) => {
                encoding = kafka.encoding;
                kafka.to_yaml()
            }
        };
        let agent = format!(
            "{{stateDirectory: {}, listen: \"{}\", hostName: bench}}",
            quote_path(&self.state),
            self.listen
        );
        let input = format!("{{tenant: bench, sink: out, source: {{{input}}}{multiline}}}");
        let sink = format!("{{{output}, encoding: {encoding}, compression: {compression}}}");
        documents([
            ("Agent", "bench", &*agent),
            ("LogConfig", "input", &*input),
            ("LogSink", "out", &*sink),
        ])
    }
}

/// Resources as YAML: kind, name and spec of each.
pub(crate) fn documents<'a>(
    resources: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
) -> String {
    let document = |(kind, name, spec): (&str, &str, &str)| {
        format!(
            "apiVersion: logferry.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        )
    };
    resources.into_iter().map(document).collect::<Vec<_>>().join("---\n")
}

/// `text` in YAML: a JSON string is one.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quote_path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_to_the_blackhole() {
        let config = AgentConfig {
            state: PathBuf::from("/x/state"),
            listen: "127.0.0.1:19180".parse().unwrap(),
            input: InputConfig::Files("/x/in/*.log".to_owned()),
            output: OutputConfig::Blackhole,
        };
        assert_eq!(
            config.to_yaml(),
            r#"apiVersion: logferry.dev/v1alpha1
kind: Agent
metadata: {name: bench}
spec: {stateDirectory: "/x/state", listen: "127.0.0.1:19180", hostName: bench}
---
apiVersion: logferry.dev/v1alpha1
kind: LogConfig
metadata: {name: input}
spec: {tenant: bench, sink: out, source: {files: {include: ["/x/in/*.log"]}}}
---
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: out}
spec: {blackhole: {}, encoding: otlp_proto, compression: {codec: none}}
"#
        );
    }

    #[test]
    fn traces_are_put_together() {
        let config = AgentConfig {
            state: PathBuf::from("/x/state"),
            listen: "127.0.0.1:1".parse().unwrap(),
            input: InputConfig::Traces(PathBuf::from("/x/pods")),
            output: OutputConfig::Blackhole,
        };
        let yaml = config.to_yaml();
        let want = r#"source: {containers: {root: "/x/pods"}}, multiline: {preset: java}}"#;
        assert!(yaml.contains(want), "{yaml}");
    }

    #[test]
    fn kafka_compresses_once() {
        let mut output = KafkaOutput {
            brokers: "127.0.0.1:9092".to_owned(),
            topic: "logs".to_owned(),
            encoding: "json_lines",
            payload_compression: false,
        };
        let kafka = r#"kafka: {brokers: ["127.0.0.1:9092"], topic: "logs"}"#;
        assert_eq!(output.to_yaml(), (kafka.to_owned(), "{codec: zstd, level: 1}"));
        output.payload_compression = true;
        let (kafka, batches) = output.to_yaml();
        assert!(kafka.ends_with(", payloadCompression: {codec: zstd, level: 1}}"), "{kafka}");
        assert_eq!(batches, "{codec: none}");
    }

    #[test]
    fn containers_to_the_queue() {
        let config = AgentConfig {
            state: PathBuf::from("/x/state"),
            listen: "127.0.0.1:1".parse().unwrap(),
            input: InputConfig::Containers(PathBuf::from("/x/po\"ds")),
            output: OutputConfig::Queue(PathBuf::from("/x/queue")),
        };
        let yaml = config.to_yaml();
        assert!(yaml.contains(r#"source: {containers: {root: "/x/po\"ds"}}"#), "{yaml}");
        assert!(yaml.contains(
            r#"{queue: {path: "/x/queue"}, encoding: otlp_proto, compression: {codec: zstd, level: 1}}"#
        ));
    }
}
