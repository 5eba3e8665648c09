//! Who is at the other end: the connection's address, or behind declared proxies the one that they tell.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, header};
use ipnet::IpNet;
use ppp::{HeaderResult, PartialResult as _, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line of version 1, its end included (the PROXY protocol, §2.1).
const LONGEST_LINE: usize = 107;
/// The longest header of version 2 that is read: its first part and what may follow, with room for extensions.
const LONGEST_HEADER: usize = 16 + 2048;
/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Who sent a request. A request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address of the connection, or the one that a declared proxy told (then with port 0 where it told none).
    pub address: SocketAddr,
    /// Whether the connection is TLS.
    pub tls: bool,
}

/// How declared proxies tell who calls. One way only: a proxy that writes one header and lets another one pass from
/// outside would otherwise let everybody pretend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToldBy {
    /// The header `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// The header `Forwarded` (RFC 7239).
    Forwarded,
    /// The PROXY protocol, version 1 or 2, in front of everything on the connection.
    ProxyProtocol,
}

/// The proxies in front of a listener. Nobody else is believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Their networks.
    pub trusted: Arc<[IpNet]>,
    /// How they tell who calls.
    pub told_by: ToldBy,
}

/// Why the beginning of a proxy's connection cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Preamble {
    #[error("no header of the PROXY protocol")]
    Malformed,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Proxies {
    /// Whether a connection from `address` is one of theirs.
    pub(crate) fn is_trusted(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Whether a connection from `address` begins with a header of the PROXY protocol.
    pub(crate) fn announces(&self, address: IpAddr) -> bool {
        self.told_by == ToldBy::ProxyProtocol && self.is_trusted(address)
    }

    /// Who sent a request: of what the proxies told, the nearest address that is none of them. What a caller writes there
    /// by themself stands further left and is never reached.
    pub(crate) fn sender(&self, peer: Peer, headers: &HeaderMap) -> Peer {
        if self.trusted.is_empty() || !self.is_trusted(peer.address.ip()) {
            return peer;
        }
        let mut sender = peer.address.ip().to_canonical();
        let mut farther = |hop: Option<IpAddr>| {
            sender = hop?.to_canonical();
            self.is_trusted(sender).then_some(())
        };
        match self.told_by {
            ToldBy::ProxyProtocol => return peer,
            ToldBy::XForwardedFor => hops(headers, "x-forwarded-for").try_for_each(|hop| farther(node(hop))),
            ToldBy::Forwarded => {
                hops(headers, header::FORWARDED.as_str()).try_for_each(|hop| farther(forwarded_for(hop)))
            }
        };
        if sender == peer.address.ip().to_canonical() {
            return peer;
        }
        // The port is the proxy's, and nobody's business.
        Peer { address: (sender, 0).into(), ..peer }
    }
}

/// The members of a list header, the last first. Where quoted text holds a comma, its pieces are no hops and end the
/// search.
fn hops<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h str> {
    let lines: Vec<&str> =
        headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    lines.into_iter().rev().flat_map(|line| line.rsplit(',')).map(str::trim)
}

/// The `for` of one hop (RFC 7239 §4); none where it is unknown, hidden, or there twice.
fn forwarded_for(hop: &str) -> Option<IpAddr> {
    let mut fors = hop.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    });
    let value = fors.next()?;
    if fors.next().is_some() {
        return None;
    }
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    node(inner.unwrap_or(value))
}

/// An address, with or without a port, an IPv6 address in brackets or not.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// Reads the header of the PROXY protocol, and not a byte more; the address that it tells, if any.
pub(crate) async fn read_preamble<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<Option<SocketAddr>, Preamble> {
    let mut bytes = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut bytes).await?;
    if bytes == SIGNATURE {
        bytes.resize(16, 0);
        stream.read_exact(&mut bytes[12..]).await?;
        let whole = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
        if whole > LONGEST_HEADER {
            return Err(Preamble::Malformed);
        }
        bytes.resize(whole, 0);
        stream.read_exact(&mut bytes[16..]).await?;
    } else if bytes.starts_with(b"PROXY ") {
        while !bytes.ends_with(b"\r\n") {
            if bytes.len() == LONGEST_LINE {
                return Err(Preamble::Malformed);
            }
            bytes.push(stream.read_u8().await?);
        }
    }
    told(&bytes)
}

/// What a whole header tells.
fn told(bytes: &[u8]) -> Result<Option<SocketAddr>, Preamble> {
    let header = HeaderResult::parse(bytes);
    if header.is_incomplete() {
        return Err(Preamble::Malformed);
    }
    Ok(match header {
        HeaderResult::V1(header) => match header.map_err(|_| Preamble::Malformed)?.addresses {
            v1::Addresses::Tcp4(one) => Some((one.source_address, one.source_port).into()),
            v1::Addresses::Tcp6(one) => Some((one.source_address, one.source_port).into()),
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(header) => {
            let header = header.map_err(|_| Preamble::Malformed)?;
            match header.addresses {
                // The proxy itself asks, for example whether we are well.
                _ if header.command == v2::Command::Local => None,
                v2::Addresses::IPv4(one) => Some((one.source_address, one.source_port).into()),
                v2::Addresses::IPv6(one) => Some((one.source_address, one.source_port).into()),
                v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(told_by: ToldBy) -> Proxies {
        Proxies { trusted: Arc::new(["10.0.0.0/8".parse().unwrap()]), told_by }
    }

    fn seen(told_by: ToldBy, name: &'static str, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line.parse().unwrap());
        }
        let peer = Peer { address: (peer.parse::<IpAddr>().unwrap(), 1).into(), tls: true };
        proxies(told_by).sender(peer, &headers).address.ip().to_canonical().to_string()
    }

    #[test]
    fn only_a_declared_proxy_is_believed() {
        let seen = |peer, lines: &[&str]| seen(ToldBy::XForwardedFor, "x-forwarded-for", peer, lines);
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(seen("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, nonsense"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, nonsense, 10.0.0.9"]), "10.0.0.9");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let seen = |peer, lines: &[&str]| seen(ToldBy::Forwarded, "forwarded", peer, lines);
        assert_eq!(seen("192.0.2.1", &["for=198.51.100.7"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["for=198.51.100.7;proto=https"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["proto=https; For=\"198.51.100.7:81\""]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["for=\"[2001:db8::7]:81\""]), "2001:db8::7");
        assert_eq!(seen("10.0.0.1", &["for=6.6.6.6, for=198.51.100.7", "for=10.0.0.2"]), "198.51.100.7");
        for hidden in ["for=unknown", "for=_x", "by=10.0.0.3", "for=6.6.6.6;for=7.7.7.7", "for=\"a,b\""] {
            assert_eq!(seen("10.0.0.1", &[&format!("for=6.6.6.6, {hidden}")]), "10.0.0.1", "{hidden}");
        }
    }

    #[test]
    fn the_header_that_is_not_the_declared_one_is_not_read() {
        assert_eq!(seen(ToldBy::Forwarded, "x-forwarded-for", "10.0.0.1", &["6.6.6.6"]), "10.0.0.1");
        assert_eq!(seen(ToldBy::XForwardedFor, "forwarded", "10.0.0.1", &["for=6.6.6.6"]), "10.0.0.1");
        assert_eq!(seen(ToldBy::ProxyProtocol, "x-forwarded-for", "10.0.0.1", &["6.6.6.6"]), "10.0.0.1");
    }

    async fn preamble(bytes: &[u8]) -> Result<(Option<String>, usize), Preamble> {
        let mut rest = bytes;
        let told = read_preamble(&mut rest).await?;
        Ok((told.map(|address| address.to_string()), rest.len()))
    }

    fn version2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, content, b"GET"].concat()
    }

    #[tokio::test]
    async fn both_versions_of_the_proxy_protocol_are_read_to_their_end() {
        let four = Some("198.51.100.7:4711".to_owned());
        assert_eq!(
            preamble(b"PROXY TCP4 198.51.100.7 10.0.0.9 4711 443\r\nGET").await.unwrap(),
            (four.clone(), 3)
        );
        let six = Some("[2001:db8::7]:4711".to_owned());
        assert_eq!(preamble(b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\nGET").await.unwrap(), (six, 3));
        assert_eq!(preamble(b"PROXY UNKNOWN\r\nGET").await.unwrap(), (None, 3));
        let addresses = [198, 51, 100, 7, 10, 0, 0, 9, 0x12, 0x67, 1, 187];
        assert_eq!(preamble(&version2(0x21, 0x11, &addresses)).await.unwrap(), (four, 3));
        assert_eq!(preamble(&version2(0x20, 0x00, &[])).await.unwrap(), (None, 3));
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
        for wrong in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 here there 1 2\r\n",
            b"PROXY TCP4 1.1.1.1\r\n",
            long.as_bytes(),
            &version2(0x21, 0x11, &[1, 2, 3]),
            &version2(0x31, 0x11, &[0; 12]),
            &version2(0x21, 0x00, &[0; 3000]),
        ] {
            assert!(matches!(preamble(wrong).await, Err(Preamble::Malformed)), "{}", wrong.escape_ascii());
        }
        assert!(matches!(preamble(b"PROXY").await, Err(Preamble::Io(_))));
    }
}
