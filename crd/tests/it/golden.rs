//! Each `tests/golden/*.yaml` is read alone; the `.txt` beside it holds what is said about it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crd::{ConfigFile, resolve};

/// What is said about the text: its problems, or that it is good and with which warnings.
fn said(name: &str, bytes: Vec<u8>) -> String {
    match resolve(vec![ConfigFile { path: name.into(), bytes: Ok(bytes) }]) {
        Err(problems) => format!("{problems}\n"),
        Ok(settings) => {
            let mut said = "good\n".to_owned();
            for warning in &settings.warnings {
                said.push_str(&format!("{warning}\n"));
            }
            said
        }
    }
}

#[test]
fn problems_are_told_as_in_the_golden_files() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut wrong = String::new();
    let mut count = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "yaml") {
            continue;
        }
        count += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let said = said(name, fs::read(&path).unwrap());
        let golden = path.with_extension("txt");
        if crate::is_update() {
            fs::write(&golden, &said).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if said != expected {
            writeln!(wrong, "{name}: said\n{said}but the golden file has\n{expected}").unwrap();
        }
    }
    assert!(count > 10, "only {count} golden files in {}", directory.display());
    assert!(wrong.is_empty(), "{wrong}UPDATE_GOLDEN=1 rewrites them");
}

#[test]
fn problems_are_json_too() {
    let error = crate::resolve_text("kind: LogSnik\n").unwrap_err();
    let json: serde_json::Value = serde_json::from_str(&error.to_json()).unwrap();
    assert_eq!(json[1]["severity"], "error");
    assert_eq!(json[1]["place"]["file"], "agent.yaml");
    assert_eq!(json[1]["place"]["line"], 1);
    assert_eq!(json[1]["path"], "kind");
    assert_eq!(json[1]["cure"], "did you mean `LogSink`?");
}
