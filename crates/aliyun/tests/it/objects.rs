//! Each `tests/objects/*.yaml` is an object as there are; the `.txt` beside it holds what it comes to.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use aliyun::{Conversion, Reach, convert};
use crd::ConfigFile;
use serde_json::Value;

fn objects() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    let paths = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let objects: BTreeSet<PathBuf> = paths.filter(|it| it.extension().unwrap() == "yaml").collect();
    assert!(objects.len() >= 9, "{objects:?}");
    objects.into_iter().collect()
}

fn object(path: &Path) -> Value {
    let file = ConfigFile { path: path.to_owned(), bytes: fs::read(path) };
    let mut values = crd::read_values(file).unwrap_or_else(|it| panic!("{it}"));
    values.remove(0)
}

/// The text of the LogConfigs, which must be good; and all that there is to say.
fn said(conversion: &Conversion) -> String {
    let mut said = String::new();
    for note in &conversion.notes {
        writeln!(said, "# {note}").unwrap();
    }
    for config in &conversion.configs {
        write!(said, "---\n{}", crd::write_value(config)).unwrap();
    }
    said
}

/// With a sink, what an object comes to is a configuration without problems.
fn assert_good(conversion: &Conversion) {
    let sink = "{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {name: default}, spec: {blackhole: {}}}\n";
    let text = format!("{sink}{}", said(conversion));
    let file = ConfigFile { path: "converted.yaml".into(), bytes: Ok(text.clone().into_bytes()) };
    let settings = crd::resolve(vec![file]).unwrap_or_else(|it| panic!("{it}\n{text}"));
    assert_eq!(settings.log_configs.len(), conversion.configs.len());
}

#[test]
fn objects_come_to_what_is_in_the_golden_files() {
    let mut wrong = String::new();
    for path in objects() {
        let object = object(&path);
        let mut text = String::new();
        for (title, reach) in
            [("a namespace's", Reach::Namespace), ("an administrator's", Reach::Cluster)]
        {
            let conversion = convert(&object, reach).unwrap();
            assert_eq!(
                conversion.is_refused(),
                conversion.configs.is_empty(),
                "{}",
                path.display()
            );
            assert_good(&conversion);
            writeln!(text, "## {title}\n{}", said(&conversion)).unwrap();
        }
        let golden = path.with_extension("txt");
        if crate::is_update() {
            fs::write(&golden, &text).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != text {
            writeln!(wrong, "{}:\n{text}", path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}UPDATE_GOLDEN=1 rewrites them");
}

#[test]
fn an_object_of_another_kind_is_none() {
    let path = objects().remove(0);
    let mut object = object(&path);
    object["apiVersion"] = "log.alibabacloud.com/v2".into();
    let error = convert(&object, Reach::Cluster).unwrap_err().to_string();
    assert!(error.contains("log.alibabacloud.com/v2") && error.contains("v1alpha1"), "{error}");
    assert!(convert(&Value::Null, Reach::Cluster).is_err());
}
