//! The agent and the real Apache Kafka: what its own consumer finds in the topics is what was written, once
//! and in order, whatever became of brokers, connections, answers, topics and rights meanwhile.
//!
//! The letters D1 to D11 number the faults; docs/PROOF.md says what each is.

mod scene;

mod answer;
mod late;
mod leader;
mod link;
mod outage;
mod recall;
mod reload;
mod restart;
mod right;
mod spool;
mod topic;
mod values;

pub(crate) use scene::{assert_audit_clean, audit};
