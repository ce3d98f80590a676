//! Runs one broker until its input ends, and tells where it is: to try things by hand.

use std::io::{self, Write};

use kafka_kit::{Cluster, Listener};

fn main() -> anyhow::Result<()> {
    let cluster = Cluster::builder().start()?;
    let mut output = io::stdout().lock();
    writeln!(output, "folder: {}", cluster.folder().display())?;
    writeln!(output, "process: {}", cluster.broker(1).process()?)?;
    for listener in Listener::ALL {
        writeln!(output, "{}: {}", listener.name(), cluster.addresses(listener))?;
    }
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}
