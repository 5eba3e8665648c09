//! HTTP/2 frames as they go by: a connection that sends many frames which ask for nothing, or takes back what it asks
//! for again and again, is ended (RFC 9113 §10.5).
//!
//! The h2 crate bounds what may come at once: streams, resets before a stream is taken, CONTINUATION frames, the size
//! of a header list. What it does not bound is work over time: every PING and SETTINGS is answered, every reset stream
//! was begun. So a connection has a budget of such frames that grows with what it is used for: with every request, with
//! every byte that it is sent (whose receipt is acknowledged by WINDOW_UPDATE, by some clients for every DATA frame),
//! and slowly by itself.

use tokio::time::Instant;

/// What is left of the preface behind its first line: `SM` between empty lines.
const REST_OF_PREFACE: u64 = 8;
/// Bytes in front of every frame (RFC 9113 §4.1).
const FRAME_HEAD: usize = 9;

/// The budget of a new connection, and the most that is saved up.
const BUDGET: i64 = 1000;
/// What comes by itself in a second.
const PER_SECOND: i64 = 20;
/// What a request brings.
const PER_REQUEST: i64 = 8;
/// So many bytes sent bring one.
const BYTES_FOR_ONE: u64 = 128;
/// What a reset stream costs: more than its request brought.
const RESET: i64 = 16;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What is known about the frames that went by.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface or of a frame's content that were not read yet.
    skip: u64,
    /// The beginning of a frame's head.
    head: [u8; FRAME_HEAD],
    have: usize,
    /// The frame that is read belongs to a request's head.
    in_block: bool,
    /// More frames of that head follow.
    block_goes_on: bool,
    budget: i64,
    refilled: Option<Instant>,
    /// Bytes sent that brought nothing yet.
    sent: u64,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            skip: REST_OF_PREFACE,
            head: [0; FRAME_HEAD],
            have: 0,
            in_block: false,
            block_goes_on: false,
            budget: BUDGET,
            refilled: None,
            sent: 0,
        }
    }
}

impl Frames {
    /// Looks at the next bytes. False when the budget is used up.
    pub(super) fn see(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let here = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= here as u64;
                bytes = &bytes[here..];
                continue;
            }
            let here = (FRAME_HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + here].copy_from_slice(&bytes[..here]);
            self.have += here;
            bytes = &bytes[here..];
            if self.have == FRAME_HEAD {
                self.have = 0;
                let price = self.frame();
                if !self.pay(price) {
                    return false;
                }
            }
        }
        true
    }

    /// Reads a frame's head; what the frame costs.
    fn frame(&mut self) -> i64 {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = u64::from(length);
        self.in_block = matches!(kind, HEADERS | CONTINUATION);
        if self.in_block {
            self.block_goes_on = flags & END_HEADERS == 0;
        }
        match kind {
            HEADERS => -PER_REQUEST,
            // How many may follow is bounded by h2.
            CONTINUATION => 0,
            DATA if length > 0 || flags & END_STREAM != 0 => 0,
            RST_STREAM => RESET,
            _ => 1,
        }
    }

    fn pay(&mut self, price: i64) -> bool {
        self.budget = (self.budget - price).min(BUDGET);
        if self.budget >= 0 {
            return true;
        }
        // Looked at only now, so that a connection which is used pays nothing for the clock.
        let now = Instant::now();
        let since = now.duration_since(*self.refilled.get_or_insert(now)).as_millis();
        let by_time = i64::try_from(since).unwrap_or(i64::MAX).saturating_mul(PER_SECOND) / 1000;
        if by_time > 0 {
            self.refilled = Some(now);
        }
        let by_use = i64::try_from(self.sent / BYTES_FOR_ONE).unwrap_or(BUDGET);
        self.sent %= BYTES_FOR_ONE;
        self.budget = self.budget.saturating_add(by_time).saturating_add(by_use).min(BUDGET);
        self.budget >= 0
    }

    /// Bytes were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    /// Whether a request's head has begun and not ended.
    pub(super) fn is_in_head(&self) -> bool {
        self.block_goes_on || self.in_block && self.skip > 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], content].concat()
    }

    fn begun() -> Frames {
        let mut frames = Frames::default();
        assert!(frames.see(b"\r\nSM\r\n\r\n"));
        frames
    }

    /// How many times these frames pass, at most `most` times.
    fn passes(frames: &mut Frames, bytes: &[u8], most: usize) -> usize {
        (0..most).take_while(|_| frames.see(bytes)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_ask_for_nothing_use_up_the_budget_and_time_brings_little() {
        let ping = frame(PING, 0, &[0; 8]);
        let mut frames = begun();
        assert_eq!(passes(&mut frames, &ping, 5000), 1000);
        assert!(frames.see(&[0; 8]), "the content of the frame that was too much");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(passes(&mut frames, &ping, 5000), 19, "and what was missing is paid first");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_what_is_sent_bring_budget() {
        let request = frame(HEADERS, END_HEADERS | END_STREAM, b"abc");
        let acknowledged = [request.clone(), frame(8, 0, &[0; 4]), frame(8, 0, &[0; 4])].concat();
        assert_eq!(passes(&mut begun(), &acknowledged, 100_000), 100_000);
        let mut frames = begun();
        let update = frame(8, 0, &[0; 4]);
        for _ in 0..100_000 {
            frames.sent(512);
            assert!(frames.see(&update));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_taken_back_use_it_up() {
        let taken_back = [frame(HEADERS, END_HEADERS, b"abc"), frame(RST_STREAM, 0, &[0; 4])].concat();
        assert!(passes(&mut begun(), &taken_back, 5000) < 150);
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_matter_how_frames_are_cut() {
        let all =
            [frame(HEADERS, END_HEADERS, b"abc"), frame(DATA, 0, b"xyz"), frame(PING, 0, &[0; 8])].concat();
        let mut frames = begun();
        assert!(all.iter().all(|byte| frames.see(&[*byte])));
        assert_eq!(frames.budget, BUDGET - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_ends_with_its_last_frame() {
        let mut frames = begun();
        assert!(!frames.is_in_head());
        for (bytes, in_head) in [
            (&frame(HEADERS, END_HEADERS, b"abc")[..10], true),
            (b"bc", false),
            (&frame(HEADERS, 0, b"abc"), true),
            (&frame(CONTINUATION, 0, b"abc"), true),
            (&frame(CONTINUATION, END_HEADERS, b"abc"), false),
            (&frame(DATA, 0, b"abc")[..10], false),
        ] {
            assert!(frames.see(bytes));
            assert_eq!(frames.is_in_head(), in_head, "{bytes:?}");
        }
    }
}
