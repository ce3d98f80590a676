//! Schema: the resources as custom ones of Kubernetes, made of the very types that read YAML.
//!
//! Shape, words and descriptions come from the types; [`bounds`] adds ranges, patterns and defaults, [`rules`] what
//! holds between fields. A kube-apiserver so refuses what [`crate::resolve`] would, as far as one resource alone
//! tells; what takes other resources to know, the agent says.

mod bounds;
mod rules;
mod structural;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::spec::{
    API_VERSION, Kind, LogConfigSpec, LogConfigStatus, LogNodeStatus, LogSinkSpec, LogTenantSpec,
    OF_HOST, OF_NAMESPACE, Status,
};
use crate::values::write_value;

/// A kind that is a custom resource; the agent itself is none, but configured by a file.
struct Custom {
    kind: Kind,
    plural: &'static str,
    short: &'static str,
    columns: &'static [Column],
    shape: fn() -> Value,
    /// Columns of the status, after these.
    status_columns: &'static [Column],
    status: fn() -> Value,
}

/// A column of `kubectl get`: its name, its type, and its JSON path.
type Column = (&'static str, &'static str, &'static str);

/// Of what the operator finds out.
const ACCEPTED_COLUMNS: [Column; 2] = [
    ("Accepted", "string", ".status.conditions[?(@.type==\"Accepted\")].status"),
    ("Reason", "string", ".status.conditions[?(@.type==\"Accepted\")].reason"),
];

/// Of what the operator sums up.
const READY_COLUMNS: [Column; 7] = [
    ACCEPTED_COLUMNS[0],
    ("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
    ("Reason", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
    ("Pods", "integer", ".status.counts.pods"),
    ("Delivered", "integer", ".status.counts.deliveredBytes"),
    ("Lag", "integer", ".status.counts.lagBytes"),
    ("Lost", "integer", ".status.counts.lostBytes"),
];

/// What agents write, one for each node: no configuration, so no [`Kind`].
const LOG_NODE: &str = "LogNode";

const CUSTOM: [Custom; 4] = [
    Custom {
        kind: Kind::LogSink,
        plural: "logsinks",
        short: "lsink",
        columns: &[
            ("Encoding", "string", ".spec.encoding"),
            ("Topic", "string", ".spec.kafka.topic"),
        ],
        shape: shape::<LogSinkSpec>,
        status_columns: &ACCEPTED_COLUMNS,
        status: shape::<Status>,
    },
    Custom {
        kind: Kind::LogTenant,
        plural: "logtenants",
        short: "lt",
        columns: &[
            ("Weight", "string", ".spec.weight"),
            ("Reserved", "string", ".spec.memory.reserved"),
        ],
        shape: shape::<LogTenantSpec>,
        status_columns: &ACCEPTED_COLUMNS,
        status: shape::<Status>,
    },
    Custom {
        kind: Kind::ClusterLogConfig,
        plural: "clusterlogconfigs",
        short: "clc",
        columns: &[("Tenant", "string", ".spec.tenant"), ("Sink", "string", ".spec.sink")],
        shape: shape::<LogConfigSpec>,
        status_columns: &READY_COLUMNS,
        status: shape::<LogConfigStatus>,
    },
    Custom {
        kind: Kind::LogConfig,
        plural: "logconfigs",
        short: "lc",
        columns: &[("Sink", "string", ".spec.sink")],
        shape: shape::<LogConfigSpec>,
        status_columns: &READY_COLUMNS,
        status: shape::<LogConfigStatus>,
    },
];

/// The CustomResourceDefinitions, each with the name of its kind, as YAML.
pub fn custom_resource_definitions() -> impl Iterator<Item = (&'static str, String)> {
    let written = CUSTOM.iter().map(|custom| {
        let definition = definition(custom, restrict(custom.kind, (custom.shape)()));
        (custom.kind.name(), write_value(&definition))
    });
    written.chain([(LOG_NODE, write_value(&log_node()))])
}

/// What agents write. In the namespace of the agents, so that it goes with them; not by a subresource, as there is nothing
/// but the status, and a write is to be one.
fn log_node() -> Value {
    let schema = json!({
        "type": "object",
        "description": "What the agent of a node says of the LogConfigs there. Written by agents alone; its name is the node's.",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "status": shape::<LogNodeStatus>(),
        },
    });
    let columns = [
        ("Version", "string", ".status.version"),
        ("Observed", "date", ".status.observedTime"),
        AGE,
    ];
    let names = json!({
        "kind": LOG_NODE,
        "listKind": format!("{LOG_NODE}List"),
        "plural": "lognodes",
        "singular": "lognode",
        "shortNames": ["ln"],
    });
    resource(&names, "Namespaced", &schema, &columns, None)
}

/// The shape of a type.
fn shape<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|it| it.inline_subschemas = true);
    structural::of(settings.into_generator().into_root_schema_for::<T>().as_value())
}

/// The shape of a kind's spec, with all that a resource of the kind may not say taken out or ruled out.
fn restrict(kind: Kind, mut spec: Value) -> Value {
    if kind == Kind::LogConfig {
        for (path, _) in OF_HOST {
            structural::remove(&mut spec, path);
        }
    }
    if kind == Kind::ClusterLogConfig {
        for (path, _) in OF_NAMESPACE {
            structural::remove(&mut spec, path);
        }
    }
    for (path, bound) in bounds::of(kind) {
        // The same table serves both kinds, of which one says less.
        if let Some(field) = structural::find(&mut spec, path) {
            bound.apply(field);
        }
    }
    for rule in rules::of(kind) {
        if let Some(field) = structural::find(&mut spec, rule.path) {
            structural::add_rule(field, &rule.holds, &rule.message);
        }
    }
    spec
}

const AGE: Column = ("Age", "date", ".metadata.creationTimestamp");

fn definition(custom: &Custom, spec: Value) -> Value {
    let Custom { kind, plural, short, columns, shape: _, status_columns, status } = custom;
    let name = kind.name();
    let columns: Vec<Column> =
        columns.iter().chain(*status_columns).copied().chain([AGE]).collect();
    let mut status = status();
    if let Some(conditions) = structural::find(&mut status, "conditions") {
        conditions["x-kubernetes-list-type"] = json!("map");
        conditions["x-kubernetes-list-map-keys"] = json!(["type"]);
    }
    if let Some(time) = structural::find(&mut status, "conditions[].lastTransitionTime") {
        time["format"] = json!("date-time");
    }
    let mut schema = json!({
        "type": "object",
        "description": spec["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    });
    if *kind == Kind::LogTenant {
        let (holds, message) = rules::tenant_name();
        structural::add_rule(&mut schema, &holds, &message);
    }
    let scope = if *kind == Kind::LogConfig { "Namespaced" } else { "Cluster" };
    let names = json!({
        "kind": name,
        "listKind": format!("{name}List"),
        "plural": plural,
        "singular": name.to_lowercase(),
        "shortNames": [short],
        "categories": ["logferry"],
    });
    resource(&names, scope, &schema, &columns, Some(json!({"status": {}})))
}

fn resource(
    names: &Value,
    scope: &str,
    schema: &Value,
    columns: &[Column],
    subresources: Option<Value>,
) -> Value {
    let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
    let plural = names["plural"].as_str().unwrap_or_default();
    let column =
        |(name, of_type, path): &Column| json!({"name": name, "type": of_type, "jsonPath": path});
    let mut served = json!({
        "name": version,
        "served": true,
        "storage": true,
        "schema": {"openAPIV3Schema": schema},
    });
    if let Some(subresources) = subresources {
        served["subresources"] = subresources;
    }
    served["additionalPrinterColumns"] = columns.iter().map(column).collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            // Removing the chart removes no resource of anybody.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": group,
            "names": names,
            "scope": scope,
            "versions": [served],
        },
    })
}
