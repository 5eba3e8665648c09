//! Upstreams that speak HTTP/2, that ask for TLS, or that answer in several steps.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use gateway::{GatewaySettings, Http2, UpstreamSettings};
use h2::{Reason, server::SendResponse};
use http::{Request, Response, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    house::{Answer, House, MERGE, READ, eventually},
    raw_upstream::{GOOD, head, raw_upstream, towards},
    response_cache::{is_heard, is_up_to_date, keeping, number_answers},
    wire::{
        frames,
        tls::{self, Authority, Identity},
    },
};

/// What an upstream of HTTP/2 does with a request: the number of its connection, that of the request on it.
type Doing = Arc<dyn Fn(usize, usize, SendResponse<Bytes>) -> Next + Send + Sync>;

/// How it goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Listen,
    SayGoodbye,
}

/// An upstream that speaks HTTP/2 and nothing else.
struct Stub {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Stub {
    async fn start(tls: Option<TlsAcceptor>, streams: u32, doing: Doing) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (number, tls, doing) =
                    (counted.fetch_add(1, Ordering::SeqCst), tls.clone(), Arc::clone(&doing));
                tokio::spawn(async move {
                    match tls {
                        None => Self::converse(stream, number, streams, doing).await,
                        Some(tls) => {
                            if let Ok(stream) = tls::accept(&tls, stream).await {
                                Self::converse(stream, number, streams, doing).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, connections }
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        stream: S,
        number: usize,
        streams: u32,
        doing: Doing,
    ) {
        let mut builder = h2::server::Builder::new();
        let Ok(mut connection) = builder.max_concurrent_streams(streams).handshake::<_, Bytes>(stream).await
        else {
            return;
        };
        let mut asked = 0;
        while let Some(Ok((request, respond))) = connection.accept().await {
            let request: Request<_> = request;
            assert!(request.headers().get("host").is_none() && request.uri().authority().is_some());
            if doing(number, asked, respond) == Next::SayGoodbye {
                connection.graceful_shutdown();
            }
            asked += 1;
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn well(mut respond: SendResponse<Bytes>) {
    let head = Response::builder().header("content-type", "application/fhir+json").body(()).unwrap();
    respond.send_response(head, false).unwrap().send_data(Bytes::from_static(b"{}"), true).unwrap();
}

/// An upstream at that address, spoken to in this way.
pub(crate) fn spoken(
    address: SocketAddr,
    scheme: &str,
    way: UpstreamSettings,
) -> impl FnOnce(&mut GatewaySettings) {
    let authority = format!("localhost:{}", address.port());
    let url = format!("{scheme}://{authority}");
    move |settings| {
        for product in &mut settings.products {
            product.upstreams = vec![url.clone()];
        }
        settings.upstreams = vec![UpstreamSettings { authority, ..way }];
    }
}

fn known() -> UpstreamSettings {
    UpstreamSettings { http2: Http2::PriorKnowledge, ..UpstreamSettings::default() }
}

#[tokio::test]
async fn requests_share_a_connection_and_their_answers_need_no_order() {
    let held = Arc::new(Semaphore::new(0));
    let (gate, waiting) = (Arc::clone(&held), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&waiting);
    let stub = Stub::start(
        None,
        200,
        Arc::new(move |_, _, respond| {
            counted.fetch_add(1, Ordering::SeqCst);
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                gate.acquire().await.unwrap().forget();
                well(respond);
            });
            Next::Listen
        }),
    )
    .await;
    let house = House::start_with(spoken(stub.address, "http", known())).await;
    let token = house.token();
    let asked: Vec<_> = (0..50).map(|_| tokio::spawn(house.get(READ, &token).send())).collect();
    eventually("fifty wait", || async { waiting.load(Ordering::SeqCst) == 50 }).await;
    held.add_permits(50);
    for answer in asked {
        assert_eq!(Answer::of(answer.await.unwrap().unwrap()).await.text, "{}");
    }
    assert_eq!(stub.connections(), 1);
}

#[tokio::test]
async fn no_connection_carries_more_than_the_upstream_admits() {
    let held = Arc::new(Semaphore::new(0));
    let (gate, most) = (Arc::clone(&held), Arc::new(AtomicUsize::new(0)));
    let (counted, waiting) = (Arc::clone(&most), Arc::new(AtomicUsize::new(0)));
    let here = Arc::clone(&waiting);
    let stub = Stub::start(
        None,
        3,
        Arc::new(move |_, asked, respond| {
            counted.fetch_max(asked + 1, Ordering::SeqCst);
            here.fetch_add(1, Ordering::SeqCst);
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                gate.acquire().await.unwrap().forget();
                well(respond);
            });
            Next::Listen
        }),
    )
    .await;
    let house = House::start_with(spoken(stub.address, "http", known())).await;
    // One request first, so that what the upstream admits is known.
    held.add_permits(1);
    assert_eq!(house.ask(READ, &house.token()).await.status, StatusCode::OK);
    let token = house.token();
    let asked: Vec<_> = (0..7).map(|_| tokio::spawn(house.get(READ, &token).send())).collect();
    eventually("all wait", || async { waiting.load(Ordering::SeqCst) == 8 }).await;
    held.add_permits(7);
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert!((3..=4).contains(&stub.connections()), "{}", stub.connections());
    assert!(most.load(Ordering::SeqCst) <= 4, "three at once, and the first before them");
}

#[tokio::test]
async fn after_goodbye_a_new_connection_is_used_and_nothing_is_lost() {
    let stub = Stub::start(
        None,
        100,
        Arc::new(|_, asked, respond| {
            well(respond);
            // Every connection bears two requests.
            if asked == 1 { Next::SayGoodbye } else { Next::Listen }
        }),
    )
    .await;
    let house = House::start_with(spoken(stub.address, "http", known())).await;
    let token = house.token();
    for _ in 0..12 {
        assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
    }
    assert!((6..=12).contains(&stub.connections()), "{}", stub.connections());
}

#[tokio::test]
async fn what_an_upstream_did_not_begin_is_asked_again_and_what_it_may_have_done_is_not() {
    let merges = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&merges);
    let reason = Arc::new(AtomicUsize::new(0));
    let with = Arc::clone(&reason);
    let stub = Stub::start(
        None,
        100,
        Arc::new(move |_, asked, mut respond| {
            let reason = u32::try_from(with.load(Ordering::SeqCst)).unwrap();
            if reason == 0 || asked % 2 == 0 {
                well(respond);
            } else {
                counted.fetch_add(1, Ordering::SeqCst);
                respond.send_reset(Reason::from(reason));
            }
            Next::Listen
        }),
    )
    .await;
    let house = House::start_with(spoken(stub.address, "http", known())).await;
    let token = house.token();
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
    let merge = || house.client.post(house.url(MERGE)).bearer_auth(&token).body("{}").send();
    for (refusal, read, merged) in [
        (Reason::REFUSED_STREAM, StatusCode::OK, StatusCode::BAD_GATEWAY),
        (Reason::INTERNAL_ERROR, StatusCode::BAD_GATEWAY, StatusCode::BAD_GATEWAY),
    ] {
        reason.store(usize::try_from(u32::from(refusal)).unwrap(), Ordering::SeqCst);
        let before = merges.load(Ordering::SeqCst);
        assert_eq!(house.ask(READ, &token).await.status, read, "{refusal:?}");
        assert_eq!(merges.load(Ordering::SeqCst), before + 1);
        if read != StatusCode::OK {
            // The next one in turn is answered; then it is the merge's turn to be reset.
            assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
        }
        assert_eq!(merge().await.unwrap().status(), merged, "{refusal:?}");
        assert_eq!(merges.load(Ordering::SeqCst), before + 2, "{refusal:?}: sent once");
        assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
    }
    assert_eq!(stub.connections(), 1, "a reset stream harms no other");
}

/// An upstream of TLS that speaks what `alpn` says.
pub(crate) async fn secured(acceptor: TlsAcceptor, alpn: &str) -> SocketAddr {
    if alpn == "h2" {
        let doing: Doing = Arc::new(|_, _, respond| {
            well(respond);
            Next::Listen
        });
        return Stub::start(Some(acceptor), 100, doing).await.address;
    }
    raw_upstream(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = tls::accept(&acceptor, stream).await else { return };
            while head(&mut stream).await.is_some() {
                if stream.write_all(GOOD.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

pub(crate) fn trusting(ca: PathBuf) -> UpstreamSettings {
    UpstreamSettings { ca_file: Some(ca), ..UpstreamSettings::default() }
}

fn as_whom(identity: &Identity, way: UpstreamSettings) -> UpstreamSettings {
    UpstreamSettings {
        certificate_file: Some(identity.chain.clone()),
        key_file: Some(identity.key.clone()),
        ..way
    }
}

pub(crate) async fn asked(house: &House) -> (StatusCode, String) {
    let answer = house.ask(READ, &house.token()).await;
    let rule = if answer.status == StatusCode::OK { String::new() } else { answer.rule() };
    (answer.status, rule)
}

pub(crate) fn unreachable() -> (StatusCode, String) {
    (StatusCode::BAD_GATEWAY, "upstream-unreachable".to_owned())
}

#[tokio::test]
async fn an_upstream_is_believed_when_the_right_authority_vouches_for_the_right_name() {
    let (ours, others) = (Authority::new(), Authority::new());
    for alpn in ["h2", "http/1.1"] {
        let right = secured(Authority::server(&ours.issue("right", "localhost"), alpn), alpn).await;
        let named = secured(Authority::server(&ours.issue("named", "fhir.example"), alpn), alpn).await;
        let name =
            |name: &str| UpstreamSettings { server_name: Some(name.to_owned()), ..trusting(ours.file()) };
        for (case, address, way, expected) in [
            ("right", right, trusting(ours.file()), (StatusCode::OK, String::new())),
            ("another authority", right, trusting(others.file()), unreachable()),
            ("no authority", right, UpstreamSettings::default(), unreachable()),
            ("another name", named, trusting(ours.file()), unreachable()),
            ("the name that is told", named, name("fhir.example"), (StatusCode::OK, String::new())),
            ("not the name that is told", right, name("fhir.example"), unreachable()),
        ] {
            let house = House::start_with(spoken(address, "https", way)).await;
            for _ in 0..3 {
                assert_eq!(asked(&house).await, expected, "{alpn}, {case}");
            }
        }
    }
}

#[tokio::test]
async fn an_upstream_that_asks_who_we_are_is_told() {
    let (ours, others) = (Authority::new(), Authority::new());
    for alpn in ["h2", "http/1.1"] {
        let address = secured(ours.mutual(&ours.issue("server", "localhost"), alpn), alpn).await;
        let (known, unknown) = (ours.issue("client", "gateway"), others.issue("client", "gateway"));
        for (case, way, expected) in [
            ("known", as_whom(&known, trusting(ours.file())), StatusCode::OK),
            ("nobody", trusting(ours.file()), StatusCode::BAD_GATEWAY),
            ("unknown", as_whom(&unknown, trusting(ours.file())), StatusCode::BAD_GATEWAY),
        ] {
            let house = House::start_with(spoken(address, "https", way)).await;
            assert_eq!(asked(&house).await.0, expected, "{alpn}, {case}");
        }
    }
}

#[tokio::test]
async fn certificates_towards_an_upstream_are_taken_anew_and_bad_ones_are_not() {
    let (ours, others) = (Authority::new(), Authority::new());
    let address =
        secured(Authority::server(&ours.issue("server", "localhost"), "http/1.1"), "http/1.1").await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("upstream-ca.pem");
    std::fs::copy(others.file(), &ca).unwrap();
    let house = House::start_with(spoken(address, "https", trusting(ca.clone()))).await;
    assert_eq!(asked(&house).await, unreachable());
    std::fs::copy(ours.file(), &ca).unwrap();
    eventually("the new authority is trusted", || async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        asked(&house).await.0 == StatusCode::OK
    })
    .await;
    std::fs::write(&ca, "nothing").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let fresh = House::start_with(|_| {}).await;
    drop(fresh);
    assert_eq!(asked(&house).await.0, StatusCode::OK, "the one before stays");
}

/// TLS before a server of ours, which speaks without.
fn terminate(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut near) = tls::accept(&acceptor, stream).await else { return };
                let mut far = TcpStream::connect(behind).await.unwrap();
                // Whoever ends first ends both.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
}

#[tokio::test]
async fn answers_are_kept_of_an_upstream_that_asks_who_we_are() {
    let ours = Authority::new();
    let way = as_whom(&ours.issue("client", "gateway"), trusting(ours.file()));
    for alpn in ["h2", "http/1.1"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = ours.mutual(&ours.issue("server", "localhost"), alpn);
        let way = way.clone();
        let house = House::start_with(|settings| {
            let behind = settings.products[0].upstreams[0].strip_prefix("http://").unwrap();
            terminate(listener, acceptor, behind.to_owned());
            spoken(address, "https", way)(settings);
            keeping(settings);
        })
        .await;
        number_answers(&house);
        house.upstream.data.begin();
        is_heard(&house).await;
        let first = house.ask(READ, &house.token()).await;
        let second = house.ask(READ, &house.token()).await;
        assert_eq!(first.text, second.text, "{alpn}");
        assert_eq!(second.header("cache-status"), "pmsgate; hit; ttl=60", "{alpn}");
        house.upstream.data.change();
        is_up_to_date(&house, &second).await;
    }
}

#[tokio::test]
async fn hints_on_the_way_to_an_answer_break_nothing_over_http2() {
    // h2's server sends no 1xx by its usual way, so the frames are written by hand.
    let address = raw_upstream(|_, mut stream| async move {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        stream.write_all(&frames::frame(frames::SETTINGS, 0, 0, &[])).await.unwrap();
        let answer = |stream: u32, end: u8, lines: &[(&str, &str)]| {
            frames::frame(frames::HEADERS, frames::END_HEADERS | end, stream, &frames::head(lines))
        };
        let mut bytes = Vec::new();
        while matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            let (whole, rest) = frames::cut(&bytes);
            bytes = rest.to_vec();
            for frame in whole {
                let written = match frame.kind {
                    frames::SETTINGS if frame.content.is_empty() && frame.flags == 1 => continue,
                    frames::SETTINGS => frames::frame(frames::SETTINGS, 1, 0, &[]),
                    frames::PING if frame.flags == 0 => frames::frame(frames::PING, 1, 0, &frame.content),
                    frames::HEADERS => [
                        answer(frame.stream, 0, &[(":status", "103"), ("link", "</x>")]),
                        answer(frame.stream, 0, &[(":status", "100")]),
                        answer(frame.stream, 0, &[(":status", "103"), ("link", "</y>")]),
                        answer(
                            frame.stream,
                            0,
                            &[(":status", "200"), ("content-type", "application/fhir+json")],
                        ),
                        frames::frame(frames::DATA, frames::END_STREAM, frame.stream, b"{}"),
                    ]
                    .concat(),
                    _ => continue,
                };
                stream.write_all(&written).await.unwrap();
            }
        }
    })
    .await;
    let house = House::start_with(spoken(address, "http", known())).await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for _ in 0..3 {
        for client in [&house.client, &client] {
            let request = client.get(house.url(READ)).bearer_auth(house.token());
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "{}"));
            assert!(!answer.headers.contains_key("link"), "hints are not passed on");
        }
    }
}

#[tokio::test]
async fn steps_on_the_way_to_an_answer_are_not_the_answer() {
    let steps = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let address = raw_upstream(move |_, mut stream| async move {
        while head(&mut stream).await.is_some() {
            stream.write_all(format!("{steps}{GOOD}").as_bytes()).await.unwrap();
        }
    })
    .await;
    let house = House::start_with(towards(address)).await;
    for _ in 0..3 {
        let answer = house.ask(READ, &house.token()).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "{}"));
        assert!(!answer.headers.contains_key("link"));
    }

    let address = raw_upstream(move |_, mut stream| async move {
        while head(&mut stream).await.is_some() {
            let switched = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
            stream.write_all(switched.as_bytes()).await.unwrap();
        }
    })
    .await;
    let house = House::start_with(towards(address)).await;
    assert_eq!(asked(&house).await, (StatusCode::BAD_GATEWAY, "upstream-answer".to_owned()));

    let address = raw_upstream(move |_, mut stream| async move {
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let house = House::start_with(|settings| {
        towards(address)(settings);
        settings.limits.answer_timeout = Duration::from_millis(100);
    })
    .await;
    assert_eq!(asked(&house).await.0.as_u16() / 100, 5, "steps without end are no answer");
}
