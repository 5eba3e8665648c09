//! What tests that speak bytes share: connections with and without TLS, certificates, frames of HTTP/2.

pub(crate) mod frames;
pub(crate) mod tls;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use self::tls::Authority;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A connection of either kind.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// Connects; with an authority, by TLS, and the protocol that is asked for.
pub(crate) async fn connect(address: SocketAddr, tls: Option<&Authority>, alpn: &str) -> Box<dyn Wire> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    match tls {
        None => Box::new(stream),
        Some(authority) => Box::new(tls::handshake(stream, authority, alpn).await.unwrap()),
    }
}

/// Sends bytes and reads until the other side closes, which it must within [`PATIENCE`].
pub(crate) async fn exchange(stream: &mut (dyn Wire + '_), bytes: &[u8]) -> Vec<u8> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut answer = Vec::new();
    let both = async {
        let send = async {
            // Whoever refuses early may have closed before the end.
            let _ = writing.write_all(bytes).await;
            let _ = writing.flush().await;
        };
        // A reset instead of an orderly end also ends the answer.
        let _ = tokio::join!(reading.read_to_end(&mut answer), send);
    };
    assert!(
        tokio::time::timeout(PATIENCE, both).await.is_ok(),
        "the gateway does not close: {}",
        bytes[..bytes.len().min(200)].escape_ascii()
    );
    answer
}
