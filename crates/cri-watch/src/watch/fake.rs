//! Fake: a runtime that does what a real one cannot be made to do at will: to be CRI-O, to tell of no changes, to fail.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::{Bytes, BytesMut};
use cri::message::{
    ContainerEventResponse, ContainerMetadata, ContainerStatus, ContainerStatusRequest,
    ContainerStatusResponse, Empty, ListContainersResponse, ListPodSandboxResponse,
    ListedContainer, Mount, PodSandbox, PodSandboxMetadata, VersionResponse,
};
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use prost::Message;
use tokio::net::UnixListener;
use tokio::sync::{oneshot, watch};

/// What gRPC calls a method that there is not, and what is not there.
const UNIMPLEMENTED: &str = "12";
const NOT_FOUND: &str = "5";

/// What the runtime has.
#[derive(Debug, Default)]
pub(super) struct Has {
    pub(super) containers: Vec<ListedContainer>,
    pub(super) mounts: Vec<Mount>,
    /// `None` where it tells of no changes.
    pub(super) events: Option<watch::Sender<u64>>,
    /// How often the list was asked for.
    pub(super) lists: u32,
    storage: PathBuf,
}

/// CRI-O, as far as it is asked.
#[derive(Debug)]
pub(super) struct FakeRuntime {
    has: Arc<Mutex<Has>>,
    thread: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl FakeRuntime {
    /// Listens at `socket`; roots are below `storage`.
    pub(super) fn start(socket: &Path, storage: &Path, tells: bool) -> FakeRuntime {
        let events = tells.then(|| watch::channel(0).0);
        let has = Has { events, storage: storage.to_path_buf(), ..Has::default() };
        let has = Arc::new(Mutex::new(has));
        let (stop, stopped) = oneshot::channel();
        let (on_thread, socket) = (Arc::clone(&has), socket.to_path_buf());
        drop(std::fs::remove_file(&socket));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = UnixListener::bind(socket).unwrap();
                tokio::select! {
                    () = serve(listener, on_thread) => {}
                    _ = stopped => {}
                }
            });
        });
        FakeRuntime { has, thread: Some(thread), stop: Some(stop) }
    }

    pub(super) fn has(&self) -> MutexGuard<'_, Has> {
        self.has.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has these containers from now on, of one pod; tells so, if it does.
    pub(super) fn set(&self, ids: &[&str]) {
        let container = |id: &&str| ListedContainer {
            id: (*id).to_owned(),
            pod_sandbox_id: "pod".to_owned(),
            metadata: Some(ContainerMetadata { name: format!("app-{id}"), attempt: 3 }),
            state: 1,
        };
        let mut has = self.has();
        has.containers = ids.iter().map(container).collect();
        has.events.iter().for_each(|it| it.send_modify(|number| *number += 1));
    }
}

impl Drop for FakeRuntime {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

async fn serve(listener: UnixListener, has: Arc<Mutex<Has>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let has = Arc::clone(&has);
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(answer(request, respond, Arc::clone(&has)));
            }
        });
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    has: Arc<Mutex<Has>>,
) -> Option<()> {
    let method = request.uri().path().rsplit('/').next()?.to_owned();
    let mut body = request.into_body();
    let mut question = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        body.flow_control().release_capacity(data.len()).ok()?;
        question.extend_from_slice(&data);
    }
    // A byte that says whether it is compressed, and four of its length.
    let question = question.split_off(5);
    let response = || Response::builder().header("content-type", "application/grpc");
    if method == "GetContainerEvents" {
        let events = has.lock().unwrap().events.as_ref().map(watch::Sender::subscribe);
        let Some(mut events) = events else {
            let refusal = response().header("grpc-status", UNIMPLEMENTED).body(()).ok()?;
            respond.send_response(refusal, true).ok()?;
            return None;
        };
        let mut send = respond.send_response(response().body(()).ok()?, false).ok()?;
        while events.changed().await.is_ok() {
            let event = ContainerEventResponse { container_id: "any".to_owned() };
            send.send_data(frame(&event), false).ok()?;
        }
        return None;
    }
    let answered = has.lock().unwrap().answer(&method, &question);
    let Ok(answered) = answered else {
        let refusal = response().header("grpc-status", answered.unwrap_err()).body(()).ok()?;
        respond.send_response(refusal, true).ok()?;
        return None;
    };
    let mut send = respond.send_response(response().body(()).ok()?, false).ok()?;
    send.send_data(answered, false).ok()?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().ok()?);
    send.send_trailers(trailers).ok()
}

impl Has {
    fn answer(&mut self, method: &str, question: &[u8]) -> Result<Bytes, &'static str> {
        match method {
            "Version" => Ok(frame(&VersionResponse {
                runtime_name: "cri-o".to_owned(),
                runtime_version: "1.30.0".to_owned(),
            })),
            "ListPodSandbox" => {
                let metadata = PodSandboxMetadata {
                    name: "web-0".to_owned(),
                    uid: "u-1".to_owned(),
                    namespace: "shop".to_owned(),
                };
                let annotations = [("example.com/known", "yes"), ("example.com/other", "no")];
                let annotations = annotations.map(|(key, it)| (key.to_owned(), it.to_owned()));
                let (id, metadata) = ("pod".to_owned(), Some(metadata));
                let pod = PodSandbox { id, metadata, annotations: annotations.into() };
                Ok(frame(&ListPodSandboxResponse { items: vec![pod] }))
            }
            "ListContainers" => {
                self.lists += 1;
                Ok(frame(&ListContainersResponse { containers: self.containers.clone() }))
            }
            "ContainerStatus" => {
                let id = ContainerStatusRequest::decode(question).unwrap().container_id;
                if !self.containers.iter().any(|it| it.id == id) {
                    return Err(NOT_FOUND);
                }
                let root = self.storage.join("overlay").join(&id).join("merged");
                let info = format!(
                    r#"{{"pid": 7, "runtimeSpec": {{"root": {{"path": "{}"}}, "mounts": [{{"destination": "/proc",
                    "source": "proc"}}]}}}}"#,
                    root.display()
                );
                Ok(frame(&ContainerStatusResponse {
                    status: Some(ContainerStatus {
                        mounts: self.mounts.clone(),
                        ..Default::default()
                    }),
                    info: [("info".to_owned(), info)].into(),
                }))
            }
            _ => {
                Empty::decode(question).unwrap();
                Err(UNIMPLEMENTED)
            }
        }
    }
}

fn frame(message: &impl Message) -> Bytes {
    let length = u32::try_from(message.encoded_len()).unwrap();
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message.encode_to_vec());
    frame.into()
}
