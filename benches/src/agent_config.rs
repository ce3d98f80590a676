//! Agent config: the YAML file that a bench starts the agent with.

use std::fmt::Write;
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
        };
        let agent = format!(
            "{{stateDirectory: {}, listen: \"{}\", hostName: bench}}",
            quote_path(&self.state),
            self.listen
        );
        let mut yaml = String::new();
        for (separator, kind, name, spec) in [
            ("", "Agent", "bench", agent),
            (
                "---\n",
                "LogConfig",
                "input",
                format!("{{tenant: bench, sink: out, source: {{{input}}}{multiline}}}"),
            ),
            (
                "---\n",
                "LogSink",
                "out",
                format!("{{{output}, encoding: {encoding}, compression: {compression}}}"),
            ),
        ] {
            write!(
                yaml,
                "{separator}apiVersion: logferry.dev/v1alpha1\nkind: {kind}\n\
                 metadata: {{name: {name}}}\nspec: {spec}\n"
            )
            .expect("a string takes all that is written");
        }
        yaml
    }
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
