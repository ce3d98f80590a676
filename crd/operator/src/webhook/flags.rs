//! Flags of the webhooks, of sidecars and of log disks.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::flags::duration;

/// As they were typed.
#[derive(Debug, Clone, Args)]
pub(crate) struct WebhookFlags {
    /// Address of /validate and /mutate
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) webhook_bind_address: IpAddr,
    /// Port of /validate and /mutate, by HTTPS; 0 for none
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) webhook_port: u16,
    /// What the API server calls it: a name or an address; may be given more than once
    #[arg(long, value_name = "NAME", default_values_t = Vec::<String>::new())]
    pub(crate) webhook_host: Vec<String>,
    /// Secret with the certificate, in the operator's namespace
    #[arg(long, value_name = "NAME", default_value = "logferry-webhook")]
    pub(crate) webhook_secret: String,
    /// Name of the webhook configurations that are to trust the certificate
    #[arg(long, value_name = "NAME", default_value = "logferry")]
    pub(crate) webhook_configuration: String,
    /// Somebody else makes the certificate, and lets the API server trust it, such as cert-manager
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) webhook_external_certificate: bool,
    /// How long a certificate lasts; it is replaced when a third of that is left
    #[arg(long, value_name = "TIME", default_value = "2160h", value_parser = duration)]
    pub(crate) webhook_certificate_duration: Duration,
    /// YAML file or folder with the Agent, LogSinks and LogTenants of sidecars; read again every few seconds
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) sidecar_config: Option<PathBuf>,
    /// Image of sidecars
    #[arg(long, value_name = "IMAGE", default_value = concat!("logferry:", env!("CARGO_PKG_VERSION")))]
    pub(crate) sidecar_image: String,
    /// When the kubelet pulls it
    #[arg(long, value_name = "POLICY", default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub(crate) sidecar_image_pull_policy: String,
    /// Memory of a sidecar, as Kubernetes writes it
    #[arg(long, value_name = "QUANTITY", default_value = "128Mi")]
    pub(crate) sidecar_memory: String,
    /// What of a processor is reserved for a sidecar
    #[arg(long, value_name = "QUANTITY", default_value = "20m")]
    pub(crate) sidecar_cpu: String,
    /// Most that a folder made for logs holds; a pod that writes more is evicted
    #[arg(long, value_name = "QUANTITY", default_value = "1Gi")]
    pub(crate) sidecar_folder_size: String,
    /// Nodes have the driver of log disks: pods that ask for it get them
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) log_disks: bool,
}

impl WebhookFlags {
    /// What is wrong between flags.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub(crate) fn check(&self) -> Result<(), String> {
        // Rounds of the keeper are five seconds, and the last third must hold some.
        if self.webhook_certificate_duration < Duration::from_secs(45) {
            return Err("--webhook-certificate-duration: must be 45s at least".to_owned());
        }
        Ok(())
    }

    /// Where to listen.
    pub(crate) fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.webhook_bind_address, self.webhook_port)
    }

    /// What the certificate is for.
    pub(crate) fn names(&self, namespace: &str) -> Vec<String> {
        match self.webhook_host.as_slice() {
            [] => vec![format!("logferry-webhook.{namespace}.svc")],
            names => names.to_vec(),
        }
    }
}
