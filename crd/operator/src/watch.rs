//! Watch: keeps the copy of what the API server has up to date.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

use aliyun::Reach;
use crd::spec::LogConfigStatus;
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Node;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use kube_watch::{Kind, Resource, ResourceKey};
use metrics::counter;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Known};
use crate::metrics::WATCH_FAILURES;

/// Objects of a page of a list.
const PAGE_OBJECTS: u32 = 250;

/// How kube calls a kind.
pub(crate) fn api_resource(kind: Kind) -> ApiResource {
    let (group, version) = kind.api_version().split_once('/').unwrap_or_default();
    let kind_of = GroupVersionKind::gvk(group, version, kind.name());
    ApiResource::from_gvk_with_plural(&kind_of, kind.plural())
}

/// What agents write.
pub(crate) fn log_nodes(client: Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("logferry.dev", "v1alpha1", "LogNode");
    let resource = ApiResource::from_gvk_with_plural(&kind, "lognodes");
    Api::namespaced_with(client, namespace, &resource)
}

/// Begins all watches.
pub(crate) fn spawn(
    tasks: &mut JoinSet<()>,
    client: &Client,
    namespace: &str,
    cluster: &Arc<Cluster>,
) {
    for kind in cluster.kinds() {
        let resource = api_resource(kind);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        tasks.spawn(resources(api, kind, Arc::clone(cluster)));
    }
    tasks.spawn(said(log_nodes(client.clone(), namespace), Arc::clone(cluster)));
    tasks.spawn(nodes(Api::all(client.clone()), Arc::clone(cluster)));
}

async fn resources(api: Api<DynamicObject>, kind: Kind, cluster: Arc<Cluster>) {
    let mut there = HashSet::new();
    each(watcher(api, config()), kind.plural(), |event| match event {
        Event::Init => there.clear(),
        Event::InitApply(object) => {
            let (key, known) = known(kind, object, cluster.reach);
            there.insert(key.clone());
            cluster.put_resource(key, known);
        }
        Event::Apply(object) => {
            let (key, known) = known(kind, object, cluster.reach);
            cluster.put_resource(key, known);
        }
        Event::InitDone => cluster.listed(kind, &std::mem::take(&mut there)),
        Event::Delete(object) => cluster.remove_resource(&key(kind, &object)),
    })
    .await;
}

async fn said(api: Api<DynamicObject>, cluster: Arc<Cluster>) {
    let mut there = HashSet::new();
    each(watcher(api, config()), "lognodes", |event| match event {
        Event::Init => there.clear(),
        Event::InitApply(object) => {
            let node = object.name_any();
            cluster.put_log_node(&node, status_of(object));
            there.insert(node);
        }
        Event::Apply(object) => cluster.put_log_node(&object.name_any(), status_of(object)),
        Event::InitDone => cluster.listed_log_nodes(&std::mem::take(&mut there)),
        Event::Delete(object) => cluster.remove_log_node(&object.name_any()),
    })
    .await;
}

async fn nodes(api: Api<PartialObjectMeta<Node>>, cluster: Arc<Cluster>) {
    let mut there = HashSet::new();
    each(watcher(api, config()), "nodes", |event| match event {
        Event::Init => there.clear(),
        Event::InitApply(node) => {
            there.insert(node.name_any());
        }
        Event::InitDone => {
            let mut state = cluster.state();
            state.nodes = Some(std::mem::take(&mut there));
            let all = state.log_node_names();
            drop(state);
            all.into_iter().for_each(|node| cluster.nodes.add(node));
        }
        Event::Apply(node) => {
            cluster.state().nodes.get_or_insert_default().insert(node.name_any());
        }
        Event::Delete(node) => {
            cluster.state().nodes.get_or_insert_default().remove(&node.name_any());
            cluster.nodes.add(node.name_any());
        }
    })
    .await;
}

fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE_OBJECTS)
}

/// Hands over each event, for ever; what fails is begun anew, after pauses.
async fn each<K>(
    stream: impl futures_util::Stream<Item = watcher::Result<Event<K>>> + Send,
    plural: &'static str,
    mut hear: impl FnMut(Event<K>) + Send,
) where
    K: DeserializeOwned + Debug,
{
    let stream = stream.default_backoff();
    pin_mut!(stream);
    let mut is_failing = false;
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!(kind = plural, "the API server tells again");
                }
                hear(event);
            }
            Err(error) => {
                counter!(WATCH_FAILURES, "kind" => plural).increment(1);
                // A place that the server has forgotten is no failure of anybody.
                let is_gone =
                    matches!(&error, watcher::Error::WatchError(status) if status.code == 410);
                if !is_gone && !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(kind = plural, %error, "the API server does not tell; trying again");
                }
            }
        }
    }
}

fn key(kind: Kind, object: &DynamicObject) -> ResourceKey {
    ResourceKey { kind, namespace: object.namespace(), name: object.name_any() }
}

fn known(kind: Kind, mut object: DynamicObject, reach: Option<Reach>) -> (ResourceKey, Known) {
    let key = key(kind, &object);
    let generation = object.metadata.generation.unwrap_or(0);
    let spec = object.data["spec"].take();
    let status: LogConfigStatus = status_of(object);
    let text = Resource::new(key.clone(), spec).text;
    let reach = reach.filter(|_| kind.is_aliyun());
    let converted = reach.map(|it| aliyun::documents(&text, it));
    (key, Known { generation, text, converted, status, written_at: None, verdict: None })
}

/// One that cannot be read, as somebody else wrote it, is none: it will be written anew.
fn status_of<S: DeserializeOwned + Default>(mut object: DynamicObject) -> S {
    serde_json::from_value(object.data["status"].take()).unwrap_or_default()
}
