//! A network of its own with one device that this process answers for (`tun(4)`), made by `nearlight-init --network`:
//! what makes namespaces must be alone in its process.
#![expect(unsafe_code, reason = "network devices are set up by ioctl; confined to this module")]

use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use libc::{c_short, c_ulong, ifreq, rtentry, sockaddr, sockaddr_in};
use nix::sched::{CloneFlags, unshare};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::super::protocol::Channel;
use super::gate::{GATEWAY, GUEST, PREFIX};
use super::{MTU, Made};

/// What makes network devices.
const DEVICE: &str = "/dev/net/tun";
/// The name of the game's.
const NAME: &str = "game0";
const LOOPBACK: &str = "lo";

/// Makes a network, and tells whoever has the other end of standard input: the device, the network, and the user
/// namespace that owns it, where this process may make none without.
///
/// # Errors
/// When nobody can be told.
pub fn make() -> io::Result<()> {
    let node = Channel::of(io::stdin().as_fd().try_clone_to_owned()?);
    match made() {
        Ok(fds) => {
            let fds: Vec<_> = fds.iter().map(OwnedFd::as_fd).collect();
            node.send(&Made::Whole, &fds)
        }
        Err(reason) => node.send(&Made::Failed(reason), &[]),
    }
}

fn made() -> Result<Vec<OwnedFd>, String> {
    let user = if rustix::process::geteuid().is_root() {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("no network of its own: {error}"))?;
        None
    } else {
        Some(with_user().map_err(|error| format!("no network of its own: {error}"))?)
    };
    let explain = |error: io::Error| format!("{DEVICE}: {error}");
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let tap = OpenOptions::new().read(true).write(true).custom_flags(flags).open(DEVICE);
    let tap = tap.map_err(explain)?;
    attach(&tap).map_err(explain)?;
    set_up().map_err(|error| format!("its network cannot be set up: {error}"))?;
    let network = File::open("/proc/self/ns/net").map_err(|error| error.to_string())?;
    Ok([tap, network].into_iter().chain(user).map(OwnedFd::from).collect())
}

/// A network in a user namespace of its own, in which this user is the same.
fn with_user() -> io::Result<File> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    File::open("/proc/self/ns/user")
}

/// Makes the device, which is there as long as this is open.
fn attach(tap: &File) -> io::Result<()> {
    let mut request = of(NAME);
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as c_short;
    ioctl(tap, libc::TUNSETIFF as c_ulong, &mut request)
}

/// Gives it its address, its gateway, and a loopback device.
fn set_up() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let set = |name: &str, number: c_ulong, fill: &dyn Fn(&mut ifreq)| {
        let mut request = of(name);
        fill(&mut request);
        ioctl(&socket, number, &mut request)
    };
    let up = |request: &mut ifreq| {
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as c_short;
    };
    let mask = Ipv4Addr::from(u32::MAX << (32 - u32::from(PREFIX)));
    set(LOOPBACK, libc::SIOCSIFFLAGS, &up)?;
    set(NAME, libc::SIOCSIFMTU, &|request| request.ifr_ifru.ifru_mtu = i32::from(MTU))?;
    set(NAME, libc::SIOCSIFADDR, &|request| request.ifr_ifru.ifru_addr = address(GUEST))?;
    set(NAME, libc::SIOCSIFNETMASK, &|request| request.ifr_ifru.ifru_netmask = address(mask))?;
    set(NAME, libc::SIOCSIFFLAGS, &up)?;
    // SAFETY: all of its fields are numbers, or a pointer that may be null: the name of a device, here any.
    let mut route: rtentry = unsafe { mem::zeroed() };
    route.rt_dst = address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = address(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = address(GATEWAY);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    ioctl(&socket, libc::SIOCADDRT, &mut route)
}

/// A request about this device. Names are short enough, and of ASCII.
fn of(name: &str) -> ifreq {
    // SAFETY: all of its fields are numbers, or such a union.
    let mut request: ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn address(address: Ipv4Addr) -> sockaddr {
    let address = sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: both have 16 bytes, and any bytes are a `sockaddr`.
    unsafe { mem::transmute(address) }
}

/// An ioctl that takes one of these structs.
fn ioctl<T>(fd: &impl AsRawFd, number: c_ulong, argument: &mut T) -> io::Result<()> {
    // SAFETY: the callers pass the struct that the number asks for (`netdevice(7)`, `rtnetlink(7)`, `tun(4)`), which
    // outlives the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), number as _, &raw mut *argument) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
