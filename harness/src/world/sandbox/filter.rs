//! What a program may not ask the kernel for. It is refused (EPERM), not killed: a program that tries and goes on is
//! a program that goes on.

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;
use std::io;

/// Calls no exercise needs: other processes' memory, mounts and namespaces, the kernel's own machinery, and memory
/// that no limit counts. io_uring opens sockets without asking this filter.
const REFUSED: [libc::c_long; 39] = [
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
];

/// The families a program may open sockets of. Netlink tells it its own addresses; packets, virtual machines' hosts
/// (which no network namespace hides) and the rest are not among them.
const FAMILIES: [libc::c_int; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// Flags of `clone` that make new namespaces.
const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// The part of a socket's type that is no flag.
const TYPE_MASK: u64 = 0xf;

/// Puts the filter on this process, for good. With `alone`, where no process namespace is around it, it may not trace
/// other processes either; inside one, it may (the leak checker of compilers does).
///
/// # Errors
/// When the kernel or the machine's architecture has no such filters.
pub(super) fn set(alone: bool) -> io::Result<()> {
    let program = program(alone).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)?;
    // The flags of clone3 lie in memory, where no filter looks. Without it, the C library takes clone.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let no_clone3 = filter(clone3, libc::ENOSYS).map_err(io::Error::other)?;
    seccompiler::apply_filter(&no_clone3).map_err(io::Error::other)
}

fn program(alone: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    if alone {
        rules.insert(libc::SYS_ptrace, Vec::new());
    }
    let is_none_of = FAMILIES
        .iter()
        .map(|family| argument(0, SeccompCmpOp::Ne, family.unsigned_abs().into()))
        .collect::<Result<_, _>>()?;
    let raw = u64::from(libc::SOCK_RAW.unsigned_abs());
    let is_raw = |family: libc::c_int| {
        SeccompRule::new(vec![
            argument(0, SeccompCmpOp::Eq, family.unsigned_abs().into())?,
            argument(1, SeccompCmpOp::MaskedEq(TYPE_MASK), raw)?,
        ])
    };
    rules.insert(
        libc::SYS_socket,
        vec![
            SeccompRule::new(is_none_of)?,
            is_raw(libc::AF_INET)?,
            is_raw(libc::AF_INET6)?,
        ],
    );
    let mut makes_one = Vec::new();
    for bit in (0..32)
        .map(|bit| 1u64 << bit)
        .filter(|bit| u64::from(NAMESPACES.unsigned_abs()) & bit != 0)
    {
        let condition = argument(0, SeccompCmpOp::MaskedEq(bit), bit)?;
        makes_one.push(SeccompRule::new(vec![condition])?);
    }
    rules.insert(libc::SYS_clone, makes_one);
    filter(rules, libc::EPERM)
}

fn argument(
    index: u8,
    operation: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operation, value)
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: libc::c_int,
) -> Result<BpfProgram, seccompiler::BackendError> {
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_can_be_compiled_for_this_machine() {
        assert!(!program(true).expect("it can be compiled").is_empty());
        assert_ne!(program(true), program(false));
    }
}
