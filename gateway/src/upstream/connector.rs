//! New connections to one upstream: TCP, TLS where its address says so, and the HTTP that both sides speak.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    Address, RequestBody, UpstreamError,
    channel::{Channel, Http2Connection, Room},
    tls::UpstreamTls,
};
use crate::settings::Http2;

/// What an HTTP/1.1 connection reads at once, and keeps room for when large answers came over it: hyper's own bound is four
/// hundred kilobytes, for each connection that rests.
const BUFFER: usize = 64 * 1024;

/// What an upstream may send ahead on one HTTP/2 stream, and on a connection.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// An HTTP/2 connection is asked whether it is alive so often, and must answer in this time.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is looked whether an upstream's SETTINGS came.
const SETTINGS_PAUSE: Duration = Duration::from_millis(1);

/// A new connection.
#[derive(Debug)]
pub(super) enum Connection {
    /// For one request at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// For many.
    Http2(Http2Connection),
}

impl Connection {
    /// A way for one request; none where the other side admits none.
    pub(super) fn into_channel(self) -> Option<Channel> {
        match self {
            Self::Http1(sender) => Some(Channel::Alone(sender)),
            Self::Http2(connection) => connection.stream(),
        }
    }
}

/// Makes connections to one upstream.
#[derive(Debug)]
pub struct Connector {
    address: Address,
    ip: Option<IpAddr>,
    http2: Http2,
    tls: Option<Arc<UpstreamTls>>,
    /// What was negotiated last: then there is nothing to share and nobody waits for another's connection.
    only_http1: AtomicBool,
}

impl Connector {
    /// A connector. `tls`: for an address of TLS.
    pub fn new(address: Address, http2: Http2, tls: Option<Arc<UpstreamTls>>) -> Self {
        let tls = tls.filter(|_| address.is_tls());
        let speaks = match http2 {
            Http2::PriorKnowledge => true,
            Http2::Negotiated => address.is_tls(),
            Http2::Never => false,
        };
        Self { ip: address.host().parse().ok(), address, http2, tls, only_http1: AtomicBool::new(!speaks) }
    }

    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether its connections may be shared by requests.
    pub(super) fn may_share(&self) -> bool {
        !self.only_http1.load(Ordering::Relaxed)
    }

    /// A new connection, within `limit`.
    pub(super) async fn connect(&self, limit: Duration) -> Result<Connection, UpstreamError> {
        let late = || UpstreamError::Unreachable(io::ErrorKind::TimedOut.into());
        // In a box: a handshake is large, and every request would carry the room for one.
        timeout(limit, Box::pin(self.dial())).await.unwrap_or_else(|_| Err(late()))
    }

    async fn dial(&self) -> Result<Connection, UpstreamError> {
        let stream = match self.ip {
            Some(ip) => TcpStream::connect((ip, self.address.port())).await,
            None => TcpStream::connect((self.address.host(), self.address.port())).await,
        }
        .map_err(UpstreamError::Unreachable)?;
        stream.set_nodelay(true).map_err(UpstreamError::Unreachable)?;
        let Some(tls) = &self.tls else {
            return self.speak(stream, self.http2 == Http2::PriorKnowledge).await;
        };
        let name = match tls.server_name() {
            Some(name) => name.clone(),
            None => ServerName::try_from(self.address.host().to_owned())
                .map_err(|error| UpstreamError::Unreachable(io::Error::other(error)))?,
        };
        let stream = TlsConnector::from(tls.client_config())
            .connect(name, stream)
            .await
            .map_err(UpstreamError::Unreachable)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2") || self.http2 == Http2::PriorKnowledge;
        self.only_http1.store(!http2, Ordering::Relaxed);
        self.speak(stream, http2).await
    }

    async fn speak<S>(&self, stream: S, http2: bool) -> Result<Connection, UpstreamError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = TokioIo::new(stream);
        if !http2 {
            let (sender, connection) = http1::Builder::new()
                .max_buf_size(BUFFER)
                .handshake(stream)
                .await
                .map_err(UpstreamError::Broken)?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "upstream connection ended");
                }
            });
            return Ok(Connection::Http1(sender));
        }
        let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // Nothing is sent before it is known how much may be.
            .initial_max_send_streams(0)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(stream)
            .await
            .map_err(UpstreamError::Broken)?;
        // Before its SETTINGS came, more could be sent than the upstream admits, and would wait there for each other.
        // hyper tells nobody when they come, so it is looked at; how long, the limit on connecting says.
        while connection.current_max_send_streams() == 0 {
            if let Ok(ended) = timeout(SETTINGS_PAUSE, &mut connection).await {
                return Err(match ended {
                    Err(error) => UpstreamError::Broken(error),
                    Ok(()) => UpstreamError::Unreachable(io::ErrorKind::ConnectionAborted.into()),
                });
            }
        }
        let room = Arc::new(Room::new(connection.current_max_send_streams()));
        let told = Arc::clone(&room);
        tokio::spawn(std::future::poll_fn(move |context| {
            let polled = Future::poll(Pin::new(&mut connection), context);
            told.admit(connection.current_max_send_streams());
            if let Poll::Ready(Err(error)) = &polled {
                tracing::debug!(%error, "upstream connection ended");
            }
            polled
        }));
        Ok(Connection::Http2(Http2Connection { sender, room, scheme: self.address.scheme.clone() }))
    }
}
