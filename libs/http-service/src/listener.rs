//! Binding, accepting, serving, draining: one socket and one runtime for each worker.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::LocalOptions,
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    AccessNote, Body, ClientCertificate, ClientCertificates, Handler, IncomingBody, NoteWanted, Peer,
    Proxies, RequestId, Traces,
    access_log::Line,
    client_certificate::TellsCertificate,
    peer, problem,
    request_id::{HEADER, IdMaker},
    strict_heads::{MAX_HEAD, REFUSED, StrictHeads, Verdict},
};

/// Connections that the system keeps for us while we are busy.
const BACKLOG: i32 = 1024;
/// Streams of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 128;
/// Resets that an HTTP/2 connection survives where they are counted: see CVE-2023-44487 and CVE-2025-8671.
const MAX_RESETS: usize = 32;
/// How often each worker's timer fires for nothing. A timer that is to fire before all others has tokio wake its own thread
/// through the system, at each request while nothing else waits. Since all that requests set lie further ahead than this
/// one, none is the first.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Wait after a failed `accept` (no file handles left) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a listener serves.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Its name in logs.
    pub name: &'static str,
    /// TLS, or plain HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Time for the TLS handshake and for each request's head.
    pub head_timeout: Duration,
    /// Time that is spent waiting for a request's body; a second more for every KiB that came.
    pub body_timeout: Duration,
    /// Connections at once, over all workers.
    pub max_connections: usize,
    /// Time for requests in flight after the stop signal.
    pub drain_timeout: Duration,
    /// The proxies in front, which are believed when they say who calls.
    pub proxies: Proxies,
    /// From where callers' certificates are taken. From the handshake: `tls` must ask for them.
    pub client_certificates: ClientCertificates,
    /// Whether to write one log line a request.
    pub access_log: bool,
    /// Where the span of each request goes; none: there are no spans.
    pub traces: Option<Traces>,
}

impl ServeOptions {
    /// Plain HTTP with limits that suit a loopback listener.
    pub fn plain(name: &'static str) -> Self {
        Self {
            name,
            tls: None,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(30),
            proxies: Proxies::default(),
            client_certificates: ClientCertificates::Off,
            access_log: false,
            traces: None,
        }
    }
}

/// Bound sockets that do not accept yet.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    sockets: Vec<StdListener>,
}

/// Binds `address` for so many workers (0: one for each processor). With port 0 the system picks one.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Listening> {
    let workers = match workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    if address.port() != 0 {
        // SO_REUSEPORT would let a second program take half of the requests of a running one. A socket without it is
        // refused where anybody listens, so one is tried and given back first.
        drop(socket(address, false)?);
    }
    let first = socket(address, workers > 1)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(socket(address, true)?);
    }
    Ok(Listening { address, sockets })
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listener at work.
#[derive(Debug)]
pub struct Serving {
    workers: Vec<oneshot::Receiver<()>>,
}

impl Serving {
    /// Waits until all workers have drained.
    pub async fn finished(self) {
        for worker in self.workers {
            // An error means that the worker is gone, which is what we wait for.
            let _ = worker.await;
        }
    }
}

impl Listening {
    /// The address with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many workers there will be.
    pub fn workers(&self) -> usize {
        self.sockets.len()
    }

    /// Starts a thread for each worker. `make` runs on that thread, inside its runtime. When `stop` is cancelled
    /// they take no more connections, finish what is in flight, and end.
    pub fn serve<H, F>(self, options: &ServeOptions, make: F, stop: &CancellationToken) -> io::Result<Serving>
    where
        H: Handler,
        F: Fn(usize) -> H + Clone + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(options.max_connections));
        let mut workers = Vec::with_capacity(self.sockets.len());
        for (index, socket) in self.sockets.into_iter().enumerate() {
            let (done, finished) = oneshot::channel();
            let (options, make, stop, places) = (options.clone(), make.clone(), stop.clone(), places.clone());
            thread::Builder::new().name(format!("{}-{index}", options.name)).spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = match runtime.enable_all().build_local(LocalOptions::default()) {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        tracing::error!(%error, "no runtime for a worker");
                        return;
                    }
                };
                runtime.block_on(async {
                    let handler = make(index);
                    work(socket, Rc::new(handler), options, places, stop).await;
                });
                // What was not finished in time ends here.
                drop(runtime);
                // Tells nobody when nobody waits.
                let _ = done.send(());
            })?;
            workers.push(finished);
        }
        Ok(Serving { workers })
    }
}

struct Worker<H> {
    handler: Rc<H>,
    options: ServeOptions,
    ids: IdMaker,
    connections: Builder<OnThisThread>,
}

async fn work<H: Handler>(
    socket: StdListener,
    handler: Rc<H>,
    options: ServeOptions,
    places: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a socket cannot be used");
            return;
        }
    };
    let mut connections = Builder::new(OnThisThread);
    connections
        .http1()
        .timer(TokioTimer::new())
        // Not told how many header lines to read: hyper's own bound is that of strict heads, and it fills a table for any
        // that it is told, for each request.
        .header_read_timeout(options.head_timeout)
        // A head is held to its limit before hyper gets it whole.
        .max_buf_size(2 * MAX_HEAD);
    connections
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        // Streams that were reset before they were taken, and streams that broke a rule: beyond, the connection ends.
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(options.head_timeout);
    tokio::task::spawn_local(async {
        loop {
            sleep(HEARTBEAT).await;
        }
    });
    let tls = options.tls.clone().map(TlsAcceptor::from);
    let drain_timeout = options.drain_timeout;
    let graceful = GracefulShutdown::new();
    let worker = Rc::new(Worker { handler, options, ids: IdMaker::new(), connections });
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, address, place)) = accepted else { continue };
        let (worker, tls, watcher) = (worker.clone(), tls.clone(), graceful.watcher());
        tokio::task::spawn_local(async move {
            let limit = worker.options.head_timeout;
            let begun = timeout(limit, worker.clone().begin(stream, address, tls, watcher)).await;
            match begun {
                Ok(Ok(conversation)) => conversation.await,
                Ok(Err(error)) => tracing::debug!(%error, "connection did not begin well"),
                Err(_) => tracing::debug!("connection took too long to begin"),
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight when the drain timeout ended");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            // Without this, small answers wait for the peer's acknowledgement. A failure costs speed only.
            let _ = stream.set_nodelay(true);
            Some((stream, address, place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
enum BadBeginning {
    #[error("from a declared proxy: {0}")]
    Proxy(#[from] peer::Preamble),
    #[error("TLS: {0}")]
    Tls(#[from] io::Error),
}

impl<H: Handler> Worker<H> {
    /// What precedes the first request: who calls, where a proxy tells it on the connection, then TLS. What comes back
    /// serves the rest.
    async fn begin(
        self: Rc<Self>,
        mut stream: TcpStream,
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        watcher: Watcher,
    ) -> Result<Pin<Box<dyn Future<Output = ()>>>, BadBeginning> {
        let told = if self.options.proxies.announces(address.ip()) {
            peer::read_preamble(&mut stream).await?
        } else {
            None
        };
        let peer = Peer { address: told.unwrap_or(address), tls: tls.is_some() };
        Ok(match tls {
            None => Box::pin(self.converse(stream, peer, None, watcher)),
            Some(tls) => {
                let stream = tls.accept(stream).await?;
                let shown = stream.get_ref().1.peer_certificates();
                let shown = shown.and_then(|chain| ClientCertificate::new(chain.to_vec()));
                Box::pin(self.converse(stream, peer, shown, watcher))
            }
        })
    }

    /// Serves one connection to its end.
    async fn converse<S>(
        self: Rc<Self>,
        stream: S,
        peer: Peer,
        shown: Option<ClientCertificate>,
        watcher: Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (worker, verdict) = (self.clone(), Verdict::default());
        let stream = StrictHeads::new(stream, self.options.head_timeout, Rc::clone(&verdict));
        // hyper wants futures that borrow nothing, so each request counts a reference.
        let service = service_fn(move |mut request: Request<Incoming>| {
            if let Some(shown) = &shown {
                request.extensions_mut().insert(shown.clone());
            }
            worker.clone().answer(request, peer, Rc::clone(&verdict))
        });
        let connection = self.connections.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error = %error, "connection ended");
        }
    }

    /// Gives one request its id, has it answered, and notes it.
    async fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: Peer,
        verdict: Verdict,
    ) -> Result<Response<Body>, Infallible> {
        let id = RequestId::take_or_make(request.headers(), &self.ids);
        let from_proxy = self.options.proxies.is_trusted(peer.address.ip());
        let peer = self.options.proxies.sender(peer, request.headers());
        let mut request = IncomingBody::of(request, self.options.body_timeout);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(id.clone());
        if from_proxy && self.options.client_certificates == ClientCertificates::Header {
            request.extensions_mut().insert(TellsCertificate);
        }
        if self.options.access_log || self.options.traces.is_some() {
            request.extensions_mut().insert(NoteWanted);
        }
        let span = self.options.traces.as_ref().map(|traces| traces.begin(&request, from_proxy, &id));
        if let Some(span) = &span {
            request.extensions_mut().insert(span.clone());
        }
        let asked = self.options.access_log.then(|| {
            (request.method().clone(), request.uri().path().to_owned(), request.version(), Instant::now())
        });
        let is_head = request.method() == Method::HEAD;
        // Only the watched stream makes such a request of HTTP/1.1; over HTTP/2 it is one like any other.
        let stands_for_another =
            request.version() == http::Version::HTTP_11 && request.method().as_str() == REFUSED;
        let mut response = match verdict.get().filter(|_| stands_for_another) {
            Some(fault) => {
                let detail = format!("The request cannot be read safely: {fault}.");
                let mut response = problem::answer(fault.status(), &detail, &id);
                response
                    .extensions_mut()
                    .insert(AccessNote { refusal: Some("head"), ..AccessNote::default() });
                response
            }
            None if request.method() == Method::CONNECT => {
                let detail = "This is no proxy: CONNECT opens no way through here.";
                let mut response = problem::answer(StatusCode::METHOD_NOT_ALLOWED, detail, &id);
                // Its target is a host, which has no methods at all (RFC 9110 §10.2.1).
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(""));
                response
            }
            None => self.handler.handle(request).await,
        };
        problem::explain_if_mute(&mut response, is_head, &id);
        if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            // What answers to HEAD are given as their length, 0, is not what a whole answer has (RFC 9110 §8.6).
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response.headers_mut().insert(HEADER, id.header_value());
        if let Some(span) = span {
            span.end(response.status(), response.extensions().get());
        }
        if let Some((method, path, version, started)) = asked {
            Line {
                listener: self.options.name,
                method: &method,
                path: &path,
                version,
                status: response.status(),
                took: started.elapsed(),
                bytes: http_body::Body::size_hint(response.body()).exact(),
                peer,
                request_id: &id,
                note: response.extensions().get::<AccessNote>(),
            }
            .write();
        }
        Ok(response)
    }
}

/// Runs hyper's own tasks (HTTP/2 streams) on the worker's thread.
#[derive(Clone, Copy, Debug)]
struct OnThisThread;

impl<F> Executor<F> for OnThisThread
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
