//! Real root where namespaces are refused, as in most containers: programs are run by a user of their own (L1r).
//!
//! The container is made of what makes one here: the rights that Docker leaves to root, and a filter that refuses new
//! namespaces. Nothing on the machine is changed for it.

use crate::support::{Checked, Copy, harness, has, skip};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What Docker leaves to root.
const RIGHTS: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                      +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

/// Runs the harness in such a container.
fn contained(cwd: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--bounding-set={RIGHTS}"))
        .arg(harness(cwd).get_program())
        .args(arguments)
        .current_dir(cwd);
    // The filter is a thread's, and whoever it starts inherits it.
    let run = std::thread::spawn(move || {
        for filter in filters() {
            seccompiler::apply_filter(&filter).expect("the kernel has filters");
        }
        command.output().expect("setpriv can be started")
    });
    run.join().expect("the thread does not panic")
}

/// Refuse what makes namespaces. The flags of clone3 cannot be looked at: it is not there, so clone is taken.
fn filters() -> [BpfProgram; 2] {
    let flag = |flag: libc::c_int| {
        let bit = u64::from(flag.unsigned_abs());
        let (size, operation) = (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bit));
        let condition = SeccompCondition::new(0, size, operation, bit).expect("a condition");
        SeccompRule::new(vec![condition]).expect("a rule")
    };
    let namespaces = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNS,
    ];
    let refused = BTreeMap::from([
        (libc::SYS_unshare, Vec::new()),
        (libc::SYS_clone, namespaces.map(flag).to_vec()),
    ]);
    let missing = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    [(refused, libc::EPERM), (missing, libc::ENOSYS)].map(|(rules, errno)| {
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(errno.unsigned_abs()),
            std::env::consts::ARCH
                .try_into()
                .expect("seccompiler knows it"),
        );
        filter
            .and_then(TryInto::try_into)
            .expect("it can be compiled")
    })
}

fn ready() -> bool {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root, who alone can run programs as somebody else");
    }
    if !has(&["python3", "setpriv"]) {
        return false;
    }
    let said = String::from_utf8(contained(Path::new("."), &["doctor"]).stdout);
    let said = said.expect("the doctor writes UTF-8");
    said.starts_with("isolation L1r:") || skip(&format!("needs isolation L1r: {said}"))
}

#[test]
fn where_namespaces_are_refused_root_runs_programs_as_another_user() {
    if !ready() {
        return;
    }
    let doctor = contained(Path::new("."), &["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    for wanted in [
        "a network of its own through a user namespace, processes shared: refused: unshare:",
        "a user of its own for each submission, with files of its own (Landlock): granted",
    ] {
        assert!(said.contains(wanted), "{wanted:?} in: {said}");
    }
    // Asked for, it is taken where more is to be had as well.
    let doctor = harness(Path::new("."))
        .args(["doctor", "--isolation", "l1r"])
        .output()
        .expect("the harness can be started");
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.starts_with("isolation L1r:"), "{said}");
}

#[test]
fn in_a_container_beginners_programs_pass_and_their_folder_stays_as_it_was() {
    const WIRE: &str = "ex6/computed-by-server";
    const OTHERS: &[u8] = b"nobody else is to read this";
    if !ready() {
        return;
    }
    let copy = Copy::of("beginner");
    // Nobody else could look at it where it lies.
    let closed = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(copy.home.path(), closed).expect("it is this test's");
    let before = listing(&copy.dir);
    let dir = copy.dir.to_str().expect("it has a name of UTF-8");
    let arguments = ["check", dir, "ex1", "ex4", "ex6/arithmetic", WIRE];
    let required = [
        "--require-isolation",
        "L1r",
        "--seed",
        "1",
        "--format",
        "json",
    ];
    let arguments = [&arguments[..], &required].concat();
    let output = amid(OTHERS, || contained(copy.home.path(), &arguments));
    let checked = Checked::read(output);
    assert_eq!(checked.report["isolation"]["level"], "L1r");
    let required = checked
        .checks()
        .iter()
        .filter(|check| check["kind"] == "required" && check["status"] != "not_run");
    let failed: Vec<_> = required.filter(|check| check["status"] != "pass").collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(checked.with_status("pass").contains(&"ex1/serves-again"));
    assert!(checked.with_status("pass").contains(&"ex6/arithmetic"));
    // The wire is watched, and what others say on it is not kept.
    assert!(checked.with_status("pass").contains(&"ex4/handshake"));
    assert!(checked.with_status("pass").contains(&WIRE));
    let holds = |octets: &[u8], wanted: &[u8]| octets.windows(wanted.len()).any(|at| at == wanted);
    let scene = copy
        .home
        .path()
        .join("lab-results/latest/scenes/calculator-session");
    let kept = std::fs::read(scene.join("capture.pcapng")).expect("it was kept");
    assert!(holds(&kept, b" + ") && !holds(&kept, OTHERS));
    assert_eq!(listing(&copy.dir), before);
    assert_eq!(copy.leftovers(), Vec::<String>::new());
}

#[test]
fn in_a_container_what_is_built_belongs_to_the_other_user_and_is_not_written_back() {
    if !ready() || !has(&["sh"]) {
        return;
    }
    let copy = Copy::of("hostile/ignores-sigterm");
    let manifest = std::fs::read_to_string(copy.dir.join("lab.toml")).expect("it is there");
    let manifest = format!("build = \"sh -c 'id -u > built'\"\n{manifest}").replace(
        "server = \"python3 server.py\"",
        "server = \"sh -c 'read user < built; [ $user = $(id -u) ] && exec python3 server.py'\"",
    );
    assert!(manifest.contains("id -u)"), "{manifest}");
    std::fs::write(copy.dir.join("lab.toml"), manifest).expect("it can be written");
    let before = listing(&copy.dir);
    let output = contained(
        copy.home.path(),
        &[
            "check",
            "ignores-sigterm",
            "--seed",
            "1",
            "--format",
            "json",
        ],
    );
    let checked = Checked::read(output);
    assert_eq!(checked.trouble(), "");
    assert_eq!(listing(&copy.dir), before);
}

/// Does something while somebody else says something on loopback all the time.
fn amid<T>(others: &'static [u8], act: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
            let own = socket.local_addr().expect("it has one");
            let patience = Some(Duration::from_millis(5));
            socket.set_read_timeout(patience).expect("it is not zero");
            while !over.load(Ordering::Relaxed) {
                socket.send_to(others, own).expect("it can be sent");
                // The first arrives at once; for the second, which nobody sends, the time is waited.
                let _ = socket.recv(&mut [0]);
                let _ = socket.recv(&mut [0]);
            }
        });
        let acted = act();
        over.store(true, Ordering::Relaxed);
        acted
    })
}

/// Every file below a folder with owner, mode, size and time of change.
fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("it can be read").flatten() {
        let metadata = entry.metadata().expect("it is there");
        found.push(format!(
            "{} {} {:o} {} {}",
            entry.path().display(),
            metadata.uid(),
            metadata.mode(),
            metadata.size(),
            metadata.ctime_nsec()
        ));
        if metadata.is_dir() {
            found.extend(listing(&entry.path()));
        }
    }
    found.sort();
    found
}
