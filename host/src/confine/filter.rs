//! The system calls that a game is refused.
//!
//! A list of what is denied, as container engines have for desktops: what changes mounts, namespaces,
//! clocks and modules, looks into other processes, or reaches rarely used and often broken parts of the
//! kernel. Everything else a game may use, since what games and their drivers call cannot be listed. The
//! namespaces are the wall; this keeps the kernel behind it small.
//!
//! There are two filters. `bubblewrap` installs the one that refuses without a word ([`bytes`]), its first process
//! ([`attempts::install`](super::attempts::install)) the one of what leads out ([`leading_out`]), where the kernel asks the node first,
//! which so learns of it, or refuses by itself where nobody can be asked.
//!
//! Refused calls fail with `EPERM`. `clone3` fails with `ENOSYS`, since its flags lie in memory where a
//! filter cannot see them; C libraries then use `clone`. Programs of another architecture (32-bit ones on
//! a 64-bit kernel) are killed: the numbers of their calls mean others.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::attempts::Attempt;

/// Refused whatever the arguments are, without a word: programs call these for reasons of their own.
const DENIED: &[i64] = &[
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_process_madvise,
    // Drivers of graphics devices ask it whether two descriptors are one.
    libc::SYS_kcmp,
    libc::SYS_syslog,
    // It tells how the clock goes, too.
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
    // Large parts of the kernel that games have no use for, and libraries try.
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_name_to_handle_at,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[i64] = &[
    // Doom looks for a sound card of its time.
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];
#[cfg(target_arch = "aarch64")]
const DENIED_HERE: &[i64] = &[];

/// Refused whatever the arguments are, and told: who calls these wants out.
const LEADING_OUT: &[(Attempt, &[i64])] = &[
    (
        Attempt::Mounts,
        &[
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_mount_setattr,
            libc::SYS_swapon,
            libc::SYS_swapoff,
        ],
    ),
    // They are entered by flags of `clone` and `unshare` too, see below.
    (Attempt::Namespaces, &[libc::SYS_setns]),
    (
        Attempt::Processes,
        &[
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
        ],
    ),
    // They are not kept apart by namespaces.
    (Attempt::Keys, &[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl]),
    (
        Attempt::Machine,
        &[
            libc::SYS_reboot,
            libc::SYS_sethostname,
            libc::SYS_setdomainname,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_kexec_load,
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_fanotify_init,
            libc::SYS_open_by_handle_at,
        ],
    ),
    (Attempt::Machine, LEADING_OUT_HERE),
];

#[cfg(target_arch = "x86_64")]
const LEADING_OUT_HERE: &[i64] = &[libc::SYS_kexec_file_load];
/// `kexec_file_load` is 294 here (asm-generic/unistd.h).
#[cfg(target_arch = "aarch64")]
const LEADING_OUT_HERE: &[i64] = &[294];

/// Flags of `clone` and `unshare` that make namespaces (`linux/sched.h`).
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
/// `CLONE_NEWTIME`; only `unshare` takes it, in `clone` its bit belongs to the signal.
const NEW_TIME: u64 = 0x80;
/// Ways to run that 32-bit emulators use and that weaken nothing (`personality(2)`), and the query.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Of sockets: unix, internet 4 and 6, netlink. Others (`AF_VSOCK` above all) reach past the network
/// namespace, or are rarely used parts of the kernel.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

const EPERM: u32 = libc::EPERM as u32;
const ENOSYS: u32 = libc::ENOSYS as u32;
/// `SECCOMP_RET_ERRNO` (`linux/seccomp.h`).
const RETURN_ERROR: u32 = 0x0005_0000;
/// `SECCOMP_RET_USER_NOTIF`.
const RETURN_ASK: u32 = 0x7fc0_0000;
/// Returns (`linux/bpf_common.h`).
const RETURN: u16 = 0x06;
/// Set in the numbers of x32 calls (`__X32_SYSCALL_BIT`), which no list of numbers would match.
const X32: u32 = 0x4000_0000;

/// The filter, as `bwrap --seccomp` reads it.
///
/// # Errors
/// On an architecture that there is no filter for: its name.
pub fn bytes() -> Result<Vec<u8>, String> {
    Ok(program()?.iter().flat_map(instruction).collect())
}

/// What refuses what leads out, by asking whoever listens first where somebody does.
///
/// # Errors
/// As [`bytes`].
pub(super) fn leading_out(ask: bool) -> Result<Vec<libc::sock_filter>, String> {
    let refused = RETURN_ERROR | EPERM;
    let asks = |code: u16, k: u32| ask && code == RETURN && k == refused;
    let program = compiled(rules_of_what_leads_out())?.into_iter();
    let program = program.map(|sock_filter { code, jt, jf, k }| {
        let k = if asks(code, k) { RETURN_ASK } else { k };
        libc::sock_filter { code, jt, jf, k }
    });
    Ok(program.collect())
}

/// What somebody wants who makes a call that leads out.
pub(super) fn meant_by(number: i64) -> Attempt {
    let listed = LEADING_OUT.iter().find(|(_, numbers)| numbers.contains(&number));
    match (listed, number) {
        (Some((attempt, _)), _) => *attempt,
        (None, libc::SYS_socket) => Attempt::Sockets,
        // `clone` and `unshare`.
        _ => Attempt::Namespaces,
    }
}

fn program() -> Result<BpfProgram, String> {
    Ok(without_flags_in_memory().into_iter().chain(compiled(rules())?).collect())
}

fn compiled(rules: Result<Rules, seccompiler::BackendError>) -> Result<BpfProgram, String> {
    let arch = std::env::consts::ARCH;
    let target = TargetArch::try_from(arch).map_err(|_| format!("no filter for {arch}"))?;
    let rules = rules.map_err(|error| error.to_string())?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM), target);
    filter.and_then(BpfProgram::try_from).map_err(|error| error.to_string())
}

/// Goes before the rules: calls that a list of numbers and arguments cannot tell.
fn without_flags_in_memory() -> Vec<sock_filter> {
    // Classic BPF (`linux/bpf_common.h`): load the number, compare, return.
    const LOAD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_AT_LEAST: u16 = 0x35;
    let make = |code, jf, k| sock_filter { code, jt: 0, jf, k };
    let refuse = make(RETURN, 0, RETURN_ERROR | ENOSYS);
    let mut program = vec![make(LOAD, 0, 0), make(JUMP_EQUAL, 1, libc::SYS_clone3 as u32)];
    program.push(refuse.clone());
    if cfg!(target_arch = "x86_64") {
        program.push(make(JUMP_AT_LEAST, 1, X32));
        program.push(refuse);
    }
    program
}

type Rules = std::collections::BTreeMap<i64, Vec<SeccompRule>>;

fn rules() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules =
        DENIED.iter().chain(DENIED_HERE).map(|number| (*number, Vec::new())).collect();
    // Typing into the terminal of somebody else.
    let terminals = [libc::TIOCSTI, libc::TIOCLINUX]
        .map(|request| SeccompRule::new(vec![compare(1, SeccompCmpOp::Eq, request)?]));
    rules.insert(libc::SYS_ioctl, terminals.into_iter().collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_socketpair, vec![is_none_of(0, &families())?]);
    rules.insert(libc::SYS_personality, vec![is_none_of(0, &PERSONALITIES)?]);
    Ok(rules)
}

fn rules_of_what_leads_out() -> Result<Rules, seccompiler::BackendError> {
    let listed = LEADING_OUT.iter().flat_map(|(_, numbers)| *numbers);
    let mut rules: Rules = listed.map(|number| (*number, Vec::new())).collect();
    let namespaces = NAMESPACES.map(|flag| u64::from(flag.cast_unsigned()));
    let any_of =
        |flags: &[u64]| flags.iter().map(|flag| has_bit(0, *flag)).collect::<Result<Vec<_>, _>>();
    rules.insert(libc::SYS_clone, any_of(&namespaces)?);
    rules.insert(libc::SYS_unshare, any_of(&[&namespaces[..], &[NEW_TIME]].concat())?);
    rules.insert(libc::SYS_socket, vec![is_none_of(0, &families())?]);
    Ok(rules)
}

fn families() -> [u64; FAMILIES.len()] {
    FAMILIES.map(|family| u64::from(family.cast_unsigned()))
}

fn compare(
    argument: u8,
    how: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, how, value)
}

fn has_bit(argument: u8, bit: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![compare(argument, SeccompCmpOp::MaskedEq(bit), bit)?])
}

fn is_none_of(argument: u8, values: &[u64]) -> Result<SeccompRule, seccompiler::BackendError> {
    let each = values.iter().map(|value| compare(argument, SeccompCmpOp::Ne, *value));
    SeccompRule::new(each.collect::<Result<_, _>>()?)
}

/// As it lies in memory (`struct sock_filter`).
fn instruction(of: &sock_filter) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&of.code.to_ne_bytes());
    bytes[2] = of.jt;
    bytes[3] = of.jf;
    bytes[4..].copy_from_slice(&of.k.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    #[cfg(target_arch = "x86_64")]
    const ARCH: u32 = 0xc000_003e;
    #[cfg(target_arch = "aarch64")]
    const ARCH: u32 = 0xc000_00b7;

    /// Runs a program as the kernel does, over `struct seccomp_data`.
    fn verdict_of(program: &[sock_filter], data: &[u8]) -> u32 {
        let (mut at, mut value) = (0, 0_u32);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let jump = |is: bool| usize::from(if is { jt } else { jf });
            match code {
                0x20 => {
                    let at = k as usize;
                    value = u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
                }
                0x05 => at += k as usize,
                0x15 => at += jump(value == k),
                0x25 => at += jump(value > k),
                0x35 => at += jump(value >= k),
                0x54 => value &= k,
                0x06 => return k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    /// What both say: the kernel takes the stricter answer, which of these is the smaller number but for [`KILL`].
    fn verdict(arch: u32, number: i64, args: [u64; 6], ask: bool) -> u32 {
        let mut data = Vec::new();
        data.extend((number as u32).to_ne_bytes());
        data.extend(arch.to_ne_bytes());
        data.extend([0; 8]);
        args.iter().for_each(|arg| data.extend(arg.to_ne_bytes()));
        let leading_out = leading_out(ask).unwrap().into_iter();
        let leading_out: Vec<_> = leading_out
            .map(|libc::sock_filter { code, jt, jf, k }| sock_filter { code, jt, jf, k })
            .collect();
        let both = [verdict_of(&program().unwrap(), &data), verdict_of(&leading_out, &data)];
        if both.contains(&KILL) { KILL } else { both[0].min(both[1]) }
    }

    /// As it is where nobody listens.
    fn of(number: i64, args: &[u64]) -> u32 {
        let mut six = [0; 6];
        six[..args.len()].copy_from_slice(args);
        let asked = verdict(ARCH, number, six, true);
        let verdict = verdict(ARCH, number, six, false);
        assert!(asked == verdict || (asked, verdict) == (RETURN_ASK, REFUSED), "{number}");
        verdict
    }

    #[test]
    fn what_leads_out_is_told_for_what_it_is() {
        for (number, attempt) in [
            (libc::SYS_mount, Attempt::Mounts),
            (libc::SYS_setns, Attempt::Namespaces),
            (libc::SYS_ptrace, Attempt::Processes),
            (libc::SYS_keyctl, Attempt::Keys),
            (libc::SYS_bpf, Attempt::Machine),
        ] {
            assert_eq!(verdict(ARCH, number, [0; 6], true), RETURN_ASK);
            assert_eq!(meant_by(number), attempt);
        }
        let unshared = [libc::CLONE_NEWNET as u64, 0, 0, 0, 0, 0];
        assert_eq!(verdict(ARCH, libc::SYS_unshare, unshared, true), RETURN_ASK);
        assert_eq!(meant_by(libc::SYS_unshare), Attempt::Namespaces);
        assert_eq!(verdict(ARCH, libc::SYS_socket, [40, 1, 0, 0, 0, 0], true), RETURN_ASK);
        assert_eq!(meant_by(libc::SYS_socket), Attempt::Sockets);
        // What libraries try is not worth a word.
        assert_eq!(verdict(ARCH, libc::SYS_io_uring_setup, [0; 6], true), REFUSED);
    }

    const REFUSED: u32 = RETURN_ERROR | EPERM;

    #[test]
    fn what_games_do_is_allowed() {
        for number in [libc::SYS_read, libc::SYS_mmap, libc::SYS_execve, libc::SYS_futex] {
            assert_eq!(of(number, &[]), ALLOW);
        }
        // A thread and a child as C libraries make them.
        assert_eq!(of(libc::SYS_clone, &[0x3d_0f00]), ALLOW);
        assert_eq!(of(libc::SYS_clone, &[0x0120_0011]), ALLOW);
        assert_eq!(of(libc::SYS_unshare, &[0x400]), ALLOW);
        assert_eq!(of(libc::SYS_ioctl, &[1, libc::TIOCGWINSZ]), ALLOW);
        for family in [1, 2, 10, 16] {
            assert_eq!(of(libc::SYS_socket, &[family]), ALLOW, "{family}");
        }
        assert_eq!(of(libc::SYS_personality, &[0xffff_ffff]), ALLOW);
    }

    #[test]
    fn what_leads_out_is_refused() {
        let listed = LEADING_OUT.iter().flat_map(|(_, numbers)| *numbers);
        for number in DENIED.iter().chain(DENIED_HERE).chain(listed) {
            assert_eq!(of(*number, &[]), REFUSED, "{number}");
        }
        for flag in NAMESPACES {
            let flag = u64::from(flag.cast_unsigned());
            assert_eq!(of(libc::SYS_clone, &[flag | 0x11]), REFUSED, "{flag:#x}");
            assert_eq!(of(libc::SYS_unshare, &[flag | 0x400]), REFUSED, "{flag:#x}");
            // The kernel looks at the low half alone, and so must this.
            assert_eq!(of(libc::SYS_unshare, &[flag | 1 << 40]), REFUSED, "{flag:#x}");
        }
        assert_eq!(of(libc::SYS_unshare, &[NEW_TIME]), REFUSED);
        for request in [libc::TIOCSTI, libc::TIOCLINUX] {
            assert_eq!(of(libc::SYS_ioctl, &[0, request]), REFUSED);
            assert_eq!(of(libc::SYS_ioctl, &[0, request | 1 << 32]), REFUSED);
        }
        // Bluetooth, packets past the network stack, the hypervisor.
        for family in [3, 17, 31, 38, 40] {
            assert_eq!(of(libc::SYS_socket, &[family]), REFUSED, "{family}");
        }
        // Addresses that can be foretold.
        assert_eq!(of(libc::SYS_personality, &[0x004_0000]), REFUSED);
    }

    #[test]
    fn what_cannot_be_looked_at_does_not_exist() {
        assert_eq!(of(libc::SYS_clone3, &[]), RETURN_ERROR | ENOSYS);
        assert_eq!(verdict(0x4000_0003, 1, [0; 6], true), KILL, "a 32-bit program");
        #[cfg(target_arch = "x86_64")]
        assert_eq!(of(libc::SYS_mount | i64::from(X32), &[]), RETURN_ERROR | ENOSYS);
    }

    #[test]
    fn it_is_eight_bytes_an_instruction() {
        assert_eq!(bytes().unwrap().len(), 8 * program().unwrap().len());
        assert!(program().unwrap().len() <= 4096, "BPF_MAXINSNS");
    }
}
