//! Layers: the folders of a container's overlay, as each runtime tells them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Layers;
use crate::message::SnapshotMount;

/// Out of the mounts that containerd would make for a container's root.
///
/// An image of one layer that nothing is written over is a bind mount; anything but an overlay or that is of a
/// snapshotter whose folders nobody here knows.
pub(crate) fn of_snapshot(mounts: &[SnapshotMount]) -> Option<Layers> {
    let [mount] = mounts else { return None };
    match mount.kind.as_str() {
        "overlay" => {
            let option = |name: &str| mount.options.iter().find_map(|it| it.strip_prefix(name));
            let lowers = option("lowerdir=").unwrap_or_default().split(':');
            Some(Layers {
                upper: option("upperdir=")?.into(),
                lowers: lowers.filter(|it| !it.is_empty()).map(PathBuf::from).collect(),
            })
        }
        "bind" | "rbind" if mount.options.iter().any(|it| it == "rw") => {
            Some(Layers { upper: mount.source.as_str().into(), lowers: Vec::new() })
        }
        _ => None,
    }
}

/// Out of the root that CRI-O gives to a container: `STORAGE/overlay/LAYER/merged`, beside which are the folder `diff`
/// with what the container wrote, and the file `lower` with links, from `STORAGE/overlay`, to what its image has.
///
/// # Errors
/// If `lower` is there and cannot be read.
pub(crate) fn of_storage(root: &Path) -> io::Result<Option<Layers>> {
    let is_merged = root.is_absolute() && root.file_name().is_some_and(|it| it == "merged");
    let (Some(layer), true) = (root.parent(), is_merged) else { return Ok(None) };
    let Some(storage) = layer.parent() else { return Ok(None) };
    let lowers = match fs::read_to_string(layer.join("lower")) {
        Ok(lowers) => lowers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let lowers = lowers.trim_end().split(':').filter(|it| !it.is_empty());
    let lowers = lowers.map(|it| storage.join(it)).collect();
    Ok(Some(Layers { upper: layer.join("diff"), lowers }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, options: &[&str]) -> SnapshotMount {
        let options = options.iter().map(|&it| it.to_owned()).collect();
        SnapshotMount { kind: kind.to_owned(), source: "/s/7/fs".to_owned(), options }
    }

    #[test]
    fn an_overlay_of_containerd_has_an_upper_folder_and_lower_ones_in_order() {
        let overlay =
            mount("overlay", &["index=off", "upperdir=/s/7/fs", "lowerdir=/s/2/fs:/s/1/fs"]);
        let layers = of_snapshot(&[overlay]).unwrap();
        assert_eq!(layers.upper, Path::new("/s/7/fs"));
        assert_eq!(layers.lowers, ["/s/2/fs", "/s/1/fs"].map(PathBuf::from));
        assert_eq!(
            of_snapshot(&[mount("bind", &["rw", "rbind"])]).unwrap().upper,
            Path::new("/s/7/fs")
        );
        for other in [
            mount("ext4", &["rw"]),
            mount("overlay", &["lowerdir=/s/1/fs"]),
            mount("bind", &["ro"]),
        ] {
            assert_eq!(of_snapshot(std::slice::from_ref(&other)), None, "{other:?}");
        }
        assert_eq!(of_snapshot(&[]), None);
    }

    #[test]
    fn an_overlay_of_cri_o_is_known_by_the_folders_beside_its_root() {
        let folder = std::env::temp_dir().join(format!("cri-o-{}", std::process::id()));
        let layer = folder.join("overlay/abc");
        fs::create_dir_all(&layer).unwrap();
        fs::write(layer.join("lower"), "l/TWO:l/ONE\n").unwrap();
        let layers = of_storage(&layer.join("merged")).unwrap().unwrap();
        assert_eq!(layers.upper, layer.join("diff"));
        assert_eq!(layers.lowers, ["overlay/l/TWO", "overlay/l/ONE"].map(|it| folder.join(it)));
        assert_eq!(of_storage(Path::new("rootfs")).unwrap(), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
