//! Values: YAML documents of whatever shape, in the YAML that resources are written in.

use serde::Serialize;
use serde_json::Value;

use crate::load::ConfigFile;
use crate::problem::Problems;
use crate::resolve::read::{problem, text};
use crate::yaml::{self, Skip};

/// The documents of a file.
///
/// # Errors
/// If it cannot be read, or is no YAML: all that is wrong.
pub fn read_values(file: ConfigFile) -> Result<Vec<Value>, Problems> {
    let text = text(&file.path, file.bytes).map_err(|it| Problems(vec![*it]))?;
    let (mut values, mut problems) = (Vec::new(), Vec::new());
    for parsed in yaml::documents(&text) {
        for fault in parsed.faults {
            let mut problem = problem(&file.path, fault.mark, &fault.why, &fault.cure);
            problem.what = fault.what;
            problems.push(problem);
        }
        // Any tree is a value.
        let value = parsed.root.map(|root| yaml::deserialize::<Value>(&root, &Skip::new()));
        values.extend(value.and_then(Result::ok));
    }
    if problems.is_empty() { Ok(values) } else { Err(Problems(problems)) }
}

/// `value` as a YAML document, in the order of its fields.
#[must_use]
pub fn write_value<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_string(value).expect("keys are texts");
    // JSON is YAML; reading it keeps the order of the fields.
    let documents = yaml::documents(&json);
    documents.iter().filter_map(|it| it.root.as_ref()).map(yaml::write).collect()
}
