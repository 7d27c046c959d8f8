//! The few system calls that need `unsafe`: descriptors that arrive by number, and what a child does before exec.

#![allow(unsafe_code, reason = "the one place of the crate that may; each block says why it is sound")]

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{Gid, Pid, Uid};

/// Takes ownership of descriptors that were received with a message.
pub(crate) fn own_received(fds: &[RawFd]) -> Vec<OwnedFd> {
    // SAFETY: the kernel made these descriptors for this process when the message was received; nobody else has them.
    fds.iter().map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}

/// Takes ownership of the descriptor a parent left at a number agreed upon, and hides it from later children.
pub(crate) fn take_inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on any number is sound; it fails for one that is not open.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open, as just seen; called once at the start of the process, before anything else could own it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a child process becomes before it runs its program.
pub(crate) struct ChildSetup {
    /// User, group and supplementary groups to become; `None` keeps those of the parent.
    pub user: Option<(Uid, Gid, Vec<Gid>)>,
    /// The working directory; `/` if it cannot be entered. `None` keeps the parent's.
    pub directory: Option<CString>,
    /// A directory the client asked for: failing to enter it fails the start.
    pub required_directory: Option<CString>,
    /// A descriptor to leave open in the child at this number.
    pub inherit: Option<(OwnedFd, RawFd)>,
    /// The process that must still be the parent when the program starts.
    pub parent: Pid,
}

/// Makes `command` run in a session of its own, as `setup` says, and die with its parent.
pub(crate) fn prepare(command: &mut Command, setup: ChildSetup) {
    let hook = move || become_child(&setup);
    // SAFETY: the hook makes system calls and touches memory allocated before the fork only: no allocation, no locks.
    unsafe {
        command.pre_exec(hook);
    }
}

fn become_child(setup: &ChildSetup) -> io::Result<()> {
    // Ignored signals stay ignored across exec; whoever started the server may have ignored some.
    for number in 1..32 {
        // SAFETY: sets default dispositions, in a process with one thread; SIGKILL and SIGSTOP refuse, which is fine.
        unsafe {
            libc::signal(number, libc::SIG_DFL);
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    nix::unistd::setsid()?;
    // Whatever the parent may have open without close-on-exec stays here. Kernels before 5.11 do not know the call;
    // everything this crate opens is close-on-exec anyway.
    // SAFETY: marks descriptors of this process only.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    // No dumps: the memory of a session holds keys.
    let none = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: reads one local structure. Raising the hard limit fails without privilege; then only the soft one is set.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_CORE, &raw const none) < 0 {
            let mut now = none;
            libc::getrlimit(libc::RLIMIT_CORE, &raw mut now);
            now.rlim_cur = 0;
            libc::setrlimit(libc::RLIMIT_CORE, &raw const now);
        }
        libc::umask(0o022);
    }
    if let Some((uid, gid, groups)) = &setup.user {
        nix::unistd::setgroups(groups)?;
        nix::unistd::setgid(*gid)?;
        nix::unistd::setuid(*uid)?;
    }
    // After the change of user, which clears it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() != setup.parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    if let Some(directory) = &setup.directory
        && nix::unistd::chdir(directory.as_c_str()).is_err()
    {
        nix::unistd::chdir("/")?;
    }
    if let Some(directory) = &setup.required_directory {
        nix::unistd::chdir(directory.as_c_str())?;
    }
    if let Some((fd, number)) = &setup.inherit {
        use std::os::fd::AsRawFd;
        // SAFETY: both numbers are this process's own; dup2 clears close-on-exec on the copy.
        let done = unsafe {
            if fd.as_raw_fd() == *number {
                libc::fcntl(*number, libc::F_SETFD, 0)
            } else {
                libc::dup2(fd.as_raw_fd(), *number)
            }
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
