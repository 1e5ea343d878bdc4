//! Decides which system calls have effects that are visible to other processes.

use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// Attributes of a file are set, or it shares the blocks of another one.
const FS_IOC_SETFLAGS: u64 = 0x4008_6602;
const FICLONE: u64 = 0x4004_9409;

/// The name of the system call that a stopped thread is about to make, if its effect is visible to others: it changes
/// or syncs files, or changes a lock.
pub(super) fn visible_call(thread: Pid) -> nix::Result<Option<&'static str>> {
    let (number, args) = registers(thread)?;
    let creates = |flags: u64| flags & libc::O_CREAT as u64 != 0;
    let to_file = args[0] > 2;
    let name = match number {
        libc::SYS_write if to_file => "write",
        libc::SYS_writev if to_file => "writev",
        libc::SYS_pwrite64 => "pwrite64",
        libc::SYS_pwritev => "pwritev",
        libc::SYS_sendfile => "sendfile",
        libc::SYS_splice => "splice",
        libc::SYS_copy_file_range => "copy_file_range",
        libc::SYS_ftruncate => "ftruncate",
        libc::SYS_fallocate => "fallocate",
        libc::SYS_fsync => "fsync",
        libc::SYS_fdatasync => "fdatasync",
        libc::SYS_syncfs => "syncfs",
        libc::SYS_openat if creates(args[2]) => "openat",
        libc::SYS_openat2 if creates(open_how_flags(thread, args[2])?) => "openat2",
        libc::SYS_mkdirat => "mkdirat",
        libc::SYS_symlinkat => "symlinkat",
        libc::SYS_linkat => "linkat",
        libc::SYS_unlinkat => "unlinkat",
        libc::SYS_renameat2 => "renameat2",
        libc::SYS_fchmod => "fchmod",
        libc::SYS_fchmodat => "fchmodat",
        libc::SYS_fchown => "fchown",
        libc::SYS_utimensat => "utimensat",
        libc::SYS_ioctl if [FS_IOC_SETFLAGS, FICLONE].contains(&args[1]) => "ioctl",
        libc::SYS_flock => "flock",
        libc::SYS_fcntl if locks(args[1]) => "fcntl",
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open if creates(args[1]) => "open",
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => "mkdir",
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rmdir => "rmdir",
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink => "unlink",
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename => "rename",
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chmod => "chmod",
        _ => return Ok(None),
    };
    Ok(Some(name))
}

fn locks(command: u64) -> bool {
    let commands = [
        libc::F_SETLK,
        libc::F_SETLKW,
        libc::F_OFD_SETLK,
        libc::F_OFD_SETLKW,
    ];
    commands.map(|known| known as u64).contains(&command)
}

/// The flags of `openat2`, the first field of the structure that its argument points to.
fn open_how_flags(thread: Pid, how: u64) -> nix::Result<u64> {
    ptrace::read(thread, how as ptrace::AddressType).map(|word| word as u64)
}

#[cfg(target_arch = "x86_64")]
fn registers(thread: Pid) -> nix::Result<(i64, [u64; 3])> {
    let all = ptrace::getregs(thread)?;
    Ok((all.orig_rax as i64, [all.rdi, all.rsi, all.rdx]))
}

#[cfg(target_arch = "aarch64")]
fn registers(thread: Pid) -> nix::Result<(i64, [u64; 3])> {
    let all = ptrace::getregs(thread)?;
    Ok((all.regs[8] as i64, [all.regs[0], all.regs[1], all.regs[2]]))
}
