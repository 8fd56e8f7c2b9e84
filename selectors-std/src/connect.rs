use std::io;
use std::net::{SocketAddr, TcpStream};

use rustix::io::Errno;
use rustix::net::{AddressFamily, connect as start};
use selectors_core::platform::{CONNECTING, open_stream};

/// Starts a TCP connection without waiting for the peer.
///
/// The stream is non-blocking and close-on-exec. The connection is usually not
/// established yet when this returns. Register the stream for
/// [`WRITE`](crate::Events::WRITE). The key is ready when the attempt has
/// ended. Then [`take_error`](crate::SelectorKey::take_error) returns `None` if
/// the stream is connected, and the error number if it is not.
///
/// The guide has a page about [connecting](crate::guide::connecting): errors,
/// timeouts, and many attempts at a time.
///
/// **Connect first, then register.** Linux reports `WRITE` and
/// [`HANGUP`](crate::Events::HANGUP) for a socket that was never connected, and
/// `take_error` returns `None`. That looks like success.
///
/// The argument is an address and not a name, because a look-up of a name
/// blocks. To find the addresses of a name, call
/// [`to_socket_addrs`](std::net::ToSocketAddrs) in advance or in another
/// thread.
///
/// This makes two system calls, `socket` and `connect`. It stands for Python's
/// `connect_ex` of a non-blocking socket.
///
/// # Errors
///
/// - Returns the error of `socket`, such as `EMFILE` if no descriptor is free.
/// - Returns the error of `connect`, such as `ENETUNREACH`, or `ECONNREFUSED`
///   if a peer on the same machine refuses immediately.
///
/// The error always has an error number, which `raw_os_error` returns.
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
    let socket = open_stream(family)?;
    match start(&socket, &address) {
        // The attempt goes on in the kernel, also after a signal.
        Ok(()) | Err(CONNECTING | Errno::INTR) => Ok(socket.into()),
        Err(errno) => Err(errno.into()),
    }
}
