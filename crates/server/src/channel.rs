//! The socket pair between monitor and network process: one packet, one message, descriptors beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    setsockopt, socketpair, sockopt,
};

use crate::ipc::MAX_PACKET;
use crate::sys;

/// Most descriptors beside one packet: the listening sockets of the start message.
pub(crate) const MAX_DESCRIPTORS: usize = 64;

/// Makes the pair; both ends are non-blocking and closed on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    for fd in [&ours, &theirs] {
        setsockopt(fd, sockopt::SndBuf, &(4 * MAX_PACKET))?;
    }
    Ok((ours, theirs))
}

/// Sends one packet.
///
/// # Errors
/// `WouldBlock` when the other end does not read; `InvalidInput` for a packet over the limit.
pub(crate) fn send(fd: BorrowedFd<'_>, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if packet.len() > MAX_PACKET || descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "message between the processes is too long"));
    }
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    loop {
        match sendmsg::<()>(fd.as_raw_fd(), &[IoSlice::new(packet)], control, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop).map_err(io::Error::from),
        }
    }
}

/// Receives one packet into `buffer`: its length and descriptors, or `None` at the end of the stream.
///
/// # Errors
/// `WouldBlock` when there is none; `InvalidData` for a packet that was cut.
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<(usize, Vec<OwnedFd>)>> {
    let mut control = cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let (length, descriptors, cut) = {
        let mut slices = [IoSliceMut::new(buffer)];
        let message = loop {
            match recvmsg::<()>(fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        let mut descriptors = Vec::new();
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = part {
                descriptors.extend(sys::own_received(&fds));
            }
        }
        let cut = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
        (message.bytes, descriptors, cut)
    };
    if cut {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message between the processes was cut"));
    }
    // No message is empty, so nothing received means that the other end has gone.
    Ok((length > 0).then_some((length, descriptors)))
}

/// A buffer that takes any packet.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; MAX_PACKET]
}

/// Borrows owned descriptors for [`send`].
pub(crate) fn borrow(descriptors: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    descriptors.iter().map(AsFd::as_fd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn packets_keep_their_borders_and_carry_descriptors() {
        let (a, b) = pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        send(a.as_fd(), b"one", &[]).unwrap();
        send(a.as_fd(), b"two", &[reader.as_fd()]).unwrap();
        drop(reader);
        let mut buffer = buffer();
        assert_eq!(receive(b.as_fd(), &mut buffer).unwrap().unwrap().0, 3);
        let (length, mut descriptors) = receive(b.as_fd(), &mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..length], b"two");
        std::io::Write::write_all(&mut &writer, b"x").unwrap();
        drop(writer);
        let mut text = String::new();
        std::fs::File::from(descriptors.remove(0)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert_eq!(receive(b.as_fd(), &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(receive(b.as_fd(), &mut buffer).unwrap().is_none());
    }

    #[test]
    fn the_largest_packet_passes_and_a_larger_one_is_not_sent() {
        let (a, b) = pair().unwrap();
        send(a.as_fd(), &vec![1; MAX_PACKET], &[]).unwrap();
        assert_eq!(receive(b.as_fd(), &mut buffer()).unwrap().unwrap().0, MAX_PACKET);
        assert!(send(a.as_fd(), &vec![1; MAX_PACKET + 1], &[]).is_err());
    }
}
