//! Registration: tells the kubelet that the driver is there, by a socket in the folder where it looks for plugins.
//!
//! The kubelet asks who it is as soon as the socket appears, also after its own restart, and says what came of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http::{Request, Response};
use tokio::sync::Notify;
use tonic::Status;
use tonic::body::Body;

use super::calls::{self, Calls, unary};
use super::message::{Empty, PluginInfo, RegistrationStatus};

/// Versions of the interface that are served, in the kubelet's words.
const VERSIONS: &str = "1.0.0";
/// Pause before the kubelet is asked again that refused.
const AGAIN: Duration = Duration::from_secs(10);

/// What the kubelet is told, and what it says.
pub(super) struct Registration {
    info: PluginInfo,
    refused: Notify,
    /// What the kubelet said last.
    heard: Mutex<Heard>,
}

/// What the kubelet said of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing yet.
    Nothing,
    Registered,
    /// Why.
    Refused(String),
}

impl Registration {
    /// Of the driver `name`, which the kubelet finds at `endpoint`.
    pub(super) fn new(name: &str, endpoint: &Path) -> Registration {
        let info = PluginInfo {
            kind: "CSIPlugin".to_owned(),
            name: name.to_owned(),
            endpoint: endpoint.display().to_string(),
            supported_versions: vec![VERSIONS.to_owned()],
        };
        Registration { info, refused: Notify::new(), heard: Mutex::new(Heard::Nothing) }
    }

    /// What the kubelet said last.
    pub(super) fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the kubelet finds it.
    ///
    /// Its client sends the socket's path, escaped, as the `:authority` of each call. A host with escapes is none, and
    /// would be refused here before anybody is asked; but those before an `@` may have them.
    pub(super) fn socket(folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("registration@{name}"))
    }

    /// Is there for the kubelet, for ever.
    pub(super) async fn run(self: Arc<Self>, socket: &Path) -> anyhow::Result<()> {
        loop {
            let listener = calls::listen(socket).with_context(|| socket.display().to_string())?;
            tokio::select! {
                ended = calls::serve(listener, Arc::clone(&self)) => return ended,
                () = self.refused.notified() => {}
            }
            // It looks at a socket once; a new one is looked at anew.
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn hear(&self, status: &RegistrationStatus) {
        let heard = match status.plugin_registered {
            true => Heard::Registered,
            false => Heard::Refused(status.error.clone()),
        };
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        if status.plugin_registered {
            tracing::info!(driver = %self.info.name, "registered with the kubelet");
        } else {
            tracing::error!(why = %status.error, "the kubelet refuses the driver; asking it again");
            self.refused.notify_one();
        }
    }
}

impl Calls for Registration {
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/pluginregistration.Registration/GetInfo" => {
                let info = self.info.clone();
                unary(request, move |_: Empty| std::future::ready(Ok::<_, Status>(info.clone())))
                    .await
            }
            "/pluginregistration.Registration/NotifyRegistrationStatus" => {
                unary(request, move |status: RegistrationStatus| {
                    self.hear(&status);
                    std::future::ready(Ok(Empty {}))
                })
                .await
            }
            _ => calls::unknown(&request),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::uri::Authority;

    use super::*;

    #[test]
    fn the_path_of_the_socket_is_an_authority_as_the_kubelet_writes_it() {
        let folder = Path::new("/var/lib/kubelet/plugins_registry");
        let socket = Registration::socket(folder, "logdisk.logferry.dev");
        let escaped = socket.display().to_string().replace('/', "%2F");
        assert_eq!(Authority::try_from(escaped).unwrap().host(), "logdisk.logferry.dev");
    }
}
