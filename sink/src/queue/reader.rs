//! Reader: looks into a queue without a lock, while it is written, or when its writer is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::open::list_segments;
use super::scan::Scan;
use super::segment::{TenantNameError, check_tenant};

/// Why a queue could not be looked into.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("{}: {source}; want the folder of a queue, and the right to read it", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No tenant can be called so.
    #[error(transparent)]
    Tenant(#[from] TenantNameError),
    /// The queue holds nothing of the tenant.
    #[error("{}: nothing of tenant {tenant:?}", dir.display())]
    NoTenant {
        /// The queue's folder.
        dir: PathBuf,
        /// The tenant.
        tenant: String,
    },
}

impl ReadError {
    /// Adds the place to what the system said; for `map_err`.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
        let path = path.to_owned();
        move |source| ReadError::Io { path, source }
    }
}

/// A queue, open for reading.
#[derive(Debug, Clone)]
pub struct QueueReader {
    dir: PathBuf,
}

impl QueueReader {
    /// A reader of the queue in `dir`.
    ///
    /// # Errors
    /// If there is no such folder, or it may not be read.
    pub fn open(dir: &Path) -> Result<QueueReader, ReadError> {
        std::fs::read_dir(dir).map_err(ReadError::io(dir))?;
        Ok(QueueReader { dir: dir.to_owned() })
    }

    /// Names of the tenants that have a folder, sorted.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn tenants(&self) -> Result<Vec<String>, ReadError> {
        let mut tenants = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(ReadError::io(&self.dir))? {
            let entry = entry.map_err(ReadError::io(&self.dir))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(ReadError::io(&entry.path()))?;
            if kind.is_dir() && check_tenant(&name).is_ok() {
                tenants.push(name);
            }
        }
        tenants.sort_unstable();
        Ok(tenants)
    }

    /// Reads all batches of a tenant, oldest first, and goes on with what is appended meanwhile.
    ///
    /// # Errors
    /// If the queue holds nothing of the tenant.
    pub fn scan(&self, tenant: &str) -> Result<Scan, ReadError> {
        Ok(Scan::new(self.folder(tenant)?, Arc::from(tenant)))
    }

    /// Sequence of the oldest segment that is still there; 0 if nothing was ever removed.
    ///
    /// # Errors
    /// If the queue holds nothing of the tenant, or its folder cannot be listed.
    pub fn first_sequence(&self, tenant: &str) -> Result<u64, ReadError> {
        Ok(self.sequences(tenant)?.first().copied().unwrap_or(0))
    }

    /// All sequences of a tenant, ascending.
    pub(super) fn sequences(&self, tenant: &str) -> Result<Vec<u64>, ReadError> {
        let folder = self.folder(tenant)?;
        let (sequences, _) = list_segments(&folder).map_err(ReadError::io(&folder))?;
        Ok(sequences)
    }

    /// Folder of a tenant.
    pub(super) fn folder(&self, tenant: &str) -> Result<PathBuf, ReadError> {
        check_tenant(tenant)?;
        let folder = self.dir.join(tenant);
        match std::fs::metadata(&folder) {
            Ok(it) if it.is_dir() => Ok(folder),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ReadError::io(&folder)(error))
            }
            _ => Err(ReadError::NoTenant { dir: self.dir.clone(), tenant: tenant.to_owned() }),
        }
    }
}
