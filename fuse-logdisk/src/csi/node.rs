//! Node: what the kubelet asks for a pod: `NodePublishVolume`, `NodeUnpublishVolume`, and `NodeGetVolumeStats`.
//!
//! What a call says is judged here, before anything is done; the [`Volumes`] do it.

use std::path::{Path, PathBuf};

use tonic::Status;

use super::attributes::{Attributes, Sizes};
use super::message::{
    AccessType, Mode, NodeGetVolumeStatsRequest, NodePublishVolumeRequest,
    NodeUnpublishVolumeRequest, VolumeCapability,
};
use super::pod::Pod;
use super::record::{Record, is_id};

/// The volume that a call asks for: its id, and all else.
pub(super) fn wanted(
    request: &NodePublishVolumeRequest,
    sizes: Sizes,
) -> Result<(String, Record), Status> {
    let id = id(&request.volume_id)?;
    let target = target("target_path", &request.target_path)?;
    let capability = request.volume_capability.as_ref();
    capable(capability.ok_or_else(|| bad("volume_capability is missing"))?)?;
    if request.readonly {
        return Err(bad("readOnly: nobody could write to this log disk; leave it out"));
    }
    let pod = Pod::parse(&request.volume_context).map_err(Status::invalid_argument)?;
    let attributes = Attributes::parse(&request.volume_context, sizes);
    Ok((id, Record { target, attributes: attributes.map_err(Status::invalid_argument)?, pod }))
}

/// The volume that a call no longer wants: its id, and where it is.
pub(super) fn unwanted(request: &NodeUnpublishVolumeRequest) -> Result<(String, PathBuf), Status> {
    Ok((id(&request.volume_id)?, target("target_path", &request.target_path)?))
}

/// The volume that a call asks about: its id, and where it is.
pub(super) fn asked(request: &NodeGetVolumeStatsRequest) -> Result<(String, PathBuf), Status> {
    Ok((id(&request.volume_id)?, target("volume_path", &request.volume_path)?))
}

fn bad(why: impl Into<String>) -> Status {
    Status::invalid_argument(why)
}

fn id(text: &str) -> Result<String, Status> {
    match text {
        "" => Err(bad("volume_id is missing")),
        _ if is_id(text) => Ok(text.to_owned()),
        _ => Err(bad(format!("volume_id {text:?} must be 128 letters, digits and -_. at most"))),
    }
}

fn target(field: &str, text: &str) -> Result<PathBuf, Status> {
    let path = Path::new(text);
    match text {
        "" => Err(bad(format!("{field} is missing"))),
        _ if path.is_absolute() && path.file_name().is_some() => Ok(path.to_path_buf()),
        _ => Err(bad(format!("{field} {text:?} is no absolute path of a folder"))),
    }
}

fn capable(capability: &VolumeCapability) -> Result<(), Status> {
    match &capability.access_type {
        None => return Err(bad("volume_capability has no access type")),
        Some(AccessType::Block(_)) => {
            return Err(bad("a log disk is a folder, and no block device"));
        }
        Some(AccessType::Mount(mount)) if !mount.fs_type.is_empty() => {
            return Err(bad(format!(
                "fsType {:?}: a log disk has none; leave it out",
                mount.fs_type
            )));
        }
        Some(AccessType::Mount(mount)) if !mount.mount_flags.is_empty() => {
            return Err(bad(
                "mount options: a log disk takes none; volumeAttributes say how it is",
            ));
        }
        Some(AccessType::Mount(_)) => {}
    }
    let mode = capability.access_mode.map_or(Mode::Unknown, |it| it.mode());
    match mode {
        Mode::SingleNodeWriter | Mode::SingleNodeSingleWriter | Mode::SingleNodeMultiWriter => {
            Ok(())
        }
        Mode::Unknown => Err(bad("volume_capability has no access mode")),
        _ => Err(bad(format!("access mode {mode:?}: a log disk is of one pod"))),
    }
}
