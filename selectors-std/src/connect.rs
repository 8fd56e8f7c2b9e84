use std::io;
use std::net::{SocketAddr, TcpStream};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect as start, socket_with};

/// Starts to connect a TCP socket, without waiting for the peer.
///
/// The stream is non-blocking and close-on-exec. The connection is usually not
/// established yet when this returns. Register the stream for
/// [`WRITE`](crate::Events::WRITE). When the attempt has ended, the key is ready,
/// and [`take_error`](crate::SelectorKey::take_error) says how: `None` means
/// connected, and an error number says why it failed. Do not mix it with another
/// optional error number: that of a failed `register` may be `None`. Give up after a
/// time of your own, since the kernel may try for minutes.
///
/// The address is a number, because a look-up of names blocks. To find the
/// addresses of a name, call [`to_socket_addrs`](std::net::ToSocketAddrs) in
/// advance or in another thread.
///
/// **Note:** connect first, then register. Linux reports `WRITE` and
/// [`HANGUP`](crate::Events::HANGUP) for a socket that was never connected, and
/// `take_error` finds no error, which looks like success.
///
/// # Errors
///
/// Returns the error of `socket` or `connect`. A peer on the same machine may
/// refuse before this returns.
///
/// # Examples
///
/// ```
/// use selectors_std::{DefaultSelector, Events, connect};
/// use std::io::{self, Write};
/// use std::net::TcpListener;
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut selector = DefaultSelector::new()?;
/// selector.register(connect(listener.local_addr()?)?, Events::WRITE, ())?;
/// if selector.select(Some(Duration::from_secs(10)))?.timed_out() {
///     return Err(io::ErrorKind::TimedOut.into());
/// }
/// while let Some((mut key, _events)) = selector.next_ready() {
///     match key.take_error()? {
///         None => {
///             key.modify(Events::READ)?; // or each wait would return immediately
///             key.write_all(b"hello")?;
///         }
///         Some(errno) => {
///             println!("not connected: {errno}");
///             drop(key.unregister());
///         }
///     }
/// }
/// # assert_eq!(selector.get_map().len(), 1);
/// # Ok::<(), io::Error>(())
/// ```
#[doc(alias = "connect_ex")]
#[doc(alias = "EINPROGRESS")]
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = open(family)?;
    match start(&socket, &address) {
        // The attempt goes on, also after a signal.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket.into()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(not(target_vendor = "apple"))]
fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?)
}

/// As std opens its sockets here, where no flag does it: writes raise no SIGPIPE either.
#[cfg(target_vendor = "apple")]
fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::empty(), None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}
