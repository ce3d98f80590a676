//! Events: when to ask for the list again.
//!
//! containerd has its own events, for as many listeners as there are. Its answer to the CRI's `GetContainerEvents` has
//! each event but once, for one listener, up to 1.7: whoever else listens would take the kubelet's. So containerd is
//! asked for its own, and any other runtime by the CRI, if it can.

use cri::message::{ContainerEventResponse, Empty};
use prost::Message;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::message::{Envelope, SubscribeRequest, TaskExit};
use crate::runtime::Runtime;

/// Creation and removal of containers, and begin and end of their processes.
const FILTERS: [&str; 2] =
    ["namespace==k8s.io,topic~=^/containers/", "namespace==k8s.io,topic~=^/tasks/(start|exit)$"];
const TASK_EXIT: &str = "/tasks/exit";

/// Tells of changes; listens on a task of its own, since a runtime need not answer before there is the first one.
#[derive(Debug)]
pub(crate) struct Events {
    told: Receiver<Result<(), Status>>,
    task: JoinHandle<()>,
}

impl Events {
    /// Begins to listen.
    pub(crate) fn of(runtime: &Runtime) -> Events {
        // One that waits stands for all others.
        let (tell, told) = channel(1);
        let runtime = runtime.clone();
        let task = tokio::spawn(async move {
            let failed = match runtime.is_containerd {
                true => listen_to_containerd(&runtime, &tell).await,
                false => listen_to_cri(&runtime, &tell).await,
            };
            // Nobody listens any more: then nobody misses it.
            drop(tell.send(Err(failed)).await);
        });
        Events { told, task }
    }

    /// Waits for changes. `Unimplemented` if the runtime tells of none.
    pub(crate) async fn next(&mut self) -> Result<(), Status> {
        self.told.recv().await.unwrap_or_else(|| Err(closed()))
    }

    /// Forgets what was told up to now.
    pub(crate) fn drain(&mut self) -> Result<(), Status> {
        self.told.try_recv().unwrap_or(Ok(()))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn closed() -> Status {
    Status::unavailable("no more events")
}

async fn listen_to_containerd(runtime: &Runtime, tell: &Sender<Result<(), Status>>) -> Status {
    let question = SubscribeRequest { filters: FILTERS.map(str::to_owned).to_vec() };
    let method = "/containerd.services.events.v1.Events/Subscribe";
    let mut events = match runtime.client.listen::<_, Envelope>(method, question).await {
        Ok(events) => events,
        Err(status) => return status,
    };
    loop {
        match events.message().await {
            // Full: one waits already.
            Ok(Some(envelope)) if is_change(&envelope) => drop(tell.try_send(Ok(()))),
            Ok(Some(_)) => {}
            Ok(None) => return closed(),
            Err(status) => return status,
        }
    }
}

async fn listen_to_cri(runtime: &Runtime, tell: &Sender<Result<(), Status>>) -> Status {
    let method = "/runtime.v1.RuntimeService/GetContainerEvents";
    let listened = runtime.client.listen::<_, ContainerEventResponse>(method, Empty {}).await;
    let mut events = match listened {
        Ok(events) => events,
        Err(status) => return status,
    };
    loop {
        match events.message().await {
            Ok(Some(_)) => drop(tell.try_send(Ok(()))),
            Ok(None) => return closed(),
            Err(status) => return status,
        }
    }
}

/// Whether the runtime has said that it tells of no changes.
pub(crate) fn is_untold(status: &Status) -> bool {
    status.code() == Code::Unimplemented
}

/// Probes that end in a container are none, and there are many.
fn is_change(envelope: &Envelope) -> bool {
    let event = envelope.event.as_ref().filter(|_| envelope.topic == TASK_EXIT);
    let exit = event.and_then(|it| TaskExit::decode(&*it.value).ok());
    exit.is_none_or(|it| it.id == it.container_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Any;

    #[test]
    fn the_end_of_a_probe_is_no_change() {
        let exit = |id: &str| {
            let exit = TaskExit { container_id: "c".to_owned(), id: id.to_owned() };
            let event = Some(Any { value: exit.encode_to_vec() });
            is_change(&Envelope { topic: TASK_EXIT.to_owned(), event })
        };
        assert!(exit("c"));
        assert!(!exit("probe"));
        assert!(is_change(&Envelope { topic: "/containers/create".to_owned(), event: None }));
    }
}
