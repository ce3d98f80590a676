//! Review: what is wrong with one resource by itself, when nothing is known of the others.

use crate::load::ConfigFile;
use crate::problem::Problems;
use crate::report::Report;
use crate::resolve::{self, read};

/// All that a resource has against it, whatever others there are: errors and warnings. That a LogSink is not there
/// is none: it may come a moment later.
#[must_use]
pub fn review(file: ConfigFile) -> Problems {
    let mut report = Report::default();
    let mut resources = read::read(vec![file], &mut report);
    resources.assume_sinks();
    drop(resolve::settings(resources, &mut report, None));
    report.finish_own()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Problem;

    fn said(text: &str) -> Vec<String> {
        let file = ConfigFile { path: "one".into(), bytes: Ok(text.as_bytes().to_vec()) };
        review(file).iter().map(Problem::of_field).collect()
    }

    #[test]
    fn a_resource_is_good_whatever_others_there_are() {
        for spec in [
            r#""kind": "LogConfig", "spec": {"source": {"containers": {}}}"#,
            r#""kind": "LogConfig", "spec": {"sink": "later", "source": {"containers": {}}}"#,
            r#""kind": "LogTenant", "spec": {"sinks": ["later"]}"#,
            r#""kind": "LogSink", "spec": {"stdout": {}}"#,
        ] {
            let text = format!(
                r#"{{"apiVersion": "logferry.dev/v1alpha1", "metadata": {{"name": "a"}}, {spec}}}"#
            );
            assert_eq!(said(&text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn all_problems_of_a_resource_are_said_at_once() {
        let all = said(
            r#"{"apiVersion": "logferry.dev/v1alpha1", "kind": "LogConfig", "metadata": {"name": "a", "namespace": "shop"},
             "spec": {"tenant": "bank", "sinc": "x", "multiline": {"begin": "("}, "source": {"containers": {"pods": {"include": ["[a"]}}}}}"#,
        );
        for part in ["spec.tenant", "sinc", "spec.multiline.begin", "spec.source.containers.pods"] {
            assert!(all.iter().any(|it| it.contains(part)), "{part}: {all:#?}");
        }
    }
}
