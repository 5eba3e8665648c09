//! The wire between two processes, which a test can cut or silence.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// Passes bytes on to a port of loopback; can cut all connections, and can fall silent.
#[derive(Debug)]
pub struct Wire {
    /// Where it listens.
    pub port: u16,
    open: watch::Sender<bool>,
    cut: watch::Sender<()>,
}

impl Wire {
    /// A wire to the port `target`.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, cut) = (watch::Sender::new(true), watch::Sender::new(()));
        let wire = Self { port, open: open.clone(), cut: cut.clone() };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (opens, mut cuts) = (open.subscribe(), cut.subscribe());
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    let mut ways = JoinSet::new();
                    ways.spawn(pass(near_in, far_out, opens.clone()));
                    ways.spawn(pass(far_in, near_out, opens));
                    tokio::select! {
                        _ = cuts.changed() => {}
                        () = async { while ways.join_next().await.is_some() {} } => {}
                    }
                });
            }
        });
        wire
    }

    /// Every connection ends here and now; new ones are taken again.
    pub fn cut(&self) {
        self.cut.send_replace(());
    }

    /// Nothing passes any more, and nobody is told; or everything does again.
    pub fn fall_silent(&self, silent: bool) {
        self.open.send_replace(!silent);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer).await
        && length > 0
        && open.wait_for(|open| *open).await.is_ok()
        && to.write_all(&buffer[..length]).await.is_ok()
    {}
}
