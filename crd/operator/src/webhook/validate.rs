//! Validate: lets in what `logferry check` has nothing against, and says all that is wrong with the rest at once.
//!
//! What a resource needs of others is not asked: they may come a moment later, and the agents say what is missing.

use crd::{ConfigFile, Problem};
use serde_json::{Value, json};

use super::review::{Answer, Request};

/// What of the metadata a configuration knows.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// What becomes of a resource of ours.
pub(super) fn validate(request: &Request) -> Answer {
    let object = &request.object;
    // What goes, or was let in before and stays as it is: finalizers and labels can always be changed.
    let is_going = !object["metadata"]["deletionTimestamp"].is_null();
    let is_unchanged =
        !request.old_object.is_null() && request.old_object["spec"] == object["spec"];
    if object.is_null() || is_going || is_unchanged {
        return Answer::default();
    }
    let problems = crd::review(ConfigFile {
        path: "review".into(),
        bytes: Ok(document(request).to_string().into_bytes()),
    });
    let (errors, warnings): (Vec<&Problem>, Vec<&Problem>) =
        problems.iter().partition(|it| it.is_error());
    let texts = |of: Vec<&Problem>| of.into_iter().map(Problem::of_field).collect();
    Answer { problems: texts(errors), warnings: texts(warnings), patch: Vec::new() }
}

/// The resource, with no more than the agent reads of it.
fn document(request: &Request) -> Value {
    let object = &request.object;
    let mut metadata = json!({});
    for key in METADATA {
        if let Some(value) = object["metadata"].get(key).filter(|it| !it.is_null()) {
            metadata[key] = value.clone();
        }
    }
    if metadata["name"].is_null() {
        // The server will choose one: a good one.
        metadata["name"] = json!(if request.name.is_empty() { "unnamed" } else { &request.name });
    }
    json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "metadata": metadata,
        "spec": object["spec"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(object: Value, old_object: Value) -> Request {
        let (uid, namespace, name) = (String::new(), String::new(), String::new());
        Request { uid, namespace, name, object, old_object, dry_run: false }
    }

    fn config(spec: Value) -> Value {
        let metadata = json!({"generateName": "web-", "namespace": "shop", "managedFields": []});
        json!({
            "apiVersion": "logferry.dev/v1alpha1", "kind": "LogConfig", "metadata": metadata,
            "spec": spec, "status": {"conditions": []},
        })
    }

    #[test]
    fn all_problems_are_said_at_once() {
        let bad = config(
            json!({"tenant": "bank", "multiline": {"begin": "("}, "source": {"containers": {}}}),
        );
        let answer = validate(&request(bad, Value::Null));
        let all = answer.problems.join("\n");
        assert!(all.contains("spec.tenant") && all.contains("spec.multiline.begin"), "{all}");
        let good = config(json!({"source": {"containers": {}}}));
        assert_eq!(validate(&request(good, Value::Null)).problems, Vec::<String>::new());
    }

    #[test]
    fn what_was_let_in_before_can_lose_its_finalizers_and_go() {
        let bad = config(json!({"source": {}}));
        assert!(!validate(&request(bad.clone(), Value::Null)).problems.is_empty());
        assert!(validate(&request(bad.clone(), bad.clone())).problems.is_empty());
        let mut going = bad;
        going["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
        assert!(validate(&request(going, config(json!({})))).problems.is_empty());
    }
}
