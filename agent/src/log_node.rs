//! LogNode: tells the cluster what becomes of its LogConfigs on this node, on the thread `lf-status`.
//!
//! One object, written at most once a [`NODE_STATUS_PERIOD`], and only if it says anything else than before. Thousands of
//! agents do so at moments of their own. Nothing waits for it, and nothing depends on it.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;

use crd::limits::NODE_STATUS_PERIOD;
use crd::spec::LogNodeStatus;
use kube_watch::{Access, LogNode};

use crate::status::Status;

mod gather;
use gather::{Facts, Sums, gather, time_text};

/// Begins to tell, for as long as the process runs.
///
/// # Errors
/// If there is no thread, or no runtime on it.
pub(crate) fn start(access: Access, node: String, status: Arc<Status>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = move || {
        runtime.block_on(async {
            match LogNode::of(&access, node).await {
                Ok(log_node) => tell(&log_node, &status).await,
                Err(error) => {
                    tracing::error!(%error, "the cluster is not told what is collected here")
                }
            }
        });
    };
    std::thread::Builder::new().name("lf-status".to_owned()).spawn(body)?;
    Ok(())
}

async fn tell(log_node: &LogNode, status: &Status) {
    let part = u32::try_from(RandomState::new().hash_one(()) % 1024).unwrap_or(0);
    tokio::time::sleep(NODE_STATUS_PERIOD * part / 1024).await;
    let mut periods = tokio::time::interval(NODE_STATUS_PERIOD);
    periods.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = None;
    let mut is_failing = false;
    loop {
        periods.tick().await;
        let now = look(status);
        if told.as_ref() == Some(&now) {
            continue;
        }
        let observed_time = time_text(status.clock.unix_ns());
        let written = LogNodeStatus { observed_time, ..now.clone() };
        match log_node.write(&serde_json::json!(written)).await {
            Ok(()) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!("the cluster is told again what is collected here");
                }
                told = Some(now);
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "the cluster is not told what is collected here; trying again");
                }
                told = None;
            }
        }
    }
}

/// What there is to tell now. Readers answer within a moment; nobody else has anything to do on this thread.
fn look(status: &Status) -> LogNodeStatus {
    let unready = status.unready();
    let now = status.now();
    let (reporter, log_configs) = (now.reporter.clone(), now.log_configs.clone());
    let problems = [&now.config_problem, &now.credentials_problem];
    let problems: Vec<String> = problems.into_iter().flatten().cloned().collect();
    drop(now);
    let mut sums = Sums::new(&status.meter);
    if let Some(reporter) = reporter {
        reporter.report_each(|it| sums.add(&it));
    }
    gather(Facts {
        log_configs: &log_configs,
        sources: &sums,
        meter: &status.meter,
        unready: unready.into_iter().chain(problems).collect(),
        monotonic_ns: status.clock.monotonic_ns(),
        unix_ns: status.clock.unix_ns(),
    })
}
