//! What the chart makes of values other than its own, as a real API server takes it, and the agent its configuration.
//!
//! `scripts/deploy.py` sees to it that each value is another in one of these sets at least.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use node_kit::{ApiServer, User};
use serde_json::Value;

use crate::kit::{Bed, Run};

/// Sets of values, by the names of their files; each changes what the one before it installed.
fn sets() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/logferry/ci");
    let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let mut sets: Vec<PathBuf> = files.collect();
    sets.sort();
    sets
}

fn rendered(values: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/deploy.sh");
    let run = Run::by(Command::new(script), &["render", values.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.stdout
}

/// `kubectl apply` of a file, by the server's rules for fields; what became of each object.
fn apply(admin: &User, file: &Path) -> Vec<Value> {
    let file = format!("--filename={}", file.display());
    let how = ["--server-side", "--force-conflicts", "--validate=strict", "--output=json"];
    let said = admin.kubectl(&[&["apply", &file], &how[..]].concat()).unwrap();
    let list: Value = serde_json::from_str(&said).unwrap();
    list["items"].as_array().cloned().unwrap_or_else(|| vec![list])
}

/// Texts of the configurations that the objects have.
fn configurations(objects: &[Value]) -> Vec<(String, String)> {
    let maps = objects.iter().filter(|it| it["kind"] == "ConfigMap");
    let texts = maps.flat_map(|it| {
        let name = it["metadata"]["name"].as_str().unwrap();
        let data = it["data"].as_object().unwrap();
        data.iter()
            .map(move |(key, text)| (format!("{name}/{key}"), text.as_str().unwrap().to_owned()))
    });
    texts.collect()
}

#[test]
fn what_the_chart_makes_of_other_values_is_taken_by_server_and_agent() {
    let server = ApiServer::start().unwrap();
    let admin = server.admin();
    admin.kubectl(&["create", "namespace", "logferry"]).unwrap();
    let bed = Bed::new();
    let mut kinds = std::collections::BTreeSet::new();
    for values in sets() {
        let (file, text) = (bed.path("rendered.yaml"), rendered(&values));
        fs::write(&file, &text).unwrap();
        let objects = apply(admin, &file);
        let heads = text.lines().filter(|it| it.starts_with("kind: ")).count();
        assert_eq!(objects.len(), heads, "{values:?}");
        kinds.extend(objects.iter().map(|it| it["kind"].as_str().unwrap().to_owned()));
        let configurations = configurations(&objects);
        assert!(!configurations.is_empty(), "{values:?}");
        for (name, text) in configurations {
            let file = bed.path("configuration.yaml");
            fs::write(&file, text).unwrap();
            let run = Run::of(&["check", "-f", file.to_str().unwrap()]);
            assert_eq!(run.code, Some(0), "{values:?}: {name}: {run:?}");
        }
    }
    eprintln!("{} sets of values, kinds {kinds:?}", sets().len());
}
