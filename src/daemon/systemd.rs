//! The service manager: told when the daemon is ready, alive and stopping (sd_notify protocol).
//!
//! Silent where no service manager listens.

use std::os::unix::net::UnixDatagram;

fn send(address: &str, state: &str) -> std::io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = address.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(|_| ());
    }
    socket.send_to(state.as_bytes(), address).map(|_| ())
}

/// Tells a state such as `READY=1`, `WATCHDOG=1` or `STOPPING=1`.
pub fn tell(state: &str) {
    if let Ok(address) = std::env::var("NOTIFY_SOCKET")
        && let Err(error) = send(&address, state)
    {
        tracing::debug!(%error, state, "the service manager does not listen");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_state_reaches_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        send(path.to_str().unwrap(), "READY=1").unwrap();
        let mut buffer = [0; 32];
        let length = listener.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        assert!(send("/nowhere/at/all", "READY=1").is_err());
    }
}
