use super::*;

const SINKS: &str = "
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: default}
spec:
  kafka:
    brokers: ['kafka:9093']
    topic: 'logs-${tenant}'
    tls: {caSecret: {name: kafka, key: ca.crt}}
---
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: other}
spec: {stdout: {}}
---
apiVersion: logferry.dev/v1alpha1
kind: LogTenant
metadata: {name: retail}
spec: {namespaces: [shop, shop-*], sinks: [default]}
";

pub(crate) fn base() -> Base {
    let file = crd::ConfigFile { path: "sinks".into(), bytes: Ok(SINKS.as_bytes().to_vec()) };
    Base::new(crd::read_values(file).unwrap()).unwrap()
}

pub(crate) fn template() -> Template {
    Template {
        image: "logferry:1".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        memory: "128Mi".to_owned(),
        cpu: "20m".to_owned(),
        folder_size: "1Gi".to_owned(),
        has_native_sidecars: true,
    }
}

/// A pod of a ReplicaSet as the API server shows it to webhooks: a token is mounted, the name is not chosen yet.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": "web-5d9c-", "labels": {"app": "web"},
            "annotations": {INJECT: "true", FILES: "/var/log/app/*.log"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d9c",
                "uid": "5d1f", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "volumes": [{"name": "kube-api-access-x", "projected": {"sources": []}}],
            "initContainers": [{"name": "migrate", "image": "app:1"}],
            "containers": [
                {"name": "app", "image": "app:1", "ports": [{"containerPort": 9180}],
                 "volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/var/run/secrets/x"}]},
                {"name": "second", "image": "app:1"},
            ],
        },
    })
}

fn shop() -> Namespace {
    Namespace { name: "shop".to_owned(), ..Namespace::default() }
}

fn patched(pod: &Value) -> Value {
    applied(pod, &inject(pod, &shop(), Ok(&base()), &template()).unwrap())
}

/// What RFC 6902 says of `add`.
pub(crate) fn applied(pod: &Value, patch: &[Value]) -> Value {
    let mut pod = pod.clone();
    for operation in patch {
        assert_eq!(operation["op"], "add", "only ever added: {operation}");
        let path = operation["path"].as_str().unwrap();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        let value = operation["value"].clone();
        match pod.pointer_mut(parent).unwrap_or_else(|| panic!("{path}: nothing there")) {
            Value::Array(list) if key == "-" => list.push(value),
            Value::Array(list) => list.insert(key.parse().unwrap(), value),
            Value::Object(fields) => {
                assert!(fields.insert(key, value).is_none(), "{path}: replaced");
            }
            other => panic!("{path}: {other}"),
        }
    }
    pod
}

fn skip_of(change: impl Fn(&mut Value)) -> Skip {
    let mut pod = pod();
    change(&mut pod);
    inject(&pod, &shop(), Ok(&base()), &template()).unwrap_err()
}

fn annotate(pod: &mut Value, key: &str, value: &str) {
    pod["metadata"]["annotations"][key] = json!(value);
}

#[test]
fn the_sidecar_is_first_and_restricted_and_the_containers_share_the_folder() {
    let pod = patched(&pod());
    let sidecar = &pod["spec"]["initContainers"][0];
    assert_eq!((&sidecar["name"], &sidecar["restartPolicy"]), (&json!(NAME), &json!("Always")));
    assert_eq!(pod["spec"]["initContainers"][1]["name"], "migrate");
    let security = &sidecar["securityContext"];
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(security["readOnlyRootFilesystem"], true);
    // What the kubelet writes of its labels it finds where it is mounted.
    let labels = json!({"name": "LOGFERRY_POD_LABELS", "value": "/etc/logferry/config/labels"});
    assert!(items(&sidecar["env"]).any(|it| *it == labels), "{sidecar}");
    let config = items(&pod["spec"]["volumes"]).find(|it| it["name"] == "logferry-config");
    let labels = json!({"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}});
    assert!(items(&config.unwrap()["downwardAPI"]["items"]).any(|it| *it == labels));
    // The application has its port.
    assert_eq!(sidecar["startupProbe"]["httpGet"]["port"], 9181);
    let mount = json!({"name": "logferry-files-0", "mountPath": "/var/log/app"});
    for (kind, index) in [("initContainers", 1), ("containers", 0), ("containers", 1)] {
        let has = &pod["spec"][kind][index]["volumeMounts"];
        assert!(has.as_array().unwrap().contains(&mount), "{kind} {index}: {has}");
    }
    let names: Vec<&str> =
        items(&pod["spec"]["volumes"]).map(|it| it["name"].as_str().unwrap()).collect();
    let ours = ["logferry-config", "logferry-state", "logferry-secret-0", "logferry-files-0"];
    assert_eq!(names, [&["kube-api-access-x"][..], &ours].concat());
    assert_eq!(pod["spec"]["volumes"][3]["secret"]["secretName"], "kafka");
    let config = pod["metadata"]["annotations"][CONFIG].as_str().unwrap();
    for part in ["tenant: retail", "/var/log/app/*.log", "0.0.0.0:9181", "kafka:9093"] {
        assert!(config.contains(part), "{part}: {config}");
    }
}

#[test]
fn a_second_call_adds_nothing_and_a_container_that_came_since_gets_the_folder() {
    let mut pod = patched(&pod());
    assert_eq!(patched(&pod), pod);
    let late = json!({"name": "proxy", "image": "proxy:1"});
    pod["spec"]["containers"].as_array_mut().unwrap().push(late);
    let again = patched(&pod);
    let mounts = json!([{"name": "logferry-files-0", "mountPath": "/var/log/app"}]);
    assert_eq!(again["spec"]["containers"][2]["volumeMounts"], mounts);
    pod["spec"]["containers"][2]["volumeMounts"] = mounts;
    assert_eq!(again, pod);
}

#[test]
fn an_old_server_gets_a_plain_container_and_pods_that_end_get_none() {
    let old = Template { has_native_sidecars: false, ..template() };
    let patch = inject(&pod(), &shop(), Ok(&base()), &old).unwrap();
    let plain = applied(&pod(), &patch);
    assert_eq!(plain["spec"]["containers"][0]["name"], NAME);
    assert!(plain["spec"]["containers"][0]["restartPolicy"].is_null());
    assert_eq!(plain["spec"]["containers"][1]["name"], "app");
    // Behind the one that was put before them, each container still gets its own.
    let mount = json!({"name": "logferry-files-0", "mountPath": "/var/log/app"});
    assert_eq!(plain["spec"]["containers"][1]["volumeMounts"][1], mount);
    assert_eq!(plain["spec"]["containers"][2]["volumeMounts"], json!([mount]));
    assert_eq!(plain["spec"]["initContainers"].as_array().unwrap().len(), 1);
    let mut job = pod();
    job["spec"]["restartPolicy"] = json!("Never");
    assert_eq!(inject(&job, &shop(), Ok(&base()), &old).unwrap_err(), Skip::WouldNeverEnd);
    assert!(inject(&job, &shop(), Ok(&base()), &template()).is_ok());
}

#[test]
fn a_volume_that_is_there_is_shared_and_no_other_is_made() {
    let mut pod = pod();
    pod["spec"]["volumes"].as_array_mut().unwrap().push(json!({"name": "logs", "emptyDir": {}}));
    pod["spec"]["containers"][1]["volumeMounts"] =
        json!([{"name": "logs", "mountPath": "/var/log/app/", "subPath": "web"}]);
    let after = patched(&pod);
    let seen =
        json!({"name": "logs", "mountPath": "/var/log/app", "subPath": "web", "readOnly": true});
    let mounts = &after["spec"]["initContainers"][0]["volumeMounts"];
    assert!(mounts.as_array().unwrap().contains(&seen), "{mounts}");
    assert_eq!(after["spec"]["containers"][0]["volumeMounts"].as_array().unwrap().len(), 1);
    // Another volume at the same place.
    pod["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "x", "mountPath": "/var/log/app"}]);
    let skip = inject(&pod, &shop(), Ok(&base()), &template()).unwrap_err();
    assert!(skip.to_string().contains("several volumes"), "{skip}");
    annotate(&mut pod, CONTAINERS, "second");
    assert!(inject(&pod, &shop(), Ok(&base()), &template()).is_ok());
}

#[test]
fn the_sidecar_is_the_applications_user_unless_that_is_root() {
    let user = |pod: &Value| {
        patched(pod)["spec"]["initContainers"][0]["securityContext"]["runAsUser"].clone()
    };
    let mut pod = pod();
    assert_eq!(user(&pod), 65532);
    pod["spec"]["securityContext"] = json!({"runAsUser": 1000});
    assert_eq!(user(&pod), 1000);
    pod["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 0});
    assert_eq!(user(&pod), 65532);
}

#[test]
fn the_pod_beats_its_namespace_and_silence_of_both_is_no() {
    let told = |pod: &str, namespace: &str| {
        let mut asked = self::pod();
        match pod {
            "" => drop(asked["metadata"]["annotations"].as_object_mut().unwrap().remove(INJECT)),
            value => annotate(&mut asked, INJECT, value),
        }
        let labels = [(INJECT.to_owned(), namespace.to_owned())];
        let labels = labels.into_iter().filter(|it| !it.1.is_empty()).collect();
        let namespace = Namespace { labels, ..shop() };
        inject(&asked, &namespace, Ok(&base()), &template()).map(drop)
    };
    assert_eq!(told("", ""), Err(Skip::NotAsked));
    assert_eq!(told("", "true"), Ok(()));
    assert_eq!(told("true", "false"), Ok(()));
    assert_eq!(told("true", "nonsense"), Ok(()));
    assert_eq!(told("false", "true"), Err(Skip::Disabled("the pod")));
    assert_eq!(told("", "false"), Err(Skip::Disabled("the namespace")));
    assert_eq!(told("", "nonsense").unwrap_err().reason(), "InvalidValue");
}

#[test]
fn what_cannot_be_is_named_and_never_guessed() {
    let annotated =
        |key: &'static str, value: &'static str| skip_of(move |pod| annotate(pod, key, value));
    let removed = |key: &'static str| {
        skip_of(move |pod| {
            pod["metadata"]["annotations"].as_object_mut().unwrap().remove(key);
        })
    };
    let host = skip_of(|pod| pod["spec"]["hostNetwork"] = json!(true));
    let twice = skip_of(|pod| pod["metadata"]["labels"][INJECT] = json!("false"));
    let taken = skip_of(|pod| pod["spec"]["containers"][0]["name"] = json!(NAME));
    let volume = skip_of(|pod| pod["spec"]["volumes"][0]["name"] = json!("logferry-state"));
    for (skip, reason) in [
        (host, "HostNetwork"),
        (twice, "ConflictingValues"),
        (taken, "NameTaken"),
        (volume, "NameTaken"),
        (annotated(MIRROR, "1"), "MirrorPod"),
        (annotated(INJECT, "True"), "InvalidValue"),
        (annotated(INJECT, ""), "InvalidValue"),
        (annotated(SINK, "default,other"), "InvalidValue"),
        (annotated(SINK, "nowhere"), "NoSink"),
        (annotated(SINK, "other"), "SinkBarred"),
        (annotated(FILES, " , "), "InvalidValue"),
        (annotated(FILES, "/*.log"), "FolderUnusable"),
        (annotated(FILES, "/etc/*.log"), "FolderUnusable"),
        (annotated(FILES, "app.log"), "FolderUnusable"),
        (annotated(FILES, "/var/log/../x/*.log"), "FolderUnusable"),
        (annotated(FILES, "/var/log/app/[.log"), "ConfigRefused"),
        (annotated(CONTAINERS, "none"), "NoSuchContainer"),
        (annotated(CONFIG, "kind: Agent"), "ConfigWritten"),
        (removed(FILES), "NoFiles"),
    ] {
        assert_eq!(skip.reason(), reason, "{skip}");
        assert_eq!(skip.is_notable(), !matches!(reason, "MirrorPod"), "{skip}");
    }
}

#[test]
fn without_the_operators_configuration_no_pod_gets_one() {
    let why = BaseError::Missing;
    let skip = inject(&pod(), &shop(), Err(&why), &template()).unwrap_err();
    assert_eq!(skip.reason(), "OperatorConfig");
}

/// A LogConfig as the API server lists it.
fn log_config(name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name, "namespace": "shop", "uid": "1", "managedFields": []});
    json!({"metadata": metadata, "spec": spec, "status": {"conditions": []}})
}

/// A LogConfig of files in `/app/log`, with further fields of the source.
fn of_files(name: &str, source: Value) -> Value {
    let mut containers = source;
    containers["files"] = json!({"include": [format!("/app/log/{name}*.log")]});
    log_config(name, json!({"source": {"containers": containers}}))
}

/// What a pod gets that names no files, where these LogConfigs are.
fn by_log_configs(log_configs: Vec<Value>) -> Result<Value, Skip> {
    let mut pod = pod();
    pod["metadata"]["annotations"].as_object_mut().unwrap().remove(FILES);
    let namespace = Namespace { log_configs, ..shop() };
    assert!(Ask::needs_log_configs(&pod, &namespace));
    Ok(applied(&pod, &inject(&pod, &namespace, Ok(&base()), &template())?))
}

/// The ClusterLogConfigs that the sidecar runs with.
fn configs(pod: &Value) -> Vec<Value> {
    let text = pod["metadata"]["annotations"][CONFIG].as_str().unwrap();
    let file = crd::ConfigFile { path: "sidecar".into(), bytes: Ok(text.as_bytes().to_vec()) };
    let all = crd::read_values(file).unwrap();
    all.into_iter().filter(|it| it["kind"] == "ClusterLogConfig").collect()
}

#[test]
fn log_configs_select_the_files_of_a_pod_that_names_none_and_say_how_they_are_read() {
    let traces = json!({
        "source": {"containers": {
            "podSelector": {"matchLabels": {"app": "web"}}, "containers": {"include": ["app"]},
            "files": {"include": ["/app/log/*.log"], "exclude": ["/app/log/gc*.log"]},
        }},
        "multiline": {"preset": "java"}, "sampling": {"oneIn": 10}, "limits": {"bytesPerSecond": "1MiB"},
        "format": "auto",
    });
    let mut twice = traces.clone();
    twice["multiline"] = json!({"preset": "go"});
    let pod = by_log_configs(vec![
        log_config("second", twice),
        log_config("java", traces),
        of_files("others", json!({"podSelector": {"matchLabels": {"app": "other"}}})),
        of_files("broken", json!({"pods": {"include": ["[a"]}})),
        log_config("output", json!({"source": {"containers": {}}})),
    ]);
    let pod = pod.unwrap();
    let configs = configs(&pod);
    assert_eq!(configs.len(), 1, "{configs:?}");
    assert_eq!(configs[0]["metadata"]["name"], "java");
    let files = json!({"include": ["/app/log/*.log"], "exclude": ["/app/log/gc*.log"]});
    let want = json!({
        "tenant": "retail", "sink": "default", "source": {"files": files}, "format": "plain",
        "multiline": {"preset": "java"}, "sampling": {"oneIn": 10}, "limits": {"bytesPerSecond": "1MiB"},
    });
    assert_eq!(configs[0]["spec"], want);
    // The container that is selected has the folder, and the other has what it had.
    let mounts = |index: usize| {
        items(&pod["spec"]["containers"][index]["volumeMounts"]).cloned().collect::<Vec<_>>()
    };
    let mount = json!({"name": "logferry-files-0", "mountPath": "/app/log"});
    assert!(mounts(0).contains(&mount) && mounts(1).is_empty(), "{pod}");
}

#[test]
fn log_configs_select_by_owner_name_and_variables_as_on_nodes() {
    let named = |name: &str| json!({"pods": {"include": [name]}});
    let owned = |kind: &str, name: &str| json!({"owner": {"kind": kind, "name": name}});
    let with = |name: &str| json!({"env": {"include": [{"name": name}]}});
    for (source, is_selected) in [
        (json!({}), true),
        // Its name will begin so.
        (named("web-5d9c-*"), true),
        (named("db-*"), false),
        (owned("ReplicaSet", "web-5d9c"), true),
        (owned("Job", "web-5d9c"), false),
        (with("LOGS"), false),
        (json!({"env": {"exclude": [{"name": "LOGS"}]}}), true),
        (json!({"containers": {"exclude": ["app", "second", "migrate"]}}), false),
    ] {
        let pod = by_log_configs(vec![of_files("a", source.clone())]);
        assert_eq!(pod.is_ok(), is_selected, "{source}: {pod:?}");
        let none = pod.err().map(|it| it.reason());
        assert_eq!(none, (!is_selected).then_some("NoFiles"), "{source}");
    }
}

#[test]
fn each_log_config_has_its_own_containers_and_its_own_sink() {
    let mut other = of_files("b", json!({"containers": {"include": ["second"]}}));
    other["spec"]["source"]["containers"]["files"]["include"] = json!(["/srv/log/*.log"]);
    let one = of_files("a", json!({"containers": {"include": ["app"]}}));
    let pod = by_log_configs(vec![one.clone(), other.clone()]).unwrap();
    let paths = |kind: &str, index: usize| {
        let mounts = items(&pod["spec"][kind][index]["volumeMounts"]);
        let ours = mounts.filter(|it| it["name"].as_str().unwrap().starts_with("logferry-files"));
        ours.map(|it| it["mountPath"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths("containers", 0), ["/app/log"]);
    assert_eq!(paths("containers", 1), ["/srv/log"]);
    assert_eq!(paths("initContainers", 0), ["/app/log", "/srv/log"], "the sidecar");
    assert_eq!(paths("initContainers", 1), [""; 0]);
    // It is there, and a later call adds nothing.
    let namespace = Namespace { log_configs: vec![one.clone(), other.clone()], ..shop() };
    assert_eq!(inject(&pod, &namespace, Ok(&base()), &template()).unwrap(), Vec::<Value>::new());
    for (sink, reason) in [("other", "SinkBarred"), ("nowhere", "NoSink")] {
        other["spec"]["sink"] = json!(sink);
        assert_eq!(by_log_configs(vec![one.clone(), other.clone()]).unwrap_err().reason(), reason);
    }
    let many = (0..40).map(|number| of_files(&format!("a-{number}"), json!({}))).collect();
    assert_eq!(by_log_configs(many).unwrap_err().reason(), "TooManyFiles");
}

#[test]
fn files_that_the_pod_names_beat_those_of_log_configs() {
    let namespace = Namespace { log_configs: vec![of_files("a", json!({}))], ..shop() };
    assert!(!Ask::needs_log_configs(&pod(), &namespace));
    let pod = applied(&pod(), &inject(&pod(), &namespace, Ok(&base()), &template()).unwrap());
    let configs = configs(&pod);
    assert_eq!(configs.len(), 1);
    assert_eq!(configs[0]["spec"]["source"]["files"]["include"], json!(["/var/log/app/*.log"]));
}
