//! Sum: the status that a resource should have, of what is known of it.

use aliyun::Note;
use crd::spec::{
    Condition, ConditionStatus, LogConfigOnNode, LogConfigStatus, LogCounts, NodeProblem, shortened,
};

/// Whether it is valid, and can be in force.
pub(crate) const ACCEPTED: &str = "Accepted";
/// Whether all that it selects is collected and delivered.
const READY: &str = "Ready";
/// Whether all fields of an object of Alibaba's agent are done.
const FIELDS_HONOURED: &str = "FieldsHonoured";
/// Longest message about its fields, in bytes: three hundred of them.
const FIELDS_BYTES_MAX: usize = 24 << 10;
/// Most nodes whose problems are said.
const NODE_PROBLEMS_MAX: usize = 10;
/// Longest message of a condition, in bytes: Kubernetes allows 32768.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What is known.
#[derive(Debug)]
pub(super) struct Facts<'a, I> {
    pub(super) generation: i64,
    /// Why it is refused, if it is.
    pub(super) verdict: &'a Result<(), String>,
    /// By node in their order, what the agent there says; `None` of what agents say nothing of.
    pub(super) said: Option<I>,
    /// Fields of an object of Alibaba's agent that are not done, and why; `None` of other resources.
    pub(super) left_out: Option<&'a [Note]>,
    pub(super) before: &'a LogConfigStatus,
    /// RFC 3339.
    pub(super) now: &'a str,
}

/// The status that it should have.
pub(super) fn sum<'a>(
    facts: Facts<'_, impl Iterator<Item = (&'a str, &'a LogConfigOnNode)>>,
) -> LogConfigStatus {
    let Facts { generation, verdict, said, left_out, before, now } = facts;
    let mut status = LogConfigStatus {
        observed_generation: Some(generation),
        conditions: vec![accepted(verdict)],
        ..LogConfigStatus::default()
    };
    if let Some(said) = said {
        let mut counts = LogCounts::default();
        for (node, said) in said {
            status.nodes += 1;
            counts.add(&said.counts);
            if said.problems.is_empty() {
                continue;
            }
            status.nodes_with_problems += 1;
            if status.node_problems.len() < NODE_PROBLEMS_MAX {
                let (node, message) = (node.to_owned(), said.problems.join("; "));
                status.node_problems.push(NodeProblem { node, message });
            }
        }
        status.counts = counts;
        let ready = ready(verdict, &status);
        status.conditions.push(ready);
    }
    status.conditions.extend(left_out.map(fields_honoured));
    for condition in &mut status.conditions {
        let bytes_max = match &*condition.about {
            FIELDS_HONOURED => FIELDS_BYTES_MAX,
            _ => MESSAGE_BYTES_MAX,
        };
        condition.message = shortened(std::mem::take(&mut condition.message), bytes_max);
        condition.observed_generation = Some(generation);
        let was = before.conditions.iter().find(|it| it.about == condition.about);
        let was = was.filter(|it| it.status == condition.status);
        condition.last_transition_time =
            was.map_or_else(|| now.to_owned(), |it| it.last_transition_time.clone());
    }
    status
}

/// Whether anything but counts and texts is another than before.
pub(super) fn is_urgent(now: &LogConfigStatus, before: &LogConfigStatus) -> bool {
    let kept = |it: &LogConfigStatus| {
        let condition = |it: &Condition| (it.about.clone(), it.status, it.reason.clone());
        (it.observed_generation, it.conditions.iter().map(condition).collect::<Vec<_>>())
    };
    kept(now) != kept(before)
}

fn accepted(verdict: &Result<(), String>) -> Condition {
    match verdict {
        Ok(()) => {
            condition(ACCEPTED, ConditionStatus::True, "Valid", "it can be in force".to_owned())
        }
        Err(why) => condition(ACCEPTED, ConditionStatus::False, "Invalid", why.clone()),
    }
}

fn ready(verdict: &Result<(), String>, status: &LogConfigStatus) -> Condition {
    let LogConfigStatus { nodes, nodes_with_problems, node_problems, .. } = status;
    let (is_ready, reason, message) = if verdict.is_err() {
        let message = "it is not accepted; where an earlier version was in force, that one is";
        (ConditionStatus::False, "NotAccepted", message.to_owned())
    } else if let Some(NodeProblem { node, message }) = node_problems.first() {
        let message = format!(
            "{nodes_with_problems} of {nodes} nodes have problems, such as {node}: {message}"
        );
        (ConditionStatus::False, "NodeProblems", message)
    } else if *nodes == 0 {
        let message = "no agent says that it selects anything on its node";
        (ConditionStatus::Unknown, "NothingSelected", message.to_owned())
    } else {
        let message = "all that it selects is collected, and taken by its sink";
        (ConditionStatus::True, "Collecting", message.to_owned())
    };
    condition(READY, is_ready, reason, message)
}

/// Names each field that is not done; nothing is passed over.
fn fields_honoured(left_out: &[Note]) -> Condition {
    if left_out.is_empty() {
        let message = "all that is written is done".to_owned();
        return condition(FIELDS_HONOURED, ConditionStatus::True, "AllHonoured", message);
    }
    let fields: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    condition(FIELDS_HONOURED, ConditionStatus::False, "SomeLeftOut", fields.join("\n"))
}

fn condition(about: &str, status: ConditionStatus, reason: &str, message: String) -> Condition {
    Condition {
        about: about.to_owned(),
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: String::new(),
        observed_generation: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: u64, problem: Option<&str>) -> LogConfigOnNode {
        let mut said = LogConfigOnNode::default();
        said.counts.delivered_bytes = bytes;
        said.problems.extend(problem.map(str::to_owned));
        said
    }

    fn summed(
        verdict: &Result<(), String>,
        said: &[(&str, LogConfigOnNode)],
        before: &LogConfigStatus,
        now: &str,
    ) -> LogConfigStatus {
        let said = Some(said.iter().map(|(node, it)| (*node, it)));
        sum(Facts { generation: 2, verdict, said, left_out: None, before, now })
    }

    fn conditions(status: &LogConfigStatus) -> Vec<(&str, ConditionStatus, &str)> {
        let of = |it: &Condition| (it.status, it.last_transition_time.clone());
        assert!(status.conditions.iter().map(of).all(|(_, time)| !time.is_empty()));
        status.conditions.iter().map(|it| (&*it.about, it.status, &*it.reason)).collect()
    }

    #[test]
    fn conditions_say_whether_all_is_well_and_keep_the_time_of_their_last_change() {
        let (ok, none) = (Ok(()), LogConfigStatus::default());
        let idle = summed(&ok, &[], &none, "1");
        assert_eq!(
            conditions(&idle),
            [
                ("Accepted", ConditionStatus::True, "Valid"),
                ("Ready", ConditionStatus::Unknown, "NothingSelected"),
            ]
        );
        let good = summed(&ok, &[("a", said(3, None)), ("b", said(4, None))], &idle, "2");
        assert_eq!(conditions(&good)[1], ("Ready", ConditionStatus::True, "Collecting"));
        assert_eq!((good.nodes, good.counts.delivered_bytes), (2, 7));
        let times: Vec<&str> = good.conditions.iter().map(|it| &*it.last_transition_time).collect();
        assert_eq!(times, ["1", "2"]);
        let bad = summed(&ok, &[("a", said(3, None)), ("b", said(4, Some("no")))], &good, "3");
        assert_eq!(conditions(&bad)[1], ("Ready", ConditionStatus::False, "NodeProblems"));
        assert_eq!(bad.conditions[1].message, "1 of 2 nodes have problems, such as b: no");
        let refused = summed(&Err("x".repeat(9999)), &[], &bad, "4");
        assert_eq!(conditions(&refused)[0], ("Accepted", ConditionStatus::False, "Invalid"));
        assert!(refused.conditions[0].message.len() <= MESSAGE_BYTES_MAX + 3);
    }

    #[test]
    fn more_bytes_are_no_haste_and_another_condition_is() {
        let (ok, none) = (Ok(()), LogConfigStatus::default());
        let few = summed(&ok, &[("a", said(3, None))], &none, "1");
        let more = summed(&ok, &[("a", said(4, None))], &few, "2");
        assert!(few != more && !is_urgent(&more, &few));
        assert_eq!(summed(&ok, &[("a", said(4, None))], &more, "3"), more);
        assert!(is_urgent(&summed(&ok, &[], &more, "3"), &more));
        assert!(is_urgent(&few, &none));
    }

    #[test]
    fn problems_of_thousands_of_nodes_are_bounded() {
        let names: Vec<String> = (0..5000).map(|it| format!("n{it:04}")).collect();
        let all: Vec<(&str, LogConfigOnNode)> =
            names.iter().map(|it| (it.as_str(), said(1, Some("no")))).collect();
        let status = summed(&Ok(()), &all, &LogConfigStatus::default(), "1");
        assert_eq!(
            (status.nodes_with_problems, status.node_problems.len()),
            (5000, NODE_PROBLEMS_MAX)
        );
        assert_eq!(status.node_problems[0].node, "n0000");
    }
}
