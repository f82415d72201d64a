"""The image that ours is built on, where no registry can be asked.

A pipeline has `docker pull` and gets the official one. Here the same thing is put together from what the machine has: a
minimal Debian by `mmdebstrap`, the libraries that a Python links to, and a self-contained Python of this machine (pyenv's,
uv's, one built from source) below /usr/local. It takes the official image's tag in the engine of the tests only, so the
Dockerfile is tried unchanged. What is special about this machine's way to the package index (its certificates, its index)
goes into this image and nowhere else.

The file system is kept as an archive below .tools/, named after all that it is made from: a second run takes seconds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .engine import ROOT, Engine, NotVerified, install

PYTHON = "3.13"
"""The minor version that the Dockerfile names."""

LIBRARIES = (
    *("ca-certificates", "netbase", "tzdata", "libbz2-1.0", "libexpat1", "libffi8", "liblzma5", "libncursesw6"),
    *("libreadline8", "libsqlite3-0", "libssl3", "libuuid1", "zlib1g"),
)
"""What CPython's extension modules link to, in Debian bookworm's names."""

UNNEEDED = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def official_tag() -> str:
    """The base image by the name that the Dockerfile uses."""
    return f"python:{PYTHON}-slim-bookworm"


def provide_base_image(engine: Engine) -> str:
    """Sees to it that the engine has the base image; says where it came from. Raises `NotVerified`."""
    if engine.has_image(official_tag()):
        return "the engine's own"
    prefix = find_python()
    archive = ROOT / ".tools" / f"base-image-{fingerprint(prefix)}.tar"
    if not archive.exists():
        make_archive(prefix, archive)
    path = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    engine.run("import", "--change", path, "--change", 'CMD ["python3"]', str(archive), official_tag(), timeout_s=300)
    return f"made here from Debian and {prefix}"


def find_python() -> Path:
    """The prefix of a self-contained Python of the right version. Raises `NotVerified`."""
    name = f"python{PYTHON}"
    places = [Path(folder) / name for folder in os.environ.get("PATH", "").split(os.pathsep)]
    places += sorted(Path.home().glob(f".pyenv/versions/{PYTHON}*/bin/{name}"))
    places += sorted(Path.home().glob(f".local/share/uv/python/cpython-{PYTHON}*/bin/{name}"))
    for place in places:
        if not os.access(place, os.X_OK):
            continue
        asked = [str(place), "-c", "import sys; print(sys.base_prefix)"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() not in ("", "/usr"):
            return Path(done.stdout.strip())
    raise NotVerified(f"the base image is not here, and no {name} outside of /usr to make one with")


def fingerprint(prefix: Path) -> str:
    """Names all that the archive is made from."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(f"{prefix} {pip_settings()}".encode())
    for file in (prefix / "bin" / f"python{PYTHON}", CERTIFICATES):
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()[:12]


def make_archive(prefix: Path, archive: Path) -> None:
    """Debian, the Python and this machine's pip settings in one tar. Raises `NotVerified` when Debian can't be had."""
    install("mmdebstrap", "mmdebstrap")
    archive.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        make_debian(root)
        copy_python(prefix, root / "usr" / "local")
        if CERTIFICATES.exists():
            shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
        (root / "etc" / "pip.conf").write_text(pip_settings())
        for name in ("etc/resolv.conf", "etc/hostname"):
            (root / name).unlink(missing_ok=True)
        run("chroot", str(root), "ldconfig")
        run("chroot", str(root), "/usr/local/bin/python3", "-m", "ensurepip", "--default-pip")
        draft = archive.with_suffix(".new")
        run("tar", "--create", f"--file={draft}", f"--directory={root}", ".")
        for stale in archive.parent.glob("base-image-*.tar"):
            stale.unlink()
        draft.replace(archive)


def make_debian(root: Path) -> None:
    """A minimal bookworm, from wherever this machine's apt takes its packages."""
    sources = [*Path("/etc/apt/sources.list.d").glob("debian.sources"), *Path("/etc/apt").glob("sources.list")]
    options = [f"--include={','.join(LIBRARIES)}", *(f"--dpkgopt=path-exclude={path}" for path in UNNEEDED)]
    run("mmdebstrap", "--quiet", "--variant=minbase", *options, "bookworm", str(root), *map(str, sources[:1]))


def copy_python(prefix: Path, target: Path) -> None:
    """The interpreter and its standard library, without tests, static libraries and whatever was installed into it."""
    minor = f"python{PYTHON}"
    for name in (f"lib/{minor}", "include", *(str(file.relative_to(prefix)) for file in prefix.glob("lib/libpython3*"))):
        source = prefix / name
        ignored = shutil.ignore_patterns("site-packages", "__pycache__", "test", "*.a")
        if source.is_dir():
            shutil.copytree(source, target / name, symlinks=True, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target / name, follow_symlinks=False)
    shutil.copy2(prefix / "bin" / minor, target / "bin" / minor)
    for link in ("python3", "python"):
        (target / "bin" / link).symlink_to(minor)


def pip_settings() -> str:
    """This machine's way to its package index, as a pip.conf: certificates, and the index where one is configured."""
    lines = ["[global]"]
    if CERTIFICATES.exists():
        lines.append(f"cert = {CERTIFICATES}")
    for name in ("index-url", "proxy"):
        asked = subprocess.run(["pip", "config", "get", f"global.{name}"], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.strip():
            lines.append(f"{name} = {asked.stdout.strip()}")
    return "\n".join(lines) + "\n"


def run(*command: str) -> None:
    """A command that has to succeed. Raises `NotVerified` with its last line."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise NotVerified(f"the base image can't be made: {command[0]}: {lines[-1] if lines else done.returncode}")
