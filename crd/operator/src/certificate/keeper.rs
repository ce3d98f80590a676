//! Keeper: keeps the certificate in its Secret, the authorities in the webhook configurations, and both fresh.
//!
//! Each replica has one, and none needs to lead: a Secret is written with the version that was read, so that of two the
//! second fails and reads again. A certificate is shown only once its authority has been trusted for a round.

use std::sync::Arc;
use std::time::Duration;

use flow::{Clock, SystemClock};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use metrics::gauge;
use openssl::ssl::SslAcceptor;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Pair, issue};
use crate::metrics::CERTIFICATE_EXPIRY_SECONDS;

/// How often Secret and configurations are looked at. What the API server says of webhooks is in force in it within
/// a second, so a round is time enough to trust a new authority.
const ROUND: Duration = Duration::from_secs(5);
/// How long a round may take.
const ROUND_MAX: Duration = Duration::from_secs(20);
const CONFLICT: u16 = 409;

/// What is shown to who connects; `None` before there is any.
pub(crate) type Served = watch::Receiver<Option<Arc<SslAcceptor>>>;

/// Who makes the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// We do, for these names and so long; and tell the API server in the webhook configurations of this name.
    Own { names: Vec<String>, lasts: Duration, configurations: String },
    /// Somebody else, such as cert-manager, who tells the API server, too.
    External,
}

/// See the module.
pub(crate) struct Keeper {
    client: Client,
    secrets: Api<Secret>,
    secret: String,
    keeping: Keeping,
    shown: watch::Sender<Option<Arc<SslAcceptor>>>,
    /// What is shown, and what was found in the last round.
    showing: Option<Pair>,
    found: Option<Pair>,
    said: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("{0}")]
    Openssl(#[from] openssl::error::ErrorStack),
    #[error("Secret {0} has no tls.crt and tls.key; whoever is to make it has not")]
    Missing(String),
    #[error("the API server does not answer in {ROUND_MAX:?}")]
    Silent,
}

impl Keeper {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        secret: &str,
        keeping: Keeping,
    ) -> (Keeper, Served) {
        let (shown, served) = watch::channel(None);
        let secrets = Api::namespaced(client.clone(), namespace);
        let secret = secret.to_owned();
        let (showing, found, said) = (None, None, None);
        (Keeper { client, secrets, secret, keeping, shown, showing, found, said }, served)
    }

    /// Works for ever.
    pub(crate) async fn run(mut self) {
        loop {
            let outcome = timeout(ROUND_MAX, self.round()).await.unwrap_or(Err(KeepError::Silent));
            let problem = outcome.err().map(|it| it.to_string());
            if let Some(problem) = problem.as_ref().filter(|it| self.said.as_ref() != Some(it)) {
                tracing::error!(
                    problem,
                    "the certificate of the webhooks is not kept; trying again"
                );
            }
            self.said = problem;
            tokio::time::sleep(ROUND).await;
        }
    }

    async fn round(&mut self) -> Result<(), KeepError> {
        let secret = self.secrets.get_opt(&self.secret).await?;
        let pair = match &self.keeping {
            Keeping::External => secret.as_ref().and_then(Pair::of),
            Keeping::Own { names, lasts, .. } => {
                let (names, lasts) = (names.clone(), *lasts);
                Some(self.made(secret, &names, lasts).await?)
            }
        };
        let pair = pair.ok_or_else(|| KeepError::Missing(self.secret.clone()))?;
        if let Keeping::Own { configurations, .. } = &self.keeping {
            self.tell(configurations, &pair.authorities).await?;
        }
        let is_first = self.showing.is_none();
        let was_found = self.found.as_ref() == Some(&pair);
        if self.showing.as_ref() != Some(&pair) && (is_first || was_found) {
            self.shown.send_replace(Some(Arc::new(pair.acceptor()?)));
            tracing::info!(until = pair.validity()?.1, "showing a new certificate");
            self.showing = Some(pair.clone());
        }
        self.found = Some(pair);
        if let Some(showing) = &self.showing {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is floating point")]
            gauge!(CERTIFICATE_EXPIRY_SECONDS).set((showing.validity()?.1 - now()) as f64);
        }
        Ok(())
    }

    /// What the Secret has, or a new one if it has none that lasts.
    async fn made(
        &self,
        secret: Option<Secret>,
        names: &[String],
        lasts: Duration,
    ) -> Result<Pair, KeepError> {
        let had = secret.as_ref().and_then(Pair::of);
        let now = now();
        let lasting = had.as_ref().filter(|it| {
            // A third of its life is left.
            let (from, until) = it.validity().unwrap_or_default();
            it.is_for(names) && it.acceptor().is_ok() && until - now > (until - from) / 3
        });
        if let Some(pair) = lasting {
            return Ok(pair.clone());
        }
        let pair = issue(names, lasts, now, had.as_ref())?;
        let metadata = ObjectMeta { name: Some(self.secret.clone()), ..ObjectMeta::default() };
        let is_new = secret.is_none();
        let mut secret = secret.unwrap_or_else(|| Secret { metadata, ..Secret::default() });
        secret.type_.get_or_insert_with(|| "kubernetes.io/tls".to_owned());
        secret.data = Some(pair.data());
        let parameters = PostParams::default();
        let written = match is_new {
            true => self.secrets.create(&parameters, &secret).await,
            false => self.secrets.replace(&self.secret, &parameters, &secret).await,
        };
        match written {
            Ok(_) => Ok(pair),
            // Another replica was faster: what it made counts.
            Err(kube::Error::Api(status)) if status.code == CONFLICT => {
                let other = self.secrets.get_opt(&self.secret).await?;
                other
                    .as_ref()
                    .and_then(Pair::of)
                    .ok_or_else(|| KeepError::Missing(self.secret.clone()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the API server trust the authorities, in both configurations, if they are there.
    async fn tell(&self, name: &str, authorities: &[u8]) -> Result<(), KeepError> {
        let parameters = PostParams::default();
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        if let Some(mut it) = mutating.get_opt(name).await? {
            let all = it.webhooks.iter_mut().flatten().map(|it| &mut it.client_config);
            if trust(all, authorities) {
                ours_or_others(mutating.replace(name, &parameters, &it).await)?;
            }
        }
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        if let Some(mut it) = validating.get_opt(name).await? {
            let all = it.webhooks.iter_mut().flatten().map(|it| &mut it.client_config);
            if trust(all, authorities) {
                ours_or_others(validating.replace(name, &parameters, &it).await)?;
            }
        }
        Ok(())
    }
}

/// Whether something had to change.
fn trust<'a>(all: impl Iterator<Item = &'a mut WebhookClientConfig>, authorities: &[u8]) -> bool {
    let bundle = Some(ByteString(authorities.to_vec()));
    let stale = all.filter(|it| it.ca_bundle != bundle);
    stale.map(|it| it.ca_bundle.clone_from(&bundle)).count() > 0
}

/// Another replica writes the same.
fn ours_or_others<T>(written: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match written {
        Err(kube::Error::Api(status)) if status.code == CONFLICT => Ok(()),
        other => other.map(drop),
    }
}

fn now() -> i64 {
    SystemClock.unix_ns() / 1_000_000_000
}
