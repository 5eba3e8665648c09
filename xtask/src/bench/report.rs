//! Medians over the rounds, ratios to the peers, the bars, as a table and as JSON.

use serde::Serialize;

use super::house::Footprint;
use super::plan::{self, Row};

/// Above this share of the machine used by others, a round counts as disturbed.
const DISTURBED: f64 = 0.08;

/// One round of one row.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sample {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    /// Of the measured server's processes, user and system.
    pub(super) cpu_seconds: f64,
    /// Of the server behind it.
    pub(super) behind_cpu_seconds: Option<f64>,
    pub(super) p50_milliseconds: f64,
    pub(super) p99_milliseconds: f64,
    /// Connections and reads that failed.
    pub(super) broken: u64,
    /// Of all processors' time, what neither servers nor load nor we used.
    pub(super) foreign_share: f64,
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "counts of one benchmark stay far below 2^52")]
    fn requests(&self) -> f64 {
        self.requests as f64
    }

    pub(super) fn requests_per_second(&self) -> f64 {
        self.requests() / self.seconds
    }

    /// Microseconds of the measured server's processor time.
    pub(super) fn cpu_per_request(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.requests()
    }

    fn behind_per_request(&self) -> Option<f64> {
        self.behind_cpu_seconds.map(|seconds| seconds * 1e6 / self.requests())
    }

    /// A remark for a round in which others were busy.
    pub(super) fn disturbance(&self) -> String {
        if self.is_disturbed() {
            format!("  (disturbed: others used {:.0} %)", self.foreign_share * 100.0)
        } else {
            String::new()
        }
    }

    fn is_disturbed(&self) -> bool {
        self.foreign_share > DISTURBED
    }
}

/// A sample and where it belongs.
#[derive(Debug, Serialize)]
pub(super) struct Measurement {
    pub(super) row: String,
    pub(super) round: usize,
    #[serde(flatten)]
    pub(super) sample: Sample,
}

/// Medians of one row.
#[derive(Debug, Clone, Serialize)]
struct Summary {
    row: String,
    requests_per_second: f64,
    cpu_microseconds_per_request: f64,
    requests_per_cpu_second: f64,
    upstream_cpu_microseconds_per_request: Option<f64>,
    p50_milliseconds: f64,
    p99_milliseconds: f64,
    to_nginx: Option<f64>,
    to_haproxy_rs256: Option<f64>,
    to_haproxy_es256: Option<f64>,
    rounds: usize,
    disturbed_rounds: usize,
    broken: u64,
}

/// A bar and whether this run reached it.
#[derive(Debug, Serialize)]
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) wanted: String,
    pub(super) measured: String,
    pub(super) reached: bool,
}

/// The whole result.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    profile: &'static str,
    footprint: Footprint,
    rows: Vec<Summary>,
    bars: Vec<Bar>,
    remarks: Vec<String>,
    measurements: Vec<Measurement>,
}

impl Report {
    pub(super) fn new(
        profile: &'static str,
        rows: &[&Row],
        measurements: Vec<Measurement>,
        footprint: Footprint,
        remarks: Vec<String>,
    ) -> Self {
        let rows = summaries(rows.iter().map(|row| row.name.as_str()), &measurements);
        let bars = bars(&rows, &footprint);
        Self { profile, footprint, rows, bars, remarks, measurements }
    }

    /// Tables for people.
    pub(super) fn print(&self) {
        println!("\nMedians (quiet rounds where there are any), profile {}:", self.profile);
        println!(
            "{:<36} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>7} {:>7} {:>7}",
            "", "req/s", "CPU µs", "per CPU s", "behind µs", "p50 ms", "p99 ms", "×nginx", "×RS256", "×ES256"
        );
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        for row in &self.rows {
            let behind = row.upstream_cpu_microseconds_per_request;
            let disturbed = match row.disturbed_rounds {
                0 => String::new(),
                some => format!("  {some} of {} rounds disturbed", row.rounds),
            };
            let broken = match row.broken {
                0 => String::new(),
                some => format!("  {some} connections failed"),
            };
            println!(
                "{:<36} {:>9.0} {:>9.1} {:>9.0} {:>9} {:>8.2} {:>8.2} {:>7} {:>7} {:>7}{disturbed}{broken}",
                row.row,
                row.requests_per_second,
                row.cpu_microseconds_per_request,
                row.requests_per_cpu_second,
                behind.map_or_else(|| "–".to_owned(), |behind| format!("{behind:.1}")),
                row.p50_milliseconds,
                row.p99_milliseconds,
                ratio(row.to_nginx),
                ratio(row.to_haproxy_rs256),
                ratio(row.to_haproxy_es256),
            );
        }
        println!(
            "\nThe columns × compare CPU per request with nginx proxy_pass, HAProxy RS256 and HAProxy ES256 of this run."
        );
        println!(
            "serve all with demo data: {:.1} MB resident at rest, ready after {:.2} s (first start {:.2} s)",
            megabytes(self.footprint.idle_bytes),
            self.footprint.start_seconds,
            self.footprint.first_start_seconds
        );
        println!("\nBars:");
        for bar in &self.bars {
            let verdict = if bar.reached { "reached" } else { "MISSED " };
            println!("  {verdict}  {:<52} bar {:<22} measured {}", bar.what, bar.wanted, bar.measured);
        }
        for remark in &self.remarks {
            println!("{remark}");
        }
    }
}

fn summaries<'a>(names: impl Iterator<Item = &'a str>, measurements: &[Measurement]) -> Vec<Summary> {
    let mut summaries: Vec<Summary> = names
        .map(|name| {
            let samples: Vec<&Sample> = measurements
                .iter()
                .filter(|measured| measured.row == name)
                .map(|measured| &measured.sample)
                .collect();
            summary(name, &samples)
        })
        .collect();
    let cpu_of = |name: &str, summaries: &[Summary]| {
        summaries
            .iter()
            .find(|summary| summary.row == name)
            .map(|summary| summary.cpu_microseconds_per_request)
    };
    let peers = [plan::NGINX, plan::HAPROXY_RS256, plan::HAPROXY_ES256].map(|name| cpu_of(name, &summaries));
    for summary in &mut summaries {
        // Tokens are made, not forwarded: the proxies are no measure for them.
        if summary.upstream_cpu_microseconds_per_request.is_some() {
            let ratio = |peer: Option<f64>| peer.map(|peer| summary.cpu_microseconds_per_request / peer);
            let [nginx, rs256, es256] = peers.map(ratio);
            summary.to_nginx = nginx;
            summary.to_haproxy_rs256 = rs256;
            summary.to_haproxy_es256 = es256;
        }
    }
    summaries
}

fn summary(name: &str, samples: &[&Sample]) -> Summary {
    let quiet: Vec<&Sample> = samples.iter().copied().filter(|sample| !sample.is_disturbed()).collect();
    let used = if quiet.is_empty() { samples } else { &quiet };
    let of = |value: &dyn Fn(&Sample) -> f64| median(used.iter().map(|sample| value(sample)).collect());
    let cpu = of(&Sample::cpu_per_request);
    let behind: Vec<f64> = used.iter().filter_map(|sample| sample.behind_per_request()).collect();
    Summary {
        row: name.to_owned(),
        requests_per_second: of(&Sample::requests_per_second),
        cpu_microseconds_per_request: cpu,
        requests_per_cpu_second: 1e6 / cpu,
        upstream_cpu_microseconds_per_request: (!behind.is_empty()).then(|| median(behind)),
        p50_milliseconds: of(&|sample| sample.p50_milliseconds),
        p99_milliseconds: of(&|sample| sample.p99_milliseconds),
        to_nginx: None,
        to_haproxy_rs256: None,
        to_haproxy_es256: None,
        rounds: samples.len(),
        disturbed_rounds: samples.len() - quiet.len(),
        broken: samples.iter().map(|sample| sample.broken).sum(),
    }
}

/// The bars of this stage (issue: tokens, known-token reads, memory, start) and those that stay.
fn bars(rows: &[Summary], footprint: &Footprint) -> Vec<Bar> {
    let find = |name: &str| rows.iter().find(|row| row.row == name);
    let mut bars = Vec::new();
    let mut at_least = |name: &str, bar: f64| {
        if let Some(row) = find(name) {
            let measured = row.requests_per_cpu_second;
            bars.push(Bar {
                what: name.to_owned(),
                wanted: format!(">= {bar:.0} per CPU s"),
                measured: format!("{measured:.0}"),
                reached: measured >= bar,
            });
        }
    };
    at_least(plan::TOKEN_ES256, 8_000.0);
    at_least(plan::TOKEN_ES256, 10_000.0);
    at_least(plan::TOKEN_RS256, 1_050.0);
    let mut at_most = |name: &str, bar: f64| {
        if let Some(row) = find(name) {
            let measured = row.cpu_microseconds_per_request;
            bars.push(Bar {
                what: name.to_owned(),
                wanted: format!("<= {bar:.0} µs CPU"),
                measured: format!("{measured:.1} µs"),
                reached: measured <= bar,
            });
        }
    };
    at_most(plan::READ_KNOWN, 50.0);
    at_most(plan::READ_NEW, 120.0);
    for refusal in [plan::REFUSED_NO_TOKEN, plan::REFUSED_GARBAGE, plan::REFUSED_EXPIRED] {
        at_most(refusal, 40.0);
    }
    at_most(plan::BACKEND_READ, 60.0);
    at_most(plan::BACKEND_SEARCH, 250.0);
    for name in [plan::READ_KNOWN, plan::READ_ROTATING] {
        let Some(row) = find(name) else { continue };
        let ratios = [
            ("HAProxy RS256", row.to_haproxy_rs256, 1.0),
            ("HAProxy ES256", row.to_haproxy_es256, 0.25),
            ("nginx plain", row.to_nginx, 1.15),
        ];
        for (peer, ratio, bar) in ratios {
            if let Some(ratio) = ratio {
                bars.push(Bar {
                    what: name.to_owned(),
                    wanted: format!("<= {bar:.2} × {peer}"),
                    measured: format!("{ratio:.2}"),
                    reached: ratio <= bar,
                });
            }
        }
    }
    let cpu = |name: &str| find(name).map(|row| row.cpu_microseconds_per_request);
    if let (Some(one), Some(many)) = (cpu(plan::READ_KNOWN), cpu(plan::READ_MANY)) {
        bars.push(Bar {
            what: plan::READ_MANY.to_owned(),
            wanted: "<= 1.15 × 1 token".to_owned(),
            measured: format!("{:.2}", many / one),
            reached: many <= 1.15 * one,
        });
    }
    if let (Some(passed), Some(rewritten)) = (cpu(plan::READ_LARGE), cpu(plan::PAGE_LARGE)) {
        bars.push(Bar {
            what: plan::PAGE_LARGE.to_owned(),
            wanted: "<= 100 µs more than passed on".to_owned(),
            measured: format!("{:.1} µs", rewritten - passed),
            reached: rewritten - passed <= 100.0,
        });
    }
    let idle = megabytes(footprint.idle_bytes);
    bars.push(Bar {
        what: "serve all at rest".to_owned(),
        wanted: "<= 40 MiB resident".to_owned(),
        measured: format!("{idle:.1} MB"),
        reached: footprint.idle_bytes <= 40 << 20,
    });
    bars.push(Bar {
        what: "serve all, start to ready".to_owned(),
        wanted: "< 1 s".to_owned(),
        measured: format!("{:.2} s", footprint.start_seconds),
        reached: footprint.start_seconds < 1.0,
    });
    bars
}

/// The middle value; the mean of the two middle ones of an even number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a process of ours stays far below 2^52 bytes")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(row: &str, cpu_microseconds: f64, foreign_share: f64) -> Measurement {
        let sample = Sample {
            requests: 1_000,
            seconds: 1.0,
            cpu_seconds: cpu_microseconds / 1e3,
            behind_cpu_seconds: Some(0.01),
            p50_milliseconds: 1.0,
            p99_milliseconds: 2.0,
            broken: 0,
            foreign_share,
        };
        Measurement { row: row.to_owned(), round: 1, sample }
    }

    #[test]
    fn disturbed_rounds_do_not_count_beside_quiet_ones() {
        let rounds = [measured("a", 40.0, 0.0), measured("a", 60.0, 0.0), measured("a", 900.0, 0.5)];
        let summaries = summaries(["a"].into_iter(), &rounds);
        assert!((summaries[0].cpu_microseconds_per_request - 50.0).abs() < 1e-9);
        assert_eq!((summaries[0].rounds, summaries[0].disturbed_rounds), (3, 1));
    }

    #[test]
    fn disturbed_rounds_alone_are_better_than_nothing() {
        let rounds = [measured("a", 40.0, 0.5)];
        assert!((summaries(["a"].into_iter(), &rounds)[0].cpu_microseconds_per_request - 40.0).abs() < 1e-9);
    }

    #[test]
    fn ratios_are_to_the_peers_of_the_same_run() {
        let rounds = [measured(plan::NGINX, 40.0, 0.0), measured(plan::READ_KNOWN, 44.0, 0.0)];
        let summaries = summaries([plan::NGINX, plan::READ_KNOWN].into_iter(), &rounds);
        assert!((summaries[1].to_nginx.unwrap() - 1.1).abs() < 1e-9);
        assert!(summaries[1].to_haproxy_es256.is_none());
    }

    #[test]
    fn a_missed_bar_is_told() {
        let rounds = [measured(plan::TOKEN_ES256, 200.0, 0.0)];
        let footprint = Footprint { first_start_seconds: 0.5, start_seconds: 0.2, idle_bytes: 61_000_000 };
        let bars = bars(&summaries([plan::TOKEN_ES256].into_iter(), &rounds), &footprint);
        let verdicts: Vec<bool> = bars.iter().map(|bar| bar.reached).collect();
        assert_eq!(verdicts, [false, false, false, true]);
    }
}
