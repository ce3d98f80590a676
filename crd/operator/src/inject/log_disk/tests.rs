use super::*;
use crate::inject::tests::{applied, base, template};
use crate::inject::{self as sidecar};

/// A pod as the API server shows it to webhooks.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": "web-5d9c-", "labels": {"app": "web"},
            "annotations": {INJECT: "true", FOLDERS: "/var/log/app"},
        },
        "spec": {
            "volumes": [{"name": "config", "configMap": {"name": "web"}}],
            "initContainers": [{"name": "migrate", "image": "app:1"}],
            "containers": [
                {"name": "app", "image": "app:1",
                 "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}]},
                {"name": "second", "image": "app:1"},
            ],
        },
    })
}

fn shop() -> Namespace {
    Namespace { name: "shop".to_owned(), ..Namespace::default() }
}

fn annotate(pod: &mut Value, key: &str, value: &str) {
    pod["metadata"]["annotations"][key] = json!(value);
}

/// The pod after what is added to it, as the API server adds it.
fn patched(pod: &Value) -> Value {
    let (patch, patched) = inject(pod, &shop(), true).unwrap();
    assert_eq!(applied(pod, &patch), patched);
    patched
}

fn skip_of(change: impl Fn(&mut Value)) -> Skip {
    let mut pod = pod();
    change(&mut pod);
    inject(&pod, &shop(), true).unwrap_err()
}

fn disks(pod: &Value) -> Vec<&Value> {
    items(&pod["spec"]["volumes"]).filter(|it| it["csi"]["driver"] == DRIVER).collect()
}

#[test]
fn every_container_has_the_folder_on_a_log_disk() {
    let pod = patched(&pod());
    assert_eq!(disks(&pod), [&json!({"name": "log-disk-0", "csi": {"driver": DRIVER}})]);
    let mount = json!({"name": "log-disk-0", "mountPath": "/var/log/app"});
    for (kind, index) in [("initContainers", 0), ("containers", 0), ("containers", 1)] {
        let has = &pod["spec"][kind][index]["volumeMounts"];
        assert!(has.as_array().unwrap().contains(&mount), "{kind} {index}: {has}");
    }
    // There is neither a container nor an annotation more.
    assert_eq!(items(&pod["spec"]["containers"]).count(), 2);
    assert_eq!(items(&pod["spec"]["initContainers"]).count(), 1);
    assert_eq!(pod["metadata"], self::pod()["metadata"]);
}

#[test]
fn each_folder_has_a_disk_with_the_attributes_and_only_the_named_containers_have_it() {
    let mut asks = pod();
    for (key, value) in [
        (FOLDERS, "/srv/log/, /var/log/app,/srv/log"),
        (CONTAINERS, "second"),
        ("logdisk.logferry.dev/size", "16Mi"),
        ("logdisk.logferry.dev/full", "drop_oldest"),
    ] {
        annotate(&mut asks, key, value);
    }
    asks["spec"]["volumes"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "log-disk-0", "emptyDir": {}}));
    let pod = patched(&asks);
    let csi =
        json!({"driver": DRIVER, "volumeAttributes": {"size": "16Mi", "full": "drop_oldest"}});
    let disk = |name: &str| json!({"name": name, "csi": csi});
    assert_eq!(disks(&pod), [&disk("log-disk-1"), &disk("log-disk-2")], "of names that are free");
    let mounts = json!([
        {"name": "log-disk-1", "mountPath": "/srv/log"},
        {"name": "log-disk-2", "mountPath": "/var/log/app"},
    ]);
    assert_eq!(pod["spec"]["containers"][1]["volumeMounts"], mounts);
    assert_eq!(pod["spec"]["containers"][0], asks["spec"]["containers"][0]);
    assert_eq!(pod["spec"]["initContainers"], asks["spec"]["initContainers"]);
}

#[test]
fn a_second_call_adds_nothing_and_a_container_that_came_since_gets_the_disk() {
    let mut pod = patched(&pod());
    assert_eq!(inject(&pod, &shop(), true).unwrap().0, Vec::<Value>::new());
    let late = json!({"name": "proxy", "image": "proxy:1"});
    pod["spec"]["containers"].as_array_mut().unwrap().push(late);
    let again = patched(&pod);
    let mounts = json!([{"name": "log-disk-0", "mountPath": "/var/log/app"}]);
    assert_eq!(again["spec"]["containers"][2]["volumeMounts"], mounts);
    assert_eq!(disks(&again).len(), 1);
}

#[test]
fn a_disk_that_the_pod_wrote_itself_is_taken_with_its_own_attributes() {
    let mut pod = pod();
    let own =
        json!({"name": "logs", "csi": {"driver": DRIVER, "volumeAttributes": {"size": "8M"}}});
    pod["spec"]["volumes"].as_array_mut().unwrap().push(own.clone());
    pod["spec"]["containers"][1]["volumeMounts"] =
        json!([{"name": "logs", "mountPath": "/var/log/app/", "subPath": "web"}]);
    annotate(&mut pod, "logdisk.logferry.dev/size", "64M");
    let after = patched(&pod);
    assert_eq!(disks(&after), [&own]);
    let mount = json!({"name": "logs", "mountPath": "/var/log/app", "subPath": "web"});
    assert_eq!(after["spec"]["containers"][0]["volumeMounts"][1], mount);
    assert_eq!(after["spec"]["containers"][1], pod["spec"]["containers"][1]);
}

#[test]
fn a_folder_that_is_on_another_volume_is_refused_with_where_it_is() {
    for at in ["/var/log/app", "/var/log/app/", "/var/log", "/", "/var/log/app/old"] {
        let skip = skip_of(|pod| {
            pod["spec"]["containers"][1]["volumeMounts"] =
                json!([{"name": "config", "mountPath": at}]);
        });
        assert_eq!(skip.reason(), "FolderTaken", "{at}");
        let said = skip.to_string();
        for part in ["container second", "volume config", at, "/var/log/app cannot"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    // One beside it is no reason, nor one of a container that is not to have it.
    let mut pod = pod();
    pod["spec"]["containers"][1]["volumeMounts"] =
        json!([{"name": "config", "mountPath": "/var/log/apps"}]);
    patched(&pod);
    pod["spec"]["containers"][1]["volumeMounts"][0]["mountPath"] = json!("/var/log/app");
    annotate(&mut pod, CONTAINERS, "app, migrate");
    patched(&pod);
}

#[test]
fn the_pod_beats_its_namespace_in_each_key_and_silence_of_both_is_no() {
    let told = |pod: &str, namespace: &str| {
        let mut asked = self::pod();
        match pod {
            "" => drop(asked["metadata"]["annotations"].as_object_mut().unwrap().remove(INJECT)),
            value => annotate(&mut asked, INJECT, value),
        }
        let labels = [(INJECT.to_owned(), namespace.to_owned())];
        let labels = labels.into_iter().filter(|it| !it.1.is_empty()).collect();
        inject(&asked, &Namespace { labels, ..shop() }, true).map(drop)
    };
    assert_eq!(told("", ""), Err(Skip::NotAsked));
    assert_eq!(told("", "true"), Ok(()));
    assert_eq!(told("true", "false"), Ok(()));
    assert_eq!(told("false", "true"), Err(Skip::Disabled("the pod")));
    assert_eq!(told("", "no").unwrap_err().reason(), "InvalidValue");
    let mut asked = pod();
    asked["metadata"]["annotations"] = json!({INJECT: "true", "logdisk.logferry.dev/size": "8M"});
    let annotations = [
        (FOLDERS, "/srv/log"),
        ("logdisk.logferry.dev/size", "4M"),
        ("logdisk.logferry.dev/fsync", "ack"),
    ];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let namespace = Namespace { annotations: annotations.into(), ..shop() };
    let (_, pod) = inject(&asked, &namespace, true).unwrap();
    assert_eq!(disks(&pod)[0]["csi"]["volumeAttributes"], json!({"size": "8M", "fsync": "ack"}));
    assert_eq!(pod["spec"]["containers"][1]["volumeMounts"][0]["mountPath"], "/srv/log");
}

#[test]
fn what_cannot_be_is_named_and_never_guessed() {
    let annotated = |key: &str, value: &str| {
        let key = format!("{PREFIX}{key}");
        skip_of(|pod| annotate(pod, &key, value))
    };
    let removed = skip_of(|pod| {
        drop(pod["metadata"]["annotations"].as_object_mut().unwrap().remove(FOLDERS))
    });
    for (skip, reason, part) in [
        (annotated("inject", "True"), "InvalidValue", "write true or false"),
        (annotated("folders", " , "), "InvalidValue", "1 to 8 folders"),
        (annotated("folders", "/1,/2,/3,/4,/5,/6,/7,/8,/9"), "InvalidValue", "1 to 8 folders"),
        (annotated("folders", "var/log/app"), "InvalidValue", "absolute path"),
        (annotated("folders", "/var/log/../app"), "InvalidValue", "absolute path"),
        (annotated("folders", "/var/log/*"), "InvalidValue", "absolute path"),
        (annotated("folders", "/"), "InvalidValue", "absolute path"),
        (
            annotated("folders", "/srv/log,/srv/log/web"),
            "InvalidValue",
            "/srv/log/web is within /srv/log",
        ),
        (annotated("folders", "/var"), "FolderUnusable", "/var: an empty volume"),
        (annotated("containers", "none"), "NoSuchContainer", "\"none\""),
        (
            annotated("size", "much"),
            "InvalidValue",
            "/size = \"much\" of the pod: write a number of bytes",
        ),
        (annotated("keep", "64Ki"), "InvalidValue", "write a number of bytes"),
        (annotated("mode", "quick"), "InvalidValue", "write one of writeback, strict, fast"),
        (annotated("full", "drop"), "InvalidValue", "block, enospc, drop_oldest"),
        (annotated("fsync", "yes"), "InvalidValue", "accept, ack"),
        (annotated("fullSeconds", "-1"), "InvalidValue", "from 0 to 3600"),
        (annotated("fsyncSeconds", "0"), "InvalidValue", "from 1 to 3600"),
        (annotated("only", "a["), "InvalidValue", "error parsing glob"),
        (annotated("Size", "1M"), "InvalidValue", "there are inject, folders, containers, size"),
        (
            skip_of(|pod| pod["metadata"]["labels"][INJECT] = json!("false")),
            "ConflictingValues",
            INJECT,
        ),
        (skip_of(|pod| pod["spec"]["os"] = json!({"name": "windows"})), "Windows", "Windows"),
        (removed, "NoFolders", FOLDERS),
        (inject(&pod(), &shop(), false).unwrap_err(), "NoDriver", "logDisk.enabled"),
    ] {
        assert_eq!(skip.reason(), reason, "{skip}");
        assert!(skip.to_string().contains(part), "{part}: {skip}");
        assert!(skip.is_notable(), "{skip}");
    }
    let skip = skip_of(|pod| annotate(pod, MIRROR, "1"));
    assert_eq!((skip.reason(), skip.is_notable()), ("MirrorPod", false));
}

#[test]
fn the_attributes_are_those_that_the_driver_knows() {
    let driver = include_str!("../../../../../fuse-logdisk/src/csi/attributes.rs");
    let names = ATTRIBUTES.map(|it| it.name).join(", ");
    assert!(driver.contains(&format!("const KNOWN: &str = \"{names}\";")), "{names}");
}

/// What a pod gets that asks for a log disk and a sidecar.
fn both(pod: &Value) -> Result<Value, Skip> {
    let with_disk = inject(pod, &shop(), true).map_or_else(|_| pod.clone(), |it| it.1);
    let patch = sidecar::inject(&with_disk, &shop(), Ok(&base()), &template())?;
    Ok(applied(&with_disk, &patch))
}

#[test]
fn a_sidecar_collects_what_is_on_no_log_disk_and_there_is_none_if_all_is() {
    let mut pod = pod();
    annotate(&mut pod, sidecar::INJECT, "true");
    annotate(&mut pod, sidecar::FILES, "/var/log/app/*.log, /var/log/app/gc/*.log");
    let skip = both(&pod).unwrap_err();
    assert_eq!((skip.reason(), skip.is_notable()), ("OnLogDisk", false));
    annotate(&mut pod, sidecar::FILES, "/var/log/app/*.log, /srv/log/*.log");
    let after = both(&pod).unwrap();
    let config = after["metadata"]["annotations"][sidecar::CONFIG].as_str().unwrap();
    assert!(config.contains("/srv/log/*.log"), "{config}");
    assert!(!config.contains("/var/log/app"), "{config}");
    let sees = |index: usize| {
        let mounts = items(&after["spec"]["initContainers"][index]["volumeMounts"]);
        mounts.filter_map(|it| it["mountPath"].as_str()).collect::<Vec<_>>()
    };
    assert!(sees(0).contains(&"/srv/log") && !sees(0).contains(&"/var/log/app"), "{:?}", sees(0));
    assert_eq!(sees(1), ["/var/log/app", "/srv/log"]);
    assert_eq!(both(&after).unwrap(), after, "once");
    // Of containers that have no log disk there, it collects on.
    annotate(&mut pod, CONTAINERS, "app");
    let after = both(&pod).unwrap();
    let of = |index: usize| {
        let mounts = items(&after["spec"]["containers"][index]["volumeMounts"]);
        mounts
            .filter(|it| it["mountPath"] == "/var/log/app")
            .map(|it| &it["name"])
            .collect::<Vec<_>>()
    };
    assert_eq!(of(0), ["log-disk-0"]);
    let [made] = of(1)[..] else { panic!("{after}") };
    assert!(made.as_str().unwrap().starts_with("logferry-files-"), "{made}");
}

/// A LogConfig of the pod's namespace as the API server lists it.
fn log_config(name: &str, containers: Value) -> Value {
    let metadata = json!({"name": name, "namespace": "shop", "uid": "1", "managedFields": []});
    json!({"metadata": metadata, "spec": {"source": {"containers": containers}}, "status": {}})
}

#[test]
fn log_configs_choose_what_neither_the_pod_nor_its_namespace_says() {
    let by = |pod: &Value, log_configs: Vec<Value>| {
        let namespace = Namespace { log_configs, ..shop() };
        assert!(needs_log_configs(pod, &namespace));
        inject(pod, &namespace, true).map(|(_, pod)| pod)
    };
    let chosen = json!({
        "podSelector": {"matchLabels": {"app": "web"}}, "containers": {"include": ["second"]},
        "logDisk": {
            "folders": ["/srv/log", "/var/log/a,b"], "size": "16MiB", "mode": "strict", "keep": "64KiB",
            "full": "drop_oldest", "fullTimeout": "1500ms", "fsync": "ack", "fsyncTimeout": "1m",
        },
    });
    let other = json!({"logDisk": {"folders": ["/other"]}});
    let elsewhere =
        json!({"podSelector": {"matchLabels": {"app": "db"}}, "logDisk": {"size": "1MiB"}});
    let broken = json!({"logDisk": {"folders": ["log"]}});
    let configs = || {
        vec![
            log_config("z", other.clone()),
            log_config("b", chosen.clone()),
            log_config("a", elsewhere.clone()),
            log_config("aa", broken.clone()),
            log_config("ab", json!({})),
        ]
    };
    let mut asks = pod();
    asks["metadata"]["annotations"] = json!({INJECT: "true"});
    let pod = by(&asks, configs()).unwrap();
    let attributes = json!({
        "size": "16777216", "mode": "strict", "keep": "65536", "full": "drop_oldest", "fullSeconds": "2",
        "fsync": "ack", "fsyncSeconds": "60",
    });
    assert_eq!(disks(&pod)[0]["csi"]["volumeAttributes"], attributes);
    let mounts = json!([
        {"name": "log-disk-0", "mountPath": "/srv/log"},
        {"name": "log-disk-1", "mountPath": "/var/log/a,b"},
    ]);
    assert_eq!(pod["spec"]["containers"][1]["volumeMounts"], mounts, "of the first by name");
    assert_eq!(pod["spec"]["containers"][0], asks["spec"]["containers"][0], "only what it selects");

    // The pod beats it, key by key; containers are of who names the folders.
    annotate(&mut asks, "logdisk.logferry.dev/size", "32M");
    annotate(&mut asks, FOLDERS, "/var/log/app");
    let pod = by(&asks, configs()).unwrap();
    let [disk] = disks(&pod)[..] else { panic!("{pod}") };
    assert_eq!(disk["csi"]["volumeAttributes"]["size"], "32M");
    assert_eq!(disk["csi"]["volumeAttributes"]["mode"], "strict");
    assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][1]["mountPath"], "/var/log/app");

    asks["metadata"]["annotations"] = json!({INJECT: "true"});
    assert_eq!(by(&asks, vec![log_config("a", elsewhere)]).unwrap_err().reason(), "NoFolders");
    let within = json!({"logDisk": {"folders": ["/srv/log", "/srv/log/web"]}});
    let skip = by(&asks, vec![log_config("a", within)]).unwrap_err();
    assert!(skip.to_string().contains("of the LogConfig: /srv/log/web is within"), "{skip}");
}
