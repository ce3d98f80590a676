//! Child: a process that ends with ours, however that ends.
//!
//! `PR_SET_PDEATHSIG` (by setpriv) has the kernel kill it when the thread that started it ends. So all
//! are started by one thread, which lives as long as the process: a test's own thread ends before.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, Result};

type Order = (Command, SyncSender<io::Result<Child>>);

static STARTER: LazyLock<SyncSender<Order>> = LazyLock::new(|| {
    let (sender, orders) = sync_channel::<Order>(1);
    thread::Builder::new()
        .name("kit-start".to_owned())
        .spawn(move || {
            for (mut command, answer) in orders {
                // Whoever ordered it waits for the answer, or has panicked and wants none.
                drop(answer.send(command.spawn()));
            }
        })
        .expect("a thread can be started");
    sender
});

/// Starts `command` with an empty input.
///
/// # Errors
///
/// If the program or setpriv is not there.
pub fn start(command: &Command, output: Stdio, error: Stdio) -> Result<Child> {
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    bound.stdin(Stdio::null()).stdout(output).stderr(error);
    let (sender, answer) = sync_channel(1);
    STARTER.send((bound, sender)).context("the thread that starts processes has ended")?;
    answer.recv()?.context("setpriv (Debian package util-linux)")
}
