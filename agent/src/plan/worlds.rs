//! Worlds: random tenants, LogConfigs and sinks beside namespaces, pods and files that anybody may have named and
//! labelled, from the configuration's text through plan and discovery to tenant, sink and topic.
//!
//! What is to be read, and whose it is, is told by [`World::expected`] from the world itself, by other
//! code than the agent's. No file is opened on the way: content decides nothing. An API server may know of pods and
//! namespaces, of some alone, or not be there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

mod expected;
mod found;
mod labels;
mod tree;
mod written;
use labels::{Labels, Selector, labels, selector};

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
    /// Of namespaces.
    labels: Option<Selector>,
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
    /// By labels of the namespaces; never of one of a namespace.
    namespaces: Option<Selector>,
    /// By labels of the pods.
    pods: Option<Selector>,
    /// An annotation and a label that say it is of somebody else.
    claims: usize,
}

/// What an API server says of pods of this name.
#[derive(Debug, Clone)]
enum Told {
    Nothing,
    Labels(Labels),
    /// Labels of a pod that has the uid, and another name.
    OfAnother(Labels),
}

#[derive(Debug, Clone)]
struct Api {
    /// By namespace; of some it knows nothing yet.
    namespaces: [Option<Labels>; NAMESPACES.len()],
    pods: [Told; PODS.len()],
}

#[derive(Debug, Clone)]
struct World {
    /// There may be none.
    api: Option<Api>,
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
        prop::option::weighted(0.3, selector()),
        prop::option::weighted(0.3, some_of(SINKS.len())),
        prop::option::weighted(0.3, some_of(TOPIC_GLOBS.len())),
    );
    let tenant = tenant.prop_map(|(name, globs, labels, sinks, topics)| Tenant {
        name,
        globs,
        labels,
        sinks,
        topics,
    });
    let config = (
        prop::option::weighted(0.3, 0..7_usize),
        prop::option::weighted(0.2, 0..TENANTS.len()),
        0..SINKS.len(),
        prop::option::of(0..OWN_TOPICS.len()),
        prop::option::weighted(0.8, some_of(GLOBS.len() + 1)),
        prop::option::weighted(0.3, selector()),
        prop::option::weighted(0.4, selector()),
        0..TENANTS.len(),
    );
    let config =
        config.prop_map(|(namespace, tenant, sink, topic, globs, namespaces, pods, claims)| {
            // What is of a namespace names no tenant, no other namespace and no files.
            let tenant = tenant.filter(|_| namespace.is_none());
            let globs = if namespace.is_some() { Some(BTreeSet::new()) } else { globs };
            let is_of_pods = globs.is_some();
            let namespaces = namespaces.filter(|_| namespace.is_none() && is_of_pods);
            let pods = pods.filter(|_| is_of_pods);
            LogConfig { namespace, tenant, sink, topic, globs, namespaces, pods, claims }
        });
    let pods = (0..NAMESPACES.len(), 0..PODS.len(), 0..CONTAINERS.len());
    let topics = [0..TOPICS.len(), 0..TOPICS.len(), 0..TOPICS.len()];
    let tenants = prop::collection::vec(tenant, 0..4);
    let configs = prop::collection::vec(config, 1..4);
    let pods = prop::collection::btree_set(pods, 1..6);
    let folders = prop::collection::btree_set(0..FOLDERS.len(), 0..2);
    let parts = (prop::option::weighted(0.8, api()), topics, tenants, configs, pods, folders);
    parts.prop_map(|(api, topics, tenants, configs, pods, folders)| World {
        api,
        topics,
        tenants,
        configs,
        pods,
        folders,
    })
}

fn api() -> impl Strategy<Value = Api> {
    let told = prop_oneof![
        1 => Just(Told::Nothing),
        6 => labels().prop_map(Told::Labels),
        1 => labels().prop_map(Told::OfAnother),
    ];
    let namespaces = prop::collection::vec(prop::option::weighted(0.8, labels()), NAMESPACES.len());
    let pods = prop::collection::vec(told, PODS.len());
    (namespaces, pods).prop_map(|(namespaces, pods)| Api {
        namespaces: namespaces.try_into().expect("one each"),
        pods: pods.try_into().expect("one each"),
    })
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
