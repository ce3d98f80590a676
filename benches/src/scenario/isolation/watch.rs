//! Watch: what the agent says of the victim and the aggressor, and what the kernel says of its memory.

use super::latency::Mark;
use crate::agent::Agent;
use crate::clocks::{SECOND_NS, monotonic_ns};

/// Time between two looks at memory.
const MEMORY_LOOK_NS: u64 = SECOND_NS / 10;

const DELIVERED: &str = "logferry_delivered_bytes_total";
const READ: &str = "logferry_read_bytes_total";

/// Looks at an agent while the victim writes.
pub(super) struct Watch {
    pub(super) begin_ns: u64,
    /// What of the victim was delivered by when.
    pub(super) delivered: Vec<Mark>,
    /// What of it was read by when.
    pub(super) read: Vec<Mark>,
    /// Most resident memory seen, in bytes.
    pub(super) resident_max: u64,
    memory_ns: u64,
    /// What was read of the aggressor: at the beginning, and now.
    aggressor: (f64, f64),
}

impl Watch {
    /// Begins to look.
    pub(super) fn begin(agent: &mut Agent) -> anyhow::Result<Watch> {
        let begin_ns = monotonic_ns();
        let mut watch = Watch {
            begin_ns,
            delivered: Vec::new(),
            read: Vec::new(),
            resident_max: 0,
            memory_ns: begin_ns,
            aggressor: (0.0, 0.0),
        };
        watch.look(agent)?;
        watch.aggressor.0 = watch.aggressor.1;
        Ok(watch)
    }

    /// One more look.
    pub(super) fn look(&mut self, agent: &mut Agent) -> anyhow::Result<()> {
        let metrics = agent.metrics()?;
        let of_tenant =
            |name: &str, tenant: &str| metrics.sum_where(name, "tenant", tenant).unwrap_or(0.0);
        let at_ns = monotonic_ns();
        let of_victim = |name| Mark { at_ns, bytes: whole(of_tenant(name, "victim")) };
        self.delivered.push(of_victim(DELIVERED));
        self.read.push(of_victim(READ));
        self.aggressor.1 = of_tenant(READ, "aggressor");
        if at_ns >= self.memory_ns {
            self.memory_ns = at_ns + MEMORY_LOOK_NS;
            self.resident_max = self.resident_max.max(agent.memory()?.resident_bytes);
        }
        Ok(())
    }

    /// What of the victim is delivered now.
    pub(super) fn delivered_bytes(&self) -> u64 {
        self.delivered.last().map_or(0, |it| it.bytes)
    }

    /// What was read of the aggressor since the beginning.
    pub(super) fn aggressor_bytes(&self) -> u64 {
        whole(self.aggressor.1 - self.aggressor.0)
    }
}

/// A counter; metrics are floating point by format only.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter of bytes")]
pub(super) fn whole(value: f64) -> u64 {
    value as u64
}
