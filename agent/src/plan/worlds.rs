//! Worlds: random tenants, LogConfigs and sinks beside namespaces, pods and files that anybody may have named,
//! from the configuration's text through plan and discovery to tenant, sink and topic.
//!
//! What is to be read, and whose it is, is told by [`World::expected`] from the world itself, by other
//! code than the agent's. No file is opened on the way: content decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam::channel::bounded;
use crossbeam::sync::Parker;
use flow::SystemClock;
use pipeline::discovery::{Discovery, DiscoveryParts, Place, ReaderDoor};
use pipeline::fs::Fs;
use pipeline::meter::Meter;
use pipeline::reader::{Command, DiscoveryDoor};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use sink::kafka::TopicTemplate;

mod tree;
use tree::Tree;

/// Worlds of one run, unless `WORLDS` says how many, as `scripts/sim.sh` does.
const WORLDS: u32 = 1000;

const TENANTS: [&str; 6] = ["shop", "bank", "a", "default", "a-b", "team.x"];
const GLOBS: [&str; 9] = ["shop", "shop-*", "bank", "ban?-*", "a", "b*", "*-eu", "a-b", "default"];
const NAMESPACES: [&str; 12] = [
    "shop",
    "shop-eu",
    "bank",
    "bank-1",
    "a",
    "b",
    "a-b",
    "b-c",
    "default",
    "shop-",
    "Shop",
    "${tenant}",
];
const PODS: [&str; 5] = ["web-0", "${namespace}", "bank_bank", "shop", "x\n"];
const CONTAINERS: [&str; 3] = ["app", "shop_a_b", "${tenant}"];
const FOLDERS: [&str; 4] = ["app", "shop", "bank_a_b", "${tenant}\n"];
const SINKS: [&str; 3] = ["default", "two", "three"];
const TOPICS: [&str; 4] =
    ["${tenant}", "x-${tenant}.${namespace}", "${namespace}_${tenant}", "${tenant}.x-${tenant}"];

/// What LogConfigs name behind these.
const OWN_TOPICS: [&str; 4] = ["x", "bank", "_shop.a_bank", "x-bank.b"];
const TOPIC_GLOBS: [&str; 3] = ["*", "x*", "bank"];

/// Indices into the lists above.
#[derive(Debug, Clone)]
struct Tenant {
    name: usize,
    globs: Option<BTreeSet<usize>>,
    sinks: Option<BTreeSet<usize>>,
    topics: Option<BTreeSet<usize>>,
}

#[derive(Debug, Clone)]
struct LogConfig {
    /// Of a namespace, and so written by whoever has it.
    namespace: Option<usize>,
    tenant: Option<usize>,
    sink: usize,
    topic: Option<usize>,
    /// Of files, or of containers of these namespaces.
    globs: Option<BTreeSet<usize>>,
    /// An annotation and a label that say it is of somebody else.
    claims: usize,
}

#[derive(Debug, Clone)]
struct World {
    topics: [usize; 3],
    tenants: Vec<Tenant>,
    configs: Vec<LogConfig>,
    /// Namespace, pod, container.
    pods: BTreeSet<(usize, usize, usize)>,
    folders: BTreeSet<usize>,
}

/// Where the records of a file go: LogConfig, tenant, sink, topic.
type Way = (String, String, usize, Option<String>);

fn some_of(list: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..list, 1..3)
}

fn world() -> impl Strategy<Value = World> {
    let tenant = (
        0..TENANTS.len(),
        prop::option::of(some_of(GLOBS.len())),
        prop::option::weighted(0.3, some_of(SINKS.len())),
        prop::option::weighted(0.3, some_of(TOPIC_GLOBS.len())),
    );
    let tenant =
        tenant.prop_map(|(name, globs, sinks, topics)| Tenant { name, globs, sinks, topics });
    let config = (
        prop::option::weighted(0.3, 0..7_usize),
        prop::option::weighted(0.2, 0..TENANTS.len()),
        0..SINKS.len(),
        prop::option::of(0..OWN_TOPICS.len()),
        prop::option::weighted(0.8, some_of(GLOBS.len() + 1)),
        0..TENANTS.len(),
    );
    let config = config.prop_map(|(namespace, tenant, sink, topic, globs, claims)| {
        // What is of a namespace names no tenant, no other namespace and no files.
        let tenant = tenant.filter(|_| namespace.is_none());
        let globs = if namespace.is_some() { Some(BTreeSet::new()) } else { globs };
        LogConfig { namespace, tenant, sink, topic, globs, claims }
    });
    let pods = (0..NAMESPACES.len(), 0..PODS.len(), 0..CONTAINERS.len());
    let topics = [0..TOPICS.len(), 0..TOPICS.len(), 0..TOPICS.len()];
    let tenants = prop::collection::vec(tenant, 0..4);
    let configs = prop::collection::vec(config, 1..4);
    let pods = prop::collection::btree_set(pods, 1..6);
    let folders = prop::collection::btree_set(0..FOLDERS.len(), 0..2);
    (topics, tenants, configs, pods, folders).prop_map(
        |(topics, tenants, configs, pods, folders)| World {
            topics,
            tenants,
            configs,
            pods,
            folders,
        },
    )
}

impl World {
    fn yaml(&self) -> String {
        let mut text = String::new();
        let mut add = |kind: &str, metadata: &str, spec: &str| {
            let head = "apiVersion: logferry.dev/v1alpha1";
            write!(text, "---\n{head}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {{{spec}}}\n")
                .expect("memory");
        };
        for (name, topic) in SINKS.iter().zip(self.topics) {
            let kafka = format!("kafka: {{brokers: ['k:1'], topic: '{}'}}", TOPICS[topic]);
            add("LogSink", &format!("name: {name}"), &kafka);
        }
        let list = |of: &[&str], indices: &BTreeSet<usize>| {
            let names: Vec<String> = indices.iter().map(|&it| format!("'{}'", of[it])).collect();
            format!("[{}]", names.join(", "))
        };
        for tenant in &self.tenants {
            let globs =
                tenant.globs.as_ref().map(|it| format!("namespaces: {}, ", list(&GLOBS, it)));
            let sinks = tenant.sinks.as_ref().map(|it| format!("sinks: {}, ", list(&SINKS, it)));
            let topics =
                tenant.topics.as_ref().map(|it| format!("topics: {}", list(&TOPIC_GLOBS, it)));
            let spec = [globs, sinks, topics].into_iter().flatten().collect::<String>();
            add("LogTenant", &format!("name: {}", TENANTS[tenant.name]), &spec);
        }
        let all: Vec<&str> = GLOBS.into_iter().chain(["*"]).collect();
        for (number, config) in self.configs.iter().enumerate() {
            let namespace = config.namespace.map(|it| format!(", namespace: {}", NAMESPACES[it]));
            let claim = format!("logferry.dev/tenant: {}, topic: bank", TENANTS[config.claims]);
            let metadata = format!(
                "name: c{number}{}, labels: {{{claim}}}, annotations: {{{claim}}}",
                namespace.unwrap_or_default()
            );
            let source = match &config.globs {
                None => format!("files: {{include: [/srv/*/c{number}.log]}}"),
                Some(_) if config.namespace.is_some() => "containers: {}".to_owned(),
                Some(it) => {
                    format!("containers: {{namespaces: {{include: {}}}}}", list(&all, it))
                }
            };
            let tenant = config.tenant.map(|it| format!("tenant: {}, ", TENANTS[it]));
            let topic = config.topic.map(|it| format!("topic: {}, ", OWN_TOPICS[it]));
            let own = [tenant, topic].into_iter().flatten().collect::<String>();
            let spec = format!("{own}sink: {}, source: {{{source}}}", SINKS[config.sink]);
            add("LogConfig", &metadata, &spec);
        }
        text
    }

    fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        for &(namespace, pod, container) in &self.pods {
            let pod = format!("{}_{}_uid", NAMESPACES[namespace], PODS[pod]);
            tree.add(&Path::new("/var/log/pods").join(pod).join(CONTAINERS[container]), "0.log");
        }
        for &folder in &self.folders {
            for number in 0..self.configs.len() {
                tree.add(&Path::new("/srv").join(FOLDERS[folder]), &format!("c{number}.log"));
            }
        }
        tree
    }

    /// Where each file that is to be read goes, by its path.
    fn expected(&self) -> BTreeMap<PathBuf, Way> {
        let mut ways = BTreeMap::new();
        // The first by namespace and name has it; those without a namespace come first.
        let mut order: Vec<usize> = (0..self.configs.len()).collect();
        order.sort_by_key(|&it| (self.configs[it].namespace.map(|it| NAMESPACES[it]), it));
        for number in order {
            let config = &self.configs[number];
            let name = match config.namespace {
                Some(it) => format!("{}/c{number}", NAMESPACES[it]),
                None => format!("c{number}"),
            };
            let fixed = config.tenant.map(|it| TENANTS[it]);
            let mut add = |path: PathBuf, tenant: &str, namespace: Option<&str>| {
                let topic = self.topic(config, tenant, namespace);
                let way = (name.clone(), tenant.to_owned(), config.sink, topic);
                ways.entry(path).or_insert(way);
            };
            let Some(globs) = &config.globs else {
                for &folder in &self.folders {
                    let file = format!("c{number}.log");
                    let path = Path::new("/srv").join(FOLDERS[folder]).join(file);
                    add(path, fixed.unwrap_or("default"), None);
                }
                continue;
            };
            for &(namespace, pod, container) in &self.pods {
                // What the first two underscores separate; a namespace has none, and no capital.
                let space = NAMESPACES[namespace];
                let is_name =
                    |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
                let is_selected = match config.namespace {
                    Some(it) => NAMESPACES[it] == space,
                    None => {
                        globs.iter().any(|&it| GLOBS.get(it).is_none_or(|it| matches(it, space)))
                    }
                };
                if !space.chars().all(is_name) || !is_selected {
                    continue;
                }
                let Some(tenant) = fixed.or_else(|| self.owner(space)) else { continue };
                if self.may_go(tenant, config) {
                    let pod = format!("{space}_{}_uid", PODS[pod]);
                    let path = Path::new("/var/log/pods").join(pod);
                    add(path.join(CONTAINERS[container]).join("0.log"), tenant, Some(space));
                }
            }
        }
        ways
    }

    fn owner<'a>(&self, namespace: &'a str) -> Option<&'a str> {
        let lists = |tenant: &&Tenant| {
            let mut globs = tenant.globs.iter().flatten();
            globs.any(|&it| matches(GLOBS[it], namespace))
        };
        if let Some(tenant) = self.tenants.iter().find(lists) {
            return Some(TENANTS[tenant.name]);
        }
        let is_others = |it: &Tenant| TENANTS[it.name] == namespace && it.globs.is_some();
        (!self.tenants.iter().any(is_others)).then_some(namespace)
    }

    fn may_go(&self, tenant: &str, config: &LogConfig) -> bool {
        let tenant = self.tenants.iter().find(|it| TENANTS[it.name] == tenant);
        let sinks = tenant.and_then(|it| it.sinks.as_ref());
        let globs = config.topic.and_then(|_| tenant?.topics.as_ref());
        let is_named =
            |it: &usize| matches(TOPIC_GLOBS[*it], OWN_TOPICS[config.topic.unwrap_or_default()]);
        sinks.is_none_or(|it| it.contains(&config.sink))
            && globs.is_none_or(|it| it.iter().any(is_named))
    }

    fn topic(&self, config: &LogConfig, tenant: &str, namespace: Option<&str>) -> Option<String> {
        let own = config.topic.map_or_else(String::new, |it| format!("_{}", OWN_TOPICS[it]));
        let topic = TOPICS[self.topics[config.sink]].replace("${tenant}", tenant) + &own;
        match namespace {
            Some(namespace) => Some(topic.replace("${namespace}", namespace)),
            None => (!topic.contains('$')).then_some(topic),
        }
    }

    /// Where each file goes that the agent reads; `None` if it refuses the configuration.
    fn found(&self) -> Option<BTreeMap<PathBuf, Way>> {
        let file = crd::ConfigFile { path: "w.yaml".into(), bytes: Ok(self.yaml().into_bytes()) };
        let settings = crd::resolve(vec![file]).ok()?;
        let tree: Arc<dyn Fs> = Arc::new(self.tree());
        let rules = settings.log_configs.iter().map(|config| {
            let rule = super::rule(config, &settings, None, None).expect("a rule");
            pipeline::discovery::Rule { fs: Arc::clone(&tree), ..rule }
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
        discovery.tick();
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

/// Whether a glob of `*` and `?` matches.
fn matches(glob: &str, name: &str) -> bool {
    let mut chars = name.chars();
    match glob.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            matches(&glob[1..], name) || chars.next().is_some() && matches(glob, chars.as_str())
        }
        Some(one) => {
            chars.next().is_some_and(|it| one == '?' || one == it)
                && matches(&glob[one.len_utf8()..], chars.as_str())
        }
    }
}

#[test]
fn every_file_reaches_the_topic_of_its_own_tenant_or_none() {
    let cases = std::env::var("WORLDS").ok().and_then(|it| it.parse().ok()).unwrap_or(WORLDS);
    // Those that are refused are none.
    let config = Config {
        cases,
        max_global_rejects: cases * 9,
        failure_persistence: None,
        ..Config::default()
    };
    let seen = std::cell::RefCell::new((0_u64, 0_u64));
    let outcome = TestRunner::new(config).run(&world(), |world| {
        let Some(found) = world.found() else { return Err(TestCaseError::reject("refused")) };
        let expected = world.expected();
        let count = (found.len() as u64, world.pods.len() as u64);
        if found != expected {
            let why = format!("read {found:#?}\nbut {expected:#?} is right\n{}", world.yaml());
            return Err(TestCaseError::fail(why));
        }
        // Two tenants in one topic of a sink would both be as expected.
        let mut owners: BTreeMap<(usize, &str), &str> = BTreeMap::new();
        for (_, tenant, sink, topic) in found.values() {
            let Some(topic) = topic else { continue };
            let owner = owners.entry((*sink, topic)).or_insert(tenant);
            prop_assert_eq!(&**owner, &**tenant, "{} of sink {}", topic, sink);
        }
        let mut seen = seen.borrow_mut();
        *seen = (seen.0 + count.0, seen.1 + count.1);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, world)) => panic!("{world:#?}\n{why}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    let (read, pods) = seen.into_inner();
    println!("{cases} worlds: {read} files are read, of {pods} pods");
    assert!(read > u64::from(cases) / 2, "worlds in which nothing is read show nothing");
}
