//! Config: what the agent is told where tenants share it: containers by namespace, one sink for all.

use std::net::SocketAddr;
use std::path::Path;

use crate::agent_config::documents;

/// A configuration, but for folders and ports.
#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    /// Further fields of the Agent.
    pub(super) agent: &'static str,
    /// The LogSink's.
    pub(super) sink: String,
    /// Further fields of the LogConfig of the aggressor's namespace; without them it has none of its own.
    pub(super) aggressor: &'static str,
    /// LogTenants: name and fields.
    pub(super) tenants: Vec<(String, String)>,
}

impl Config {
    /// The YAML of an agent with this state that listens there and reads containers below `root`.
    pub(super) fn to_yaml(&self, state: &Path, listen: SocketAddr, root: &Path) -> String {
        let (state, root) = (quote(state), quote(root));
        // The grace: what is on its way when all is measured is of no interest.
        let agent = format!(
            "{{stateDirectory: {state}, listen: \"{listen}\", hostName: bench, shutdownGrace: 1s{}}}",
            self.agent
        );
        let containers = |namespaces: &str| {
            format!("sink: out, source: {{containers: {{root: {root}{namespaces}}}}}")
        };
        let mut resources = vec![
            ("Agent", "bench".to_owned(), agent),
            ("LogSink", "out".to_owned(), format!("{{{}}}", self.sink)),
        ];
        if !self.aggressor.is_empty() {
            // Before the other by its name: of two that want a container the first has it.
            let own = containers(", namespaces: {include: [aggressor]}");
            let spec = format!("{{{own}{}}}", self.aggressor);
            resources.push(("LogConfig", "aggressor".to_owned(), spec));
        }
        resources.push(("LogConfig", "all".to_owned(), format!("{{{}}}", containers(""))));
        let tenants = self.tenants.iter();
        let tenants =
            tenants.map(|(name, spec)| ("LogTenant", name.clone(), format!("{{{spec}}}")));
        resources.extend(tenants);
        documents(resources.iter().map(|(kind, name, spec)| (*kind, &**name, &**spec)))
    }
}

/// The fields of a sink that is the embedded queue in `folder`.
pub(super) fn queue(folder: &Path) -> String {
    format!("queue: {{path: {}}}, compression: {{codec: zstd, level: 1}}", quote(folder))
}

/// A path in YAML: a JSON string is one.
fn quote(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aggressor_has_a_log_config_of_its_own_that_comes_first() {
        let config = Config {
            agent: ", memory: 64MiB",
            sink: queue(Path::new("/x/queue")),
            aggressor: ", multiline: {preset: java}",
            tenants: vec![("victim".to_owned(), "weight: 7".to_owned())],
        };
        let yaml =
            config.to_yaml(Path::new("/s"), ([127, 0, 0, 1], 1).into(), Path::new("/x/pods"));
        let specs: Vec<&str> = yaml.lines().filter_map(|it| it.strip_prefix("spec: ")).collect();
        assert_eq!(
            specs,
            [
                r#"{stateDirectory: "/s", listen: "127.0.0.1:1", hostName: bench, shutdownGrace: 1s, memory: 64MiB}"#,
                r#"{queue: {path: "/x/queue"}, compression: {codec: zstd, level: 1}}"#,
                r#"{sink: out, source: {containers: {root: "/x/pods", namespaces: {include: [aggressor]}}}, multiline: {preset: java}}"#,
                r#"{sink: out, source: {containers: {root: "/x/pods"}}}"#,
                "{weight: 7}",
            ]
        );
        let without = Config { aggressor: "", ..config };
        let yaml = without.to_yaml(Path::new("/s"), ([127, 0, 0, 1], 1).into(), Path::new("/x"));
        assert_eq!(yaml.matches("kind: LogConfig").count(), 1);
    }
}
