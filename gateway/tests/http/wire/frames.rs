//! Frames of HTTP/2, written and read by hand (RFC 9113 §4, §6; RFC 7541 for heads).

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{PATIENCE, Wire};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What a client sends first.
pub(crate) fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat()
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// A head: every line a literal that is not indexed, so that anything can be said.
pub(crate) fn head(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in lines {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(u8::try_from(length).unwrap());
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// A frame as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) content: Vec<u8>,
}

/// The frames in what was read; a last one that is not whole is left out.
pub(crate) fn read(bytes: &[u8]) -> Vec<Read> {
    cut(bytes).0
}

/// The frames in what was read, and the beginning of one that is not whole.
pub(crate) fn cut(mut bytes: &[u8]) -> (Vec<Read>, &[u8]) {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if rest.len() < length {
            break;
        }
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        frames.push(Read { kind: head[3], flags: head[4], stream, content: rest[..length].to_vec() });
        bytes = &rest[length..];
    }
    (frames, bytes)
}

/// Whether a stream was answered with 200: the eighth entry of the static table (RFC 7541, Appendix A).
pub(crate) fn is_ok(frames: &[Read], stream: u32) -> bool {
    frames
        .iter()
        .any(|frame| frame.kind == HEADERS && frame.stream == stream && frame.content.first() == Some(&0x88))
}

/// Sends frames behind the preface; what came back until the connection ended, or `enough` did.
pub(crate) async fn ask(
    stream: &mut (dyn Wire + '_),
    frames: &[u8],
    enough: impl Fn(&[Read]) -> bool,
) -> Vec<Read> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let send = async {
        // Whoever refuses early may have closed before the end.
        let _ = writing.write_all(&[&preface()[..], frames].concat()).await;
        let _ = writing.flush().await;
    };
    let receive = async {
        let mut bytes = Vec::new();
        loop {
            let got = read(&bytes);
            // A reset instead of an orderly end also ends it.
            if enough(&got) || !matches!(reading.read_buf(&mut bytes).await, Ok(1..)) {
                return got;
            }
        }
    };
    let both = async { tokio::join!(receive, send).0 };
    tokio::time::timeout(PATIENCE, both).await.expect("the gateway answers or closes")
}

/// Whether a stream, or the connection, got its last word: an answer's head, a reset, a farewell.
pub(crate) fn settled(frames: &[Read]) -> bool {
    frames.iter().any(|frame| matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY))
}
