//! Flags: exactly what was typed. Those that kube-controller-manager has too bear its names and defaults.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use aliyun::Reach;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueEnum};
use crd::limits::NODE_STATUS_PERIOD;

use crate::webhook::WebhookFlags;

/// Does what a cluster needs once, beside the agents on its nodes.
#[derive(Debug, Clone, Parser)]
#[command(name = "logferry-operator", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 told to stop; 2 wrong usage; 3 the API server, an address or the lease cannot be used, \
or the lead was lost: start it again."
)]
pub(crate) struct Flags {
    /// Cluster of a kubeconfig's current context; without it, the one that this runs in
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The agents' configuration: a YAML file, or a directory of them; may be given more than once
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR")]
    pub(crate) paths: Vec<PathBuf>,
    /// Namespace of the agents and of the lease; without it, the one of the account
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) bind_address: IpAddr,
    /// Port of /healthz, /readyz and /metrics
    #[arg(long, value_name = "N", default_value_t = 9181)]
    pub(crate) port: u16,
    /// Work only while leading; false for one replica alone
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub(crate) leader_elect: bool,
    /// How long others wait for a leader that is not heard of
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub(crate) leader_elect_lease_duration: Duration,
    /// How long a leader tries to renew before it gives up
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) leader_elect_renew_deadline: Duration,
    /// How often to try to lead, or to renew
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub(crate) leader_elect_retry_period: Duration,
    /// Name of the lease
    #[arg(long, value_name = "NAME", default_value = "logferry-operator")]
    pub(crate) leader_elect_resource_name: String,
    /// Writes of statuses a second, at most
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) kube_api_qps: u32,
    /// Writes of statuses at once, after a rest
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) kube_api_burst: u32,
    /// Writes a second of statuses in which only counts changed; more only if one would be older than --status-freshness
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub(crate) status_counts_qps: u32,
    /// Statuses that are written at the same time
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) concurrent_status_syncs: usize,
    /// A status is written no more often than this, unless its conditions change
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) status_period: Duration,
    /// How old counts may become, with the 30s for which agents gather them
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) status_freshness: Duration,
    /// Everything is looked at again after this or up to twice this time, whether it changed or not
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = duration)]
    pub(crate) min_resync_period: Duration,
    /// Objects of Alibaba's agent count, as for the agents: what an AliyunLogConfig may speak of
    #[arg(long, value_name = "REACH", value_parser = reach())]
    pub(crate) aliyun: Option<Reach>,
    /// How much to log
    #[arg(long, value_enum, default_value_t = Level::Info)]
    pub(crate) log_level: Level,
    /// How to log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) logging_format: LogFormat,
    #[command(flatten)]
    pub(crate) webhook: WebhookFlags,
}

fn reach() -> impl TypedValueParser<Value = Reach> {
    PossibleValuesParser::new(Reach::NAMES).try_map(|it| it.parse::<Reach>())
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Flags {
    /// What is wrong between flags.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (lease, renew, retry) = (
            self.leader_elect_lease_duration,
            self.leader_elect_renew_deadline,
            self.leader_elect_retry_period,
        );
        let text = |it: Duration| format!("{it:?}");
        if renew >= lease {
            let (renew, lease) = (text(renew), text(lease));
            return Err(format!(
                "--leader-elect-renew-deadline={renew}: must be less than \
                 --leader-elect-lease-duration={lease}, or two could lead at once"
            ));
        }
        // As client-go demands it: pauses are up to 1.2 times as long.
        if retry.mul_f64(1.2) >= renew || retry.is_zero() {
            let (retry, renew) = (text(retry), text(renew));
            return Err(format!(
                "--leader-elect-retry-period={retry}: must be more than 0 and less than \
                 --leader-elect-renew-deadline={renew} by a fifth of it"
            ));
        }
        if lease.as_secs() == 0 {
            return Err("--leader-elect-lease-duration: must be 1s at least".to_owned());
        }
        if self.counts_patience().is_none() {
            let (freshness, period) = (text(self.status_freshness), text(self.status_period));
            return Err(format!(
                "--status-freshness={freshness}: must be more than --status-period={period} and {:?} by 1s at least, \
                 which is for how long agents gather counts",
                NODE_STATUS_PERIOD
            ));
        }
        let least = [
            ("--kube-api-qps", u64::from(self.kube_api_qps)),
            ("--kube-api-burst", u64::from(self.kube_api_burst)),
            ("--status-counts-qps", u64::from(self.status_counts_qps)),
            ("--concurrent-status-syncs", self.concurrent_status_syncs as u64),
        ];
        if let Some((flag, _)) = least.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{flag}=0: must be 1 at least"));
        }
        if self.status_counts_qps > self.kube_api_qps {
            let (counts, all) = (self.status_counts_qps, self.kube_api_qps);
            return Err(format!(
                "--status-counts-qps={counts}: must be --kube-api-qps={all} at most"
            ));
        }
        self.webhook.check()
    }

    /// For how long counts that may be written can wait for their turn; `None` if there is no time left for it.
    pub(crate) fn counts_patience(&self) -> Option<Duration> {
        let before = NODE_STATUS_PERIOD + self.status_period;
        self.status_freshness.checked_sub(before).filter(|it| *it >= Duration::from_secs(1))
    }

    /// Where to listen.
    pub(crate) fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.port)
    }
}

/// Takes a time such as 15s or 12h.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<jiff::SignedDuration>().map_err(|error| error.to_string())?;
    Duration::try_from(duration).map_err(|_| "a time is never negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<(), String> {
        let name = ["logferry-operator"];
        Flags::try_parse_from(name.iter().chain(arguments)).map_err(|it| it.to_string())?.check()
    }

    #[test]
    fn the_habits_of_kube_controller_manager_are_the_defaults_and_hold_together() {
        assert_eq!(parsed(&[]), Ok(()));
        assert_eq!(parsed(&["--leader-elect=false", "--leader-elect-lease-duration=1m"]), Ok(()));
        for (wrong, why) in [
            ("--leader-elect-renew-deadline=15s", "two could lead at once"),
            ("--leader-elect-retry-period=9s", "less than --leader-elect-renew-deadline=10s"),
            ("--leader-elect-retry-period=0s", "more than 0"),
            ("--kube-api-qps=0", "1 at least"),
            ("--status-period=-1s", "never negative"),
            (
                "--status-period=30s",
                "--status-freshness=60s: must be more than --status-period=30s",
            ),
            ("--status-counts-qps=201", "--kube-api-qps=200 at most"),
        ] {
            let said = parsed(&[wrong]).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }
}
