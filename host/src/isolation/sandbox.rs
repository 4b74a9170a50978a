//! What the process of a plugin, or of a decoder, may no longer do.

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    net::{Ipv4Addr, UdpSocket},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, path_beneath_rules,
};
use medfocus_plugin_api::{Error, Result};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::Isolation;

/// What Landlock must know: since it can refuse to cut files off (Linux 6.2).
const LANDLOCK: ABI = ABI::V3;

/// System calls that reach other machines.
const NETWORK: [i64; 2] = [libc::SYS_socket, libc::SYS_connect];

/// System calls by which other machines or processes reach this one, or this one those, or ways around that.
const REFUSED: [i64; 12] = [
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_io_uring_setup,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
];

/// What else is refused where all of a plugin's code is in the process already.
const PROGRAMS: [i64; 2] = [libc::SYS_execve, libc::SYS_execveat];

/// All that a process needs that computes, takes memory and answers.
const COMPUTING: [i64; 29] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_ftruncate,
    libc::SYS_memfd_create,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Whose process is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A library's.
    Library,
    /// That of a library that computes on libtorch: it may open devices, as a GPU is used by way of files.
    Libtorch,
    /// That of another program, which is still to be started.
    Program,
}

/// Limits this process for ever; `network` leaves it the way to other machines.
///
/// # Errors
///
/// The kernel does not do all of it: then nothing must run here.
pub fn confine(isolation: &Isolation, whose: Whose, network: bool) -> Result<()> {
    let failed = |what, error: &dyn Display| {
        refused(what, error).with_hint(
            "this kernel cannot confine plugins; with `plugins.isolation.sandbox = false` they run in processes of their own, but unconfined",
        )
    };
    limit_memory(isolation.memory_mib)?;
    if !isolation.sandbox {
        return Ok(());
    }
    let mut writable = isolation.writable.clone();
    writable.push(PathBuf::from("/dev/null"));
    if whose == Whose::Libtorch {
        writable.extend(["/dev", "/proc/self/task"].map(PathBuf::from));
    }
    read_only(&writable).map_err(|error| failed("files are not protected", &*error))?;
    let calls = REFUSED.iter();
    let calls = calls.chain(NETWORK.iter().filter(|_| !network));
    let calls = calls.chain(PROGRAMS.iter().filter(|_| whose != Whose::Program));
    let these = SeccompAction::Errno(libc::EPERM as u32);
    filter(calls, these, SeccompAction::Allow)
        .map_err(|error| failed("the network is not closed", &*error))?;
    probe(&writable, network)
}

/// Limits this process for ever to its own memory, so much of it, and to the files that are open.
///
/// # Errors
///
/// The kernel does not do all of it: then nothing must run here.
pub fn only_compute(memory_mib: u64) -> Result<()> {
    limit_memory(memory_mib)?;
    let others = SeccompAction::Errno(libc::EPERM as u32);
    filter(COMPUTING.iter(), SeccompAction::Allow, others).map_err(|error| {
        refused("the decoder of images is not confined", &*error).with_hint(
            "with `plugins.isolation.images = false` they are decoded in the program's own process",
        )
    })?;
    if fs::File::open("/dev/null").is_ok() {
        return hole("it opens files");
    }
    no_sockets()
}

fn refused(what: &str, error: &dyn Display) -> Error {
    Error::unsupported(format!("{what}: {error}"))
}

fn limit_memory(mib: u64) -> Result<()> {
    let bytes = Some(mib << 20);
    let memory = Rlimit {
        current: bytes,
        maximum: bytes,
    };
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Data, memory)
        .map_err(|error| refused("its memory is not limited", &error))?;
    // A crash leaves no file with a patient's image in it.
    setrlimit(Resource::Core, none).map_err(|error| refused("it may dump its memory", &error))
}

/// From now on files are written below these folders alone. A folder that is not there is one less.
fn read_only(writable: &[PathBuf]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let write = AccessFs::from_write(LANDLOCK);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(write)?
        .create()?
        .add_rules(path_beneath_rules(writable, write))?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        status => Err(format!("Landlock is {status:?}").into()),
    }
}

/// From now on these system calls do one thing, and all others another.
fn filter<'a>(
    calls: impl Iterator<Item = &'a i64>,
    these: SeccompAction,
    others: SeccompAction,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let rules: BTreeMap<_, _> = calls.map(|&call| (call, Vec::new())).collect();
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter: BpfProgram = SeccompFilter::new(rules, others, these, machine)?.try_into()?;
    Ok(seccompiler::apply_filter(&filter)?)
}

/// Tries what must fail: a sandbox with a hole is none.
fn probe(writable: &[PathBuf], network: bool) -> Result<()> {
    let folder = std::env::temp_dir();
    let file = folder.join(format!("medfocus-probe-{}", std::process::id()));
    if fs::write(&file, "").is_ok() {
        let _ = fs::remove_file(&file);
        let real = |path: &Path| path.canonicalize().unwrap_or(path.to_owned());
        let folder = real(&folder);
        if !writable.iter().any(|other| folder.starts_with(real(other))) {
            return hole("it writes files");
        }
    }
    match network {
        false => no_sockets(),
        true => match UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            Ok(_) => hole("it can be reached by the network"),
            Err(_) => Ok(()),
        },
    }
}

fn no_sockets() -> Result<()> {
    match UnixDatagram::unbound() {
        Ok(_) => hole("it opens sockets"),
        Err(_) => Ok(()),
    }
}

fn hole(what: &str) -> Result<()> {
    Err(Error::internal(format!("a sandbox leaks: {what}")))
}
