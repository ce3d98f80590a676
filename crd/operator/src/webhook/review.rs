//! Review: an AdmissionReview of `admission.k8s.io/v1`, and its answer.

use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most of a warning, in bytes; API servers cut what is longer (`k8s.io/apiserver`, warnings of admission webhooks).
const WARNING_BYTES_MAX: usize = 256;
/// Most warnings of an answer: with their length, what API servers let through.
const WARNINGS_MAX: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review {
    pub(super) api_version: String,
    pub(super) request: Option<Request>,
}

/// What somebody wants to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) uid: String,
    /// Empty of what has none.
    #[serde(default)]
    pub(super) namespace: String,
    /// Empty if the server is to choose one.
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) object: Value,
    #[serde(default)]
    pub(super) old_object: Value,
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// What becomes of it.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Why it is refused; empty if it is not.
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Operations of a JSON patch.
    pub(super) patch: Vec<Value>,
}

impl Review {
    /// The request, if the review is of the version that we speak.
    pub(super) fn request(self) -> Result<Request, String> {
        if self.api_version != "admission.k8s.io/v1" {
            return Err(format!("{}: want admission.k8s.io/v1", self.api_version));
        }
        self.request.ok_or_else(|| "a review without a request".to_owned())
    }
}

impl Answer {
    /// As the API server reads it.
    pub(super) fn to_review(&self, uid: &str) -> Value {
        let mut response = json!({"uid": uid, "allowed": self.problems.is_empty()});
        if !self.problems.is_empty() {
            let message = self.problems.join("\n");
            response["status"] =
                json!({"status": "Failure", "code": 422, "reason": "Invalid", "message": message});
        }
        if !self.warnings.is_empty() {
            let warnings = self.warnings.iter().take(WARNINGS_MAX);
            response["warnings"] = warnings.map(|it| json!(cut(it))).collect();
        }
        if !self.patch.is_empty() {
            let patch = Value::from(self.patch.clone()).to_string();
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(ByteString(patch.into_bytes()));
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(WARNING_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
