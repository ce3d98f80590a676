#!/usr/bin/env python3
"""Image: an OCI image archive of a program that is built, without a container engine and without a registry.

usage: scripts/image.py PROGRAM REFERENCE ARCHIVE
       scripts/image.py target/release/logferry registry.example.com/logferry:0.1.0 logferry.tar

It holds the program below /usr/bin, the shared libraries that it is linked to as they are on this machine (so
build on an old enough one), certificates of authorities, and nothing else: no shell. The same input gives the same bytes.
`ctr --namespace k8s.io images import ARCHIVE` loads it where it was made; `skopeo copy oci-archive:ARCHIVE docker://…`
sends it to a registry.
"""

import gzip
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
COMMANDS = {"usr/bin/logferry": ["run", "-f", "/etc/logferry/config"]}
PASSWD = b"root:x:0:0:root:/:/sbin/nologin\n"


def libraries(program):
    """Paths of the shared libraries that the program needs, as its loader finds them; none of a static one."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True)
    if listing.returncode != 0:
        return []
    paths = re.findall(r"(?:=> )?(/\S+) \(0x", listing.stdout)
    missing = re.findall(r"(\S+) => not found", listing.stdout)
    if missing:
        sys.exit(f"image: {program}: this machine has no {', '.join(missing)}")
    return sorted(set(paths))


def installed(program):
    """Where the program lies in the image: under its name, if it is one of ours."""
    name = Path(program).name
    return "usr/bin/" + (name if name in {"logdisk", "logferry", "logferry-operator"} else "logferry")


def layer(program):
    """The layer as a tar, uncompressed."""
    files = {installed(program): (Path(program).read_bytes(), 0o755), "etc/passwd": (PASSWD, 0o644)}
    if CERTIFICATES.is_file():
        for path in ("etc/ssl/certs/ca-certificates.crt", "usr/lib/ssl/cert.pem"):
            files[path] = (CERTIFICATES.read_bytes(), 0o644)
    for path in libraries(program):
        files[path.lstrip("/")] = (Path(path).read_bytes(), 0o755)
    folders = {parent.as_posix() for path in files for parent in Path(path).parents} - {"."}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(folders | set(files)):
            entry = tarfile.TarInfo(path)
            if path in files:
                content, entry.mode = files[path]
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
    return out.getvalue()


class Archive:
    """An OCI layout in a tar: blobs by their sums, and an index."""

    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)
        self.add("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())

    def add(self, name, content):
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o644
        self.tar.addfile(entry, io.BytesIO(content))

    def blob(self, kind, content):
        digest = hashlib.sha256(content).hexdigest()
        self.add(f"blobs/sha256/{digest}", content)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}


def main(program, reference, path):
    content = layer(program)
    machine = platform.machine()
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "Entrypoint": ["/" + installed(program)],
            "Cmd": COMMANDS.get(installed(program), []),
            "Env": ["PATH=/usr/bin"],
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]},
    }
    partial = f"{path}.partial"
    archive = Archive(partial)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": archive.blob("config.v1+json", json.dumps(config).encode()),
        "layers": [archive.blob("layer.v1.tar+gzip", gzip.compress(content, mtime=0))],
    }
    entry = archive.blob("manifest.v1+json", json.dumps(manifest).encode())
    # What containerd names an image by that it imports; and others.
    name = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    index = {"schemaVersion": 2, "manifests": [entry | {"annotations": name}]}
    archive.add("index.json", json.dumps(index).encode())
    archive.tar.close()
    os.replace(partial, path)
    print(f"image: {path}: {reference}, {Path(path).stat().st_size >> 10} KiB, {entry['digest']}")


if len(sys.argv) != 4:
    sys.exit(__doc__)
main(*sys.argv[1:])
