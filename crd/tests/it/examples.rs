//! The examples that are shipped are good, and say what they claim.

use std::path::PathBuf;

use crd::{Settings, SinkTarget, SourceSettings, load};

fn example(name: &str) -> Settings {
    let path: PathBuf = crate::top().join("deploy/examples").join(name);
    load(&[path]).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_example_is_good_and_is_described_as_itself() {
    let mut count = 0;
    for entry in std::fs::read_dir(crate::top().join("deploy/examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".yaml") {
            continue;
        }
        count += 1;
        let settings = example(&name);
        assert!(settings.warnings.is_empty(), "{name}: {}", settings.warnings);
        let again = crate::resolve_text(&settings.describe())
            .unwrap_or_else(|problems| panic!("{name}: {problems}\n{}", settings.describe()));
        assert_eq!(again, settings, "{name}");
        assert_eq!(again.describe(), settings.describe(), "{name}");
    }
    assert!(count >= 3);
}

#[test]
fn the_minimal_example_is_all_containers_into_the_queue() {
    let settings = example("minimal.yaml");
    let config = settings.log_config_of_container("shop", "web-0", "app").unwrap();
    assert_eq!(config.name.to_string(), "all-containers");
    let sink = settings.sink(&config.sink).unwrap();
    assert!(matches!(&sink.target, SinkTarget::Queue(queue) if queue.path.is_absolute()));
    assert_eq!(settings.tenant_of_container(config, "shop"), Some("shop"));
    assert_eq!(settings.memory_of_tenant("shop"), settings.other_tenants_memory);
}

#[test]
fn the_files_example_selects_files() {
    let settings = example("files.yaml");
    let nginx = &settings.log_configs[0];
    let SourceSettings::Files(files) = &nginx.source else { panic!("{nginx:?}") };
    assert!(files.selects("/var/log/nginx/access.log".as_ref()));
    assert!(!files.selects("/var/log/nginx/old/access.log".as_ref()));
    assert_eq!(settings.tenant_of_files(nginx), "web");
    assert_eq!(settings.tenant_of_files(&settings.log_configs[1]), "default");
}

/// Every field of full.yaml is at its default: without it, the same settings result.
#[test]
fn the_full_example_has_every_default() {
    let full = example("full.yaml");
    let needed = r"
{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {name: default}, spec: {queue: {path: /var/lib/logferry/queue}}}
---
{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {name: file}, spec: {file: {path: /srv/logs/all.jsonl}}}
---
{apiVersion: logferry.dev/v1alpha1, kind: LogTenant, metadata: {name: shop}, spec: {namespaces: [shop, shop-*]}}
---
{apiVersion: logferry.dev/v1alpha1, kind: LogConfig, metadata: {name: containers}, spec: {source: {containers: {}}}}
---
{apiVersion: logferry.dev/v1alpha1, kind: LogConfig, metadata: {name: files}, spec: {sink: file, source: {files: {include: [/var/log/*.log]}}}}
";
    let short = crate::resolve_text(needed).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(short, full);
    // What full.yaml leaves out has no default: describing it adds nothing.
    let text = std::fs::read_to_string(crate::top().join("deploy/examples/full.yaml")).unwrap();
    let fields = |text: &str| {
        let is_field = |line: &&str| line.contains(": ") || line.ends_with(':');
        text.lines().filter(|line| !line.trim_start().starts_with('#')).filter(is_field).count()
    };
    assert_eq!(fields(&text), fields(&full.describe().replace("\n- ", " ")));
}
