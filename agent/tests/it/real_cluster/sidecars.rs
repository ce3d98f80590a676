//! Sidecars that a kubelet runs: the operator and the agents of nodes as the chart installs them, pods that ask for a
//! sidecar, and a broker.

mod answers;
mod life;
mod scene;
