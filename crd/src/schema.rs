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

use crate::spec::{API_VERSION, Kind, LogConfigSpec, LogSinkSpec, LogTenantSpec, OF_HOST, Status};
use crate::values::write_value;

/// A kind that is a custom resource; the agent itself is none, but configured by a file.
struct Custom {
    kind: Kind,
    plural: &'static str,
    short: &'static str,
    /// Columns of `kubectl get`, and their JSON paths.
    columns: &'static [(&'static str, &'static str)],
    shape: fn() -> Value,
}

const CUSTOM: [Custom; 4] = [
    Custom {
        kind: Kind::LogSink,
        plural: "logsinks",
        short: "lsink",
        columns: &[("Encoding", ".spec.encoding"), ("Topic", ".spec.kafka.topic")],
        shape: shape::<LogSinkSpec>,
    },
    Custom {
        kind: Kind::LogTenant,
        plural: "logtenants",
        short: "lt",
        columns: &[("Weight", ".spec.weight"), ("Reserved", ".spec.memory.reserved")],
        shape: shape::<LogTenantSpec>,
    },
    Custom {
        kind: Kind::ClusterLogConfig,
        plural: "clusterlogconfigs",
        short: "clc",
        columns: &[("Tenant", ".spec.tenant"), ("Sink", ".spec.sink")],
        shape: shape::<LogConfigSpec>,
    },
    Custom {
        kind: Kind::LogConfig,
        plural: "logconfigs",
        short: "lc",
        columns: &[("Sink", ".spec.sink")],
        shape: shape::<LogConfigSpec>,
    },
];

/// The CustomResourceDefinitions, each with its kind, as YAML.
pub fn custom_resource_definitions() -> impl Iterator<Item = (Kind, String)> {
    CUSTOM.iter().map(|custom| {
        let definition = definition(custom, restrict(custom.kind, (custom.shape)()));
        (custom.kind, write_value(&definition))
    })
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

fn definition(custom: &Custom, spec: Value) -> Value {
    let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
    let Custom { kind, plural, short, columns, shape: _ } = custom;
    let name = kind.name();
    let column = |name: &str, path: &str| json!({"name": name, "type": "string", "jsonPath": path});
    let mut columns: Vec<Value> = columns.iter().map(|(it, path)| column(it, path)).collect();
    let accepted = |field| format!(".status.conditions[?(@.type==\"Accepted\")].{field}");
    columns.push(column("Accepted", &accepted("status")));
    columns.push(column("Reason", &accepted("reason")));
    columns.push(json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}));
    let mut status = shape::<Status>();
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
            "names": {
                "kind": name,
                "listKind": format!("{name}List"),
                "plural": plural,
                "singular": name.to_lowercase(),
                "shortNames": [short],
                "categories": ["logferry"],
            },
            "scope": scope,
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
            }],
        },
    })
}
