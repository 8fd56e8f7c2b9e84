//! The daemon's own descriptors, which are non-blocking and close-on-exec.

use core::ffi::CStr;
use core::net::SocketAddr;
use core::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use crate::Error;

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

pub(crate) fn error(call: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Os { call, fd: None, errno, file: None }
}

pub(crate) fn tcp_listener(address: SocketAddr) -> Result<OwnedFd, Error> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket =
        net::socket_with(family, SocketType::STREAM, FLAGS, None).map_err(error("socket"))?;
    // Without it a restarted daemon can't bind while the kernel remembers the
    // last one's connections.
    sockopt::set_socket_reuseaddr(&socket, true).map_err(error("setsockopt"))?;
    net::bind(&socket, &address).map_err(error("bind"))?;
    net::listen(&socket, 1024).map_err(error("listen"))?;
    Ok(socket)
}

pub(crate) fn unix_datagram(path: &CStr) -> Result<OwnedFd, Error> {
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, FLAGS, None)
        .map_err(error("socket"))?;
    let address = SocketAddrUnix::new(path).map_err(error("bind"))?;
    if net::bind(&socket, &address) == Err(Errno::ADDRINUSE) {
        // A daemon that was killed has left it.
        rustix::fs::unlink(path).map_err(error("unlink"))?;
        net::bind(&socket, &address).map_err(error("bind"))?;
    }
    Ok(socket)
}

pub(crate) fn timer(period: Duration) -> Result<OwnedFd, Error> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)
        .map_err(error("timerfd_create"))?;
    let period = period.try_into().map_err(|_| error("timerfd_settime")(Errno::INVAL))?;
    let times = Itimerspec { it_interval: period, it_value: period };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)
        .map_err(error("timerfd_settime"))?;
    Ok(timer)
}

/// Returns the port of a listener.
pub(crate) fn port(listener: &OwnedFd) -> u16 {
    let address =
        net::getsockname(listener).ok().and_then(|address| SocketAddr::try_from(address).ok());
    address.map_or(0, |address| address.port())
}
