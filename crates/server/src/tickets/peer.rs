//! Whose socket is at the other end of a loopback connection.

use std::net::{IpAddr, SocketAddr};

/// The uid of the process that has the socket bound to `peer`, as the kernel's table of IPv4 sockets has it.
///
/// `table` is the text of `/proc/net/tcp` or `/proc/net/udp`. For a connection the row must also name `local`, our
/// own address, as its remote end.
pub(crate) fn owner(table: &str, peer: SocketAddr, local: Option<SocketAddr>) -> Option<u32> {
    let peer = address(peer)?;
    let local = local.and_then(address);
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (own, remote) = (words.nth(1)?, words.next()?);
        // After the remote address: state, queues, timer, retransmits, then the uid.
        let uid = words.nth(4)?.parse().ok()?;
        let matches = own == peer && local.as_ref().is_none_or(|local| remote == local);
        matches.then_some(uid)
    })
}

/// As the table writes addresses: the four bytes as one little-endian number, a colon, the port.
fn address(address: SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn the_kernel_knows_whose_sockets_are_ours() {
        let me = nix::unistd::Uid::effective().as_raw();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        assert_eq!(owner(&table, peer, Some(accepted.local_addr().unwrap())), Some(me));
        drop(client);
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let table = std::fs::read_to_string("/proc/net/udp").unwrap();
        assert_eq!(owner(&table, udp.local_addr().unwrap(), None), Some(me));
        assert_eq!(owner(&table, "127.0.0.9:9".parse().unwrap(), None), None);
    }

    #[test]
    fn a_row_of_another_connection_does_not_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n   \
                     0: 0100007F:1F90 0100007F:0050 01 00000000:00000000 00:00000000 00000000  1000        0 1\n";
        let peer = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(owner(table, peer, Some("127.0.0.1:80".parse().unwrap())), Some(1000));
        assert_eq!(owner(table, peer, Some("127.0.0.1:81".parse().unwrap())), None);
    }
}
