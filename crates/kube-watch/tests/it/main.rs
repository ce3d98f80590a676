//! Watches of a fake API server that does what it is told.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flow::{Clock, SystemClock};
use kube_kit::ApiServer;
use kube_watch::{Access, Cluster, ClusterOptions, Kind, StartError, Timing, WatchMeter};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest that anything may take: only reached by a test that fails.
const DEADLINE_NS: u64 = 30_000_000_000;

struct Bed {
    folder: TempDir,
    api: ApiServer,
}

impl Bed {
    fn new() -> Bed {
        let bed = Bed { folder: tempfile::tempdir().unwrap(), api: ApiServer::start().unwrap() };
        std::fs::write(bed.folder.path().join("kubeconfig"), bed.api.kubeconfig()).unwrap();
        bed
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("cluster.json")
    }

    fn start(&self) -> Cluster {
        Cluster::start(self.options()).unwrap()
    }

    fn options(&self) -> ClusterOptions {
        let timing = Timing {
            retry_first: Duration::from_millis(20),
            retry_max: Duration::from_millis(200),
            silence_max: Duration::from_secs(1),
        };
        options(self.folder.path(), "node-1", timing)
    }
}

fn options(folder: &Path, node: &str, timing: Timing) -> ClusterOptions {
    ClusterOptions {
        access: Access::Kubeconfig(folder.join("kubeconfig")),
        node_name: node.to_owned(),
        state_path: folder.join("cluster.json"),
        timing,
        asks_aliyun: false,
        clock: Arc::new(SystemClock),
    }
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline_ns = SystemClock.monotonic_ns() + DEADLINE_NS;
    while !is_so() {
        assert!(
            SystemClock.monotonic_ns() < deadline_ns,
            "{what}: not within {} s",
            DEADLINE_NS / 1_000_000_000
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn names(cluster: &Cluster) -> Vec<String> {
    cluster.resources(|_| true).into_iter().flatten().map(|it| it.key.to_string()).collect()
}

fn meter(cluster: &Cluster, kind: Kind) -> Arc<WatchMeter> {
    let all = cluster.meters();
    Arc::clone(&all.iter().find(|(it, _)| *it == kind).unwrap().1)
}

fn pod(node: &str, name: &str, uid: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": uid, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "app"}]},
    })
}

fn config(name: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"sink": "default"}})
}

#[test]
fn the_pods_of_this_node_and_all_resources_are_followed() {
    let bed = Bed::new();
    bed.api.apply("pods", pod("node-1", "web-0", "1"));
    bed.api.apply("pods", pod("node-2", "web-1", "2"));
    bed.api.apply("logconfigs", config("web"));
    let cluster = bed.start();
    wait_until("the lists", || names(&cluster) == ["LogConfig shop/web"]);
    assert_eq!(cluster.pods().get("1").unwrap().labels["app"], "web-0");
    assert_eq!(cluster.pods().get("2"), None, "it is of another node");
    bed.api.apply("logsinks", json!({"metadata": {"name": "default"}, "spec": {"stdout": {}}}));
    bed.api.apply("pods", pod("node-1", "web-2", "3"));
    wait_until("the sink", || names(&cluster) == ["LogSink default", "LogConfig shop/web"]);
    wait_until("the pod", || cluster.pods().get("3").is_some());
    bed.api.delete("logconfigs", "shop", "web");
    wait_until("the end of the LogConfig", || names(&cluster) == ["LogSink default"]);
}

#[test]
fn at_rest_there_is_one_watch_a_kind_and_nothing_else() {
    let bed = Bed::new();
    for number in 0..200 {
        bed.api.apply("pods", pod("node-1", &format!("web-{number}"), &number.to_string()));
    }
    let cluster = bed.start();
    let open = || cluster.meters().iter().filter(|(_, meter)| meter.is_open()).count();
    wait_until("all watches", || open() == 5);
    std::thread::sleep(Duration::from_secs(3));
    let asked = bed.api.requests();
    for kind in Kind::ALL {
        let of = |verb: &str| {
            asked.iter().filter(|it| it.verb == verb && it.plural == kind.plural()).count()
        };
        let want = usize::from(kind != Kind::Namespaces && !kind.is_aliyun());
        assert_eq!((of("list"), of("watch")), (want, want), "{kind:?}: {asked:#?}");
    }
    let fields = asked.iter().filter(|it| it.fields.as_deref() == Some("spec.nodeName=node-1"));
    assert!(fields.count() == 2, "only pods are selected, and always: {asked:#?}");
    assert_eq!(open(), 5, "bookmarks kept them open");
}

#[test]
fn namespaces_are_watched_only_as_long_as_somebody_asks() {
    let bed = Bed::new();
    let namespace = |team: &str| json!({"metadata": {"name": "shop", "labels": {"team": team}}});
    bed.api.apply("namespaces", namespace("a"));
    let cluster = bed.start();
    let team = || cluster.namespaces().get("shop").map(|it| it.labels["team"].clone());
    cluster.ask_namespaces(true);
    wait_until("the labels", || team().as_deref() == Some("a"));
    bed.api.apply("namespaces", namespace("b"));
    wait_until("other labels", || team().as_deref() == Some("b"));
    let meter = meter(&cluster, Kind::Namespaces);
    cluster.ask_namespaces(true);
    assert!(meter.is_open());
    cluster.ask_namespaces(false);
    wait_until("the end", || !meter.is_open());
    assert_eq!(team().as_deref(), Some("b"), "what was said last");
    cluster.ask_namespaces(true);
    wait_until("another watch", || meter.is_open() && meter.lists() == 2);
    // Of a namespace that is gone nothing is known; the next of its name is another.
    bed.api.delete("namespaces", "", "shop");
    wait_until("the end of it", || team().is_none());
}

#[test]
fn a_server_that_forgot_is_listed_anew() {
    let bed = Bed::new();
    bed.api.apply("logconfigs", config("old"));
    let cluster = bed.start();
    wait_until("the list", || names(&cluster).len() == 1);
    let meter = meter(&cluster, Kind::LogConfigs);
    wait_until("the watch", || meter.is_open());
    // While the watch is away, one goes and another comes, and none of it is remembered.
    bed.api.set_down(true);
    wait_until("the end of the watch", || !meter.is_open());
    bed.api.delete("logconfigs", "shop", "old");
    bed.api.apply("logconfigs", config("new"));
    bed.api.forget();
    bed.api.set_down(false);
    wait_until("the new list", || names(&cluster) == ["LogConfig shop/new"]);
    assert_eq!(meter.lists(), 2);
    // And in the middle of a watch.
    wait_until("the watch again", || meter.is_open());
    bed.api.forget();
    wait_until("a third list", || meter.lists() == 3);
    bed.api.apply("logconfigs", config("newer"));
    wait_until("what came after", || names(&cluster).len() == 2);
}

#[test]
fn a_watch_that_is_half_open_is_noticed() {
    let bed = Bed::new();
    let cluster = bed.start();
    let meter = meter(&cluster, Kind::LogConfigs);
    wait_until("the watch", || meter.is_open());
    bed.api.set_silent(true);
    bed.api.apply("logconfigs", config("web"));
    wait_until("the failure", || meter.failures() > 0);
    assert!(names(&cluster).is_empty());
    bed.api.set_silent(false);
    wait_until("what was missed", || names(&cluster).len() == 1);
    assert_eq!(meter.lists(), 1, "the watch goes on where it was");
}

#[test]
fn watches_that_are_cut_go_on_where_they_were() {
    let bed = Bed::new();
    let cluster = bed.start();
    let meter = meter(&cluster, Kind::LogConfigs);
    for number in 0..5 {
        wait_until("the watch", || meter.is_open());
        bed.api.reset();
        bed.api.apply("logconfigs", config(&format!("config-{number}")));
        wait_until("the change", || names(&cluster).len() == number + 1);
    }
    assert_eq!(meter.lists(), 1);
}

#[test]
fn ten_thousand_resources_come_in_pages() {
    let bed = Bed::new();
    for number in 0..10_000 {
        bed.api.apply("logconfigs", config(&format!("config-{number:05}")));
    }
    let cluster = bed.start();
    wait_until("all of them", || names(&cluster).len() == 10_000);
    let pages = bed.api.requests().iter().filter(|it| it.plural == "logconfigs").count();
    assert!(pages >= 20, "{pages} pages");
}

#[test]
fn objects_too_large_for_a_page_come_in_smaller_ones() {
    let bed = Bed::new();
    for number in 0..60 {
        let mut config = config(&format!("config-{number}"));
        config["metadata"]["annotations"] = json!({"note": "x".repeat(200_000)});
        bed.api.apply("logconfigs", config);
    }
    let cluster = bed.start();
    wait_until("all of them", || names(&cluster).len() == 60);
}

#[test]
fn nothing_is_believed_before_all_kinds_are_listed() {
    let bed = Bed::new();
    bed.api.apply("logconfigs", config("web"));
    bed.api.set_slow_lists(Duration::from_millis(300));
    let cluster = bed.start();
    assert!(!cluster.is_known());
    wait_until("all lists", || cluster.is_known());
    assert_eq!(names(&cluster), ["LogConfig shop/web"]);
}

#[test]
fn a_kind_that_the_server_does_not_know_has_no_objects() {
    let bed = Bed::new();
    bed.api.apply("logconfigs", config("web"));
    bed.api.set_unknown("clusterlogconfigs");
    let cluster = bed.start();
    wait_until("the other kinds", || names(&cluster) == ["LogConfig shop/web"]);
    assert!(meter(&cluster, Kind::ClusterLogConfigs).failing_since_ns().is_some());
}

#[test]
fn kinds_of_alibaba_s_agent_are_followed_where_they_are_asked_for_and_need_not_be_there() {
    let bed = Bed::new();
    let object = |name: &str| json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"logstore": "a"}});
    bed.api.apply("aliyunlogconfigs", object("web"));
    bed.api.apply("logconfigs", config("web"));
    bed.api.set_unknown("clusteraliyunpipelineconfigs");
    let cluster = Cluster::start(ClusterOptions { asks_aliyun: true, ..bed.options() }).unwrap();
    let all = ["LogConfig shop/web", "AliyunLogConfig shop/web"];
    wait_until("the lists", || names(&cluster) == all);
    let text = cluster.resources(|_| true).unwrap().remove(1).text;
    assert!(
        text.contains(r#""apiVersion":"log.alibabacloud.com/v1alpha1","kind":"AliyunLogConfig""#),
        "{text}"
    );
    // That a kind is not there is no failure, and looked at again.
    let asked = || {
        let is_it = |it: &&kube_kit::Request| it.plural == "clusteraliyunpipelineconfigs";
        bed.api.requests().iter().filter(is_it).count()
    };
    wait_until("another look", || asked() > 2);
    let absent = meter(&cluster, Kind::ClusterAliyunPipelineConfigs);
    assert_eq!((absent.failing_since_ns(), absent.failures()), (None, 0));
    bed.api.apply("aliyunlogconfigs", object("api"));
    wait_until("another object", || names(&cluster).len() == 3);
    wait_until("the state", || {
        std::fs::read_to_string(bed.state()).unwrap_or_default().contains("api")
    });
    drop(cluster);
    // What was known of them is known at the next start, as long as they are asked for.
    bed.api.set_down(true);
    let cluster = Cluster::start(ClusterOptions { asks_aliyun: true, ..bed.options() }).unwrap();
    assert_eq!(names(&cluster).len(), 3);
    drop(cluster);
    assert_eq!(names(&bed.start()), ["LogConfig shop/web"]);
}

#[test]
fn without_the_server_what_it_said_last_is_true() {
    let bed = Bed::new();
    bed.api.apply("pods", pod("node-1", "web-0", "1"));
    bed.api.apply("logconfigs", config("web"));
    let cluster = bed.start();
    wait_until("the state", || std::fs::metadata(bed.state()).is_ok());
    drop(cluster);
    bed.api.set_down(true);
    let cluster = bed.start();
    assert_eq!(names(&cluster), ["LogConfig shop/web"]);
    assert_eq!(cluster.pods().get("1").unwrap().name, "web-0");
    wait_until("failures", || {
        let failing = |kind: Kind| meter(&cluster, kind).failing_since_ns().is_some();
        let is_asked = |it: &Kind| *it != Kind::Namespaces && !it.is_aliyun();
        Kind::ALL.into_iter().filter(is_asked).all(failing)
    });
    // What changed meanwhile counts as soon as it is back.
    bed.api.delete("logconfigs", "shop", "web");
    bed.api.apply("logconfigs", config("new"));
    assert_eq!(names(&cluster), ["LogConfig shop/web"]);
    bed.api.set_down(false);
    wait_until("the new list", || names(&cluster) == ["LogConfig shop/new"]);
    // A damaged state is none.
    drop(cluster);
    std::fs::write(bed.state(), "{").unwrap();
    bed.api.set_down(true);
    assert!(!bed.start().is_known());
}

#[test]
fn a_node_without_a_name_is_refused() {
    let bed = Bed::new();
    let refused = Cluster::start(options(bed.folder.path(), "", Timing::default()));
    assert!(matches!(refused, Err(StartError::NodeName)));
}
