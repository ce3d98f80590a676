//! Found: where the agent sends each file of a world.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::bounded;
use crossbeam::sync::Parker;
use flow::SystemClock;
use pipeline::Tick;
use pipeline::discovery::{Discovery, DiscoveryParts, Place, ReaderDoor, Rule};
use pipeline::fs::Fs;
use pipeline::meter::Meter;
use pipeline::reader::{Command, DiscoveryDoor};
use sink::kafka::TopicTemplate;

use super::{SINKS, Way, World};
use crate::plan::ByLabels;

impl World {
    /// Where each file goes that the agent reads; `None` if it refuses the configuration.
    pub(super) fn found(&self) -> Option<BTreeMap<PathBuf, Way>> {
        let file = crd::ConfigFile { path: "w.yaml".into(), bytes: Ok(self.yaml().into_bytes()) };
        let settings = crd::resolve(vec![file]).ok()?;
        let tree: Arc<dyn Fs> = Arc::new(self.tree());
        let watched = self.watched(&settings);
        let by_labels = match &watched {
            Some(watched) => watched.by_labels.clone(),
            None => ByLabels::of(&settings, &Arc::default()),
        };
        let rules = settings.log_configs.iter().map(|config| {
            let rule = crate::plan::rule(config, &settings, watched.as_ref(), by_labels.as_ref())
                .expect("a rule");
            Rule { fs: Arc::clone(&tree), ..rule }
        });
        let (commands, heard) = bounded(1000);
        let unparker = Parker::new().unparker().clone();
        let (_door, asks) = DiscoveryDoor::new(unparker.clone());
        let mut discovery = Discovery::new(DiscoveryParts {
            clock: Arc::new(SystemClock),
            watch: None,
            rules: rules.collect(),
            place: Place::default(),
            readers: vec![ReaderDoor { commands, unparker }],
            asks,
            meter: Arc::new(Meter::default()),
            scan_interval_ns: 1_000_000_000,
            open_files_max: 0,
        });
        while discovery.tick() == Tick::Busy {}
        let mut ways = BTreeMap::new();
        for command in heard.try_iter() {
            let Command::Look { spec, files, .. } = command else { panic!("{command:?}") };
            let sink = &settings.sinks[spec.sink];
            let crd::SinkTarget::Kafka(kafka) = &sink.target else { panic!("{sink:?}") };
            let template: TopicTemplate = kafka.topic.parse().expect("a topic");
            let number = SINKS.iter().position(|it| *it == sink.name).expect("a sink");
            let topic = template.render(&spec.context).ok();
            let way = (spec.rule.to_string(), spec.context.tenant.to_string(), number, topic);
            assert!(ways.insert(files[0].path.clone(), way).is_none(), "{files:?} read twice");
        }
        Some(ways)
    }
}
