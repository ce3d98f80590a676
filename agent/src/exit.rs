//! Exit codes, for scripts and for the service manager.

use std::io;
use std::process::ExitCode;

/// What the process says when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything was done as asked.
    Done = 0,
    /// It was done, and the answer is bad: `audit` found loss or doubles, `explain` found nothing.
    Bad = 1,
    /// The configuration or the command line is wrong; nothing was started. clap uses 2 as well.
    Usage = 2,
    /// State, queue or address cannot be used.
    Unusable = 3,
    /// The grace was over before everything read was delivered; it is read again at the next start.
    Unfinished = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A command that could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
}

impl Failure {
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit: Exit::Usage, error: error.into() }
    }

    pub(crate) fn unusable(error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit: Exit::Unusable, error: error.into() }
    }

    /// Whether the reader of our output has gone, as `head` does: no failure of ours.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let mut causes = self.error.chain();
        causes.any(|cause| {
            let error = cause.downcast_ref::<io::Error>();
            error.is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
        })
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::unusable(error)
    }
}

/// What a command comes to.
pub(crate) type Outcome = Result<Exit, Failure>;
