//! API server: the real kube-apiserver with an etcd of its own, without any node or controller.
//!
//! Resources are validated, defaulted, stored, watched and authorised as in any cluster. Nothing acts on them: no pod
//! is scheduled, no service account gets a secret, and what has an owner is not removed with it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_kit::{Authority, Validity};

use crate::folder::Folder;
use crate::home;
use crate::place::Place;
use crate::process::Process;
use crate::user::User;

/// Where services are that nothing leads to.
const SERVICES: &str = "10.96.0.0/16";
/// The port of the service `kubernetes`, by which pods find the API server.
const SERVICE_PORT: u16 = 443;

/// What is written down: each request of a service account that is none of the cluster's own, once.
const AUDIT_POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseStarted, ResponseComplete, Panic]
rules:
- {level: None, userGroups: ['system:serviceaccounts:kube-system']}
- {level: Metadata, userGroups: ['system:serviceaccounts']}
- {level: None}
"#;

/// Whoever is known to the server by a token that is its name. Only this machine reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// May do anything.
    Admin,
    Node,
    Controllers,
    Scheduler,
}

impl Role {
    const ALL: [Role; 4] = [Role::Admin, Role::Node, Role::Controllers, Role::Scheduler];

    fn token(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Node => "node",
            Role::Controllers => "controllers",
            Role::Scheduler => "scheduler",
        }
    }

    /// Name and group, as Kubernetes gives rights to them.
    fn identity(self) -> (&'static str, &'static str) {
        match self {
            Role::Admin => ("admin", "system:masters"),
            Role::Node => ("system:node:node1", "system:nodes"),
            Role::Controllers => ("system:kube-controller-manager", ""),
            Role::Scheduler => ("system:kube-scheduler", ""),
        }
    }
}

/// A kube-apiserver, running or not.
#[derive(Debug)]
pub struct ApiServer {
    server: Process,
    etcd: Process,
    place: Place,
    /// Where it listens.
    address: SocketAddrV4,
    admin: User,
    /// Controllers run, which make the accounts that pods have; and it listens where pods find it.
    has_controllers: bool,
    // Last: what it removes is in use by the others until they end.
    folder: Folder,
}

impl ApiServer {
    /// Starts one that has nothing but what it makes itself, and returns when it is ready.
    ///
    /// # Errors
    ///
    /// If `scripts/kubernetes.sh` was not run, or it does not come up; with the end of its log.
    pub fn start() -> Result<ApiServer> {
        ApiServer::new(false)
    }

    /// The same for a cluster.
    pub(crate) fn with_controllers() -> Result<ApiServer> {
        ApiServer::new(true)
    }

    fn new(has_controllers: bool) -> Result<ApiServer> {
        let folder = Folder::new()?;
        let place = Place::new()?;
        let logs = folder.path().to_path_buf();
        let address = match has_controllers {
            true => SocketAddrV4::new(folder.service_address()?, SERVICE_PORT),
            false => place.port(0),
        };
        let authority = Authority::new(folder.path(), "authority")?;
        authority.issue("apiserver", Some(*address.ip()), Validity::Valid)?;
        let admin = Role::Admin.token();
        let admin = User::new(folder.path(), admin, address, admin)?;
        let server = ApiServer {
            server: Process::new("kube-apiserver", logs.clone()),
            etcd: Process::new("etcd", logs),
            place,
            address,
            admin,
            has_controllers,
            folder,
        };
        let tokens = Role::ALL.map(|role| {
            let (name, group) = role.identity();
            format!("{},{name},{name},{group}\n", role.token())
        });
        fs::write(server.path("tokens"), tokens.concat())?;
        fs::write(server.path("audit-policy"), AUDIT_POLICY)?;
        server.start_etcd()?;
        server.start_again()?;
        Ok(server)
    }

    /// Starts it after [`ApiServer::stop`] or [`ApiServer::kill`], at the same place, with all that it had.
    ///
    /// # Errors
    ///
    /// If it runs, or does not come up; with the end of its log.
    pub fn start_again(&self) -> Result<()> {
        let mut command = Command::new(home::program("kube-apiserver")?);
        let mut set = |flag: &str, value: &str| {
            command.arg(format!("--{flag}={value}"));
        };
        let file = |name: &str| self.path(name).display().to_string();
        set("etcd-servers", &format!("http://{}", self.place.port(1)));
        set("bind-address", &self.address.ip().to_string());
        set("advertise-address", &self.address.ip().to_string());
        set("secure-port", &self.address.port().to_string());
        set("endpoint-reconciler-type", "none");
        set("cert-dir", &file("generated"));
        set("client-ca-file", &file("authority.crt"));
        set("tls-cert-file", &file("authority-apiserver.crt"));
        set("tls-private-key-file", &file("authority-apiserver.key"));
        set("token-auth-file", &file("tokens"));
        set("service-account-issuer", "https://kubernetes.default.svc");
        // Tokens of service accounts are signed with the same key.
        set("service-account-key-file", &file("authority-apiserver.crt"));
        set("service-account-signing-key-file", &file("authority-apiserver.key"));
        if self.has_controllers {
            set("service-cluster-ip-range", &self.folder.subnet());
            // Webhooks are asked at the pods of their service: nothing forwards to services.
            set("enable-aggregator-routing", "true");
        } else {
            set("service-cluster-ip-range", SERVICES);
        }
        set("audit-policy-file", &file("audit-policy"));
        set("audit-log-path", &file("audit"));
        set("authorization-mode", "Node,RBAC");
        set("enable-admission-plugins", "NodeRestriction");
        if !self.has_controllers {
            // No namespace gets the account that it would give to pods.
            set("disable-admission-plugins", "ServiceAccount");
        }
        set("allow-privileged", "true");
        self.server.start(&command, || self.admin.kubectl(&["get", "--raw=/readyz"]).map(drop))
    }

    /// Kills it (SIGKILL): connections break.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill(&self) -> Result<()> {
        self.server.kill()
    }

    /// Asks it to end (SIGTERM), and waits for that: watches are ended before.
    ///
    /// # Errors
    ///
    /// If it does not run, or does not end.
    pub fn stop(&self) -> Result<()> {
        self.server.stop()
    }

    /// What it printed since it was last started.
    ///
    /// # Errors
    ///
    /// If its log is gone.
    pub fn log(&self) -> Result<String> {
        self.server.log()
    }

    /// What service accounts have asked since it was made: verbs and resources, such as `list pods`.
    ///
    /// # Errors
    ///
    /// If that was not written down.
    pub fn requests(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.path("audit"))?;
        let request = |line: &str| -> Result<String> {
            let event: Value = serde_json::from_str(line)?;
            let word = |it: &Value| it.as_str().unwrap_or("nothing").to_owned();
            Ok(format!("{} {}", word(&event["verb"]), word(&event["objectRef"]["resource"])))
        };
        text.lines().map(request).collect()
    }

    /// Has etcd forget all but what there is now: a watch that was not there meanwhile cannot go on (410).
    ///
    /// # Errors
    ///
    /// If etcd does not answer, or refuses.
    pub fn compact(&self) -> Result<()> {
        let now = self.ask_etcd("/v3/kv/range", &json!({"key": "AA=="}))?;
        let revision = &now["header"]["revision"];
        let done = self.ask_etcd("/v3/kv/compaction", &json!({"revision": revision}))?;
        ensure!(done["header"].is_object(), "{done}");
        Ok(())
    }

    fn ask_etcd(&self, path: &str, question: &Value) -> Result<Value> {
        let (place, body) = (self.place.port(1), question.to_string());
        let mut line = TcpStream::connect(place)?;
        let length = body.len();
        write!(
            line,
            "POST {path} HTTP/1.0\r\nHost: {place}\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        line.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer of HTTP")?;
        serde_json::from_str(body).with_context(|| format!("etcd says {answer:?}"))
    }

    /// Whoever may do anything.
    #[must_use]
    pub fn admin(&self) -> &User {
        &self.admin
    }

    /// A service account that is there, with the rights that it has by its roles.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<User> {
        let token = self.admin.kubectl(&["create", "token", "--namespace", namespace, name])?;
        let file = format!("{namespace}-{name}");
        User::new(self.folder.path(), &file, self.address, token.trim())
    }

    /// A part of the cluster, with its rights.
    pub(crate) fn component(&self, role: Role) -> Result<User> {
        User::new(self.folder.path(), role.token(), self.address, role.token())
    }

    /// Its ports on this machine alone; those from 3 on are free.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The program kubectl, for what [`User::kubectl`] cannot do, such as to watch.
    ///
    /// # Errors
    ///
    /// If it was not built.
    pub fn kubectl(&self) -> Result<PathBuf> {
        home::program("kubectl")
    }

    fn start_etcd(&self) -> Result<()> {
        let mut command = Command::new(home::program("etcd")?);
        let [client, peer] = [1, 2].map(|index| format!("http://{}", self.place.port(index)));
        command.arg("--data-dir").arg(self.path("etcd"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.arg("--initial-cluster").arg(format!("default={peer}"));
        // No machine is to lose its power here.
        command.arg("--unsafe-no-fsync");
        self.etcd.start(&command, || {
            let log = self.etcd.log()?;
            ensure!(log.contains("ready to serve client requests"), "it does not say so yet");
            Ok(())
        })
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.server.end_of_log(|line| line.starts_with(['E', 'W', 'F']));
            eprintln!("--- what the API server warned of last ---\n{said}");
        }
    }
}
