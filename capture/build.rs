//! Sees to it that libpcap can be linked, before the linker says `cannot find -lpcap` to somebody who has never heard
//! of a linker.
//!
//! The pcap crate asks for `-lpcap`, which is the file `libpcap.so`: on most systems it comes with the development
//! package, while the library itself, `libpcap.so.0.8` or `libpcap.so.1`, comes with tcpdump and Wireshark. So:
//!
//! - development package: there is nothing to do.
//! - library alone: it gets the name that the linker looks for, in this crate's output folder.
//! - neither: one sentence says what to install, and that files can be read without it.
//!
//! Where it is a matter of choice (`LIBPCAP_LIBDIR`, another target than this machine) or of the system (macOS), nothing
//! is looked for.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    for variable in ["LIBPCAP_LIBDIR", "PKG_CONFIG_PATH", "RUSTC_LINKER"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let is_elsewhere = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system != "linux")
        || env::var("HOST") != env::var("TARGET")
        || env::var_os("LIBPCAP_LIBDIR").is_some();
    if env::var_os("CARGO_FEATURE_LIVE").is_none() || is_elsewhere {
        return Ok(());
    }
    if let Some(library) = known_to_the_linker() {
        // Looked for again when it is gone.
        println!("cargo::rerun-if-changed={}", library.display());
    } else if known_to_pkg_config() {
        // The pcap crate tells the linker where it is.
    } else if let Some(library) = at_run_time() {
        println!("cargo::rerun-if-changed={}", library.display());
        let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
        let name = folder.join("libpcap.so");
        if name.symlink_metadata().is_ok() {
            fs::remove_file(&name)?;
        }
        symlink(library, name)?;
        println!("cargo::rustc-link-search=native={}", folder.display());
    } else {
        println!(
            "cargo::error=libpcap is needed to capture and is not on this system: install it with \
             `apt install libpcap-dev` (Debian, Ubuntu), `dnf install libpcap-devel` (Fedora), `pacman -S libpcap` \
             (Arch) or `apk add libpcap-dev` (Alpine), or build with --no-default-features, which does without it and \
             reads files only"
        );
    }
    Ok(())
}

/// The file that `-lpcap` would be, where the linker looks of itself.
fn known_to_the_linker() -> Option<PathBuf> {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    ["libpcap.so", "libpcap.a"].into_iter().find_map(|name| {
        let output = Command::new(&linker)
            .arg(format!("-print-file-name={name}"))
            .output()
            .ok()?;
        let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        // What is not found is printed as it was asked for.
        (path.is_absolute() && path.exists()).then_some(path)
    })
}

fn known_to_pkg_config() -> bool {
    Command::new("pkg-config")
        .args(["--exists", "libpcap"])
        .status()
        .is_ok_and(|status| status.success())
}

/// The library that programs are run with: `libpcap.so.` and a version, made for this kind of machine.
fn at_run_time() -> Option<PathBuf> {
    // An ordinary user's PATH often lacks the folder it is in.
    let listed = ["ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig"]
        .into_iter()
        .find_map(|program| Command::new(program).arg("-p").output().ok())
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let listed = listed
        .lines()
        .filter_map(|line| Some(PathBuf::from(line.split_once(" => ")?.1.trim())));
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let debian = format!("/usr/lib/{architecture}-linux-gnu");
    let folders = [
        debian.as_str(),
        "/usr/lib64",
        "/usr/lib",
        "/lib64",
        "/lib",
        "/usr/local/lib",
    ];
    let in_folders = folders.into_iter().flat_map(|folder| {
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        files.sort();
        files
    });
    let this_machine = machine(&env::current_exe().ok()?)?;
    listed.chain(in_folders).find(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("libpcap.so."))
            && machine(path) == Some(this_machine)
    })
}

/// What an ELF file is made for: its class, its byte order and its machine.
fn machine(path: &Path) -> Option<[u8; 4]> {
    let mut header = [0; 20];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    header
        .starts_with(b"\x7fELF")
        .then(|| [header[4], header[5], header[18], header[19]])
}
