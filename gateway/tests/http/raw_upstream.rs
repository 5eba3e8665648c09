//! Upstreams of raw bytes, which do as they are told.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use gateway::GatewaySettings;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub(crate) const GOOD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: 2\r\n\r\n{}";

/// An upstream of raw bytes: each connection is handed to `converse` with its number.
pub(crate) async fn raw_upstream<F, C>(converse: F) -> SocketAddr
where
    F: Fn(usize, TcpStream) -> C + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            tokio::spawn(converse(number, stream));
        }
    });
    address
}

/// Reads one request head; `None` at the end of the connection.
pub(crate) async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(bytes).ok()
}

pub(crate) fn towards(address: SocketAddr) -> impl FnOnce(&mut GatewaySettings) {
    move |settings| {
        for product in &mut settings.products {
            product.upstreams = vec![format!("http://{address}")];
        }
    }
}

/// An upstream that answers every request well, and counts them.
pub(crate) struct Good {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Good {
    pub(crate) async fn start() -> Self {
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = (Arc::clone(&connections), Arc::clone(&requests));
        let address = raw_upstream(move |_, mut stream| {
            let (connections, requests) = (Arc::clone(&counted.0), Arc::clone(&counted.1));
            async move {
                let mut asked = 0;
                while let Some(head) = head(&mut stream).await {
                    // What checks health is no request, and has a connection of its own.
                    if !head.contains("/metadata") {
                        connections.fetch_add(usize::from(asked == 0), Ordering::SeqCst);
                        requests.fetch_add(1, Ordering::SeqCst);
                        asked += 1;
                    }
                    stream.write_all(GOOD.as_bytes()).await.unwrap();
                }
            }
        })
        .await;
        Self { address, connections, requests }
    }

    /// Connections that carried a request.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
