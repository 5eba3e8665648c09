//! Runs the tests with cargo-nextest, or with `cargo test` where it is missing, and keeps the closing lines.

use std::io::{self, BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command;
use crate::workspace::Workspace;

/// What the runners came to.
#[derive(Default)]
pub(super) struct Outcome {
    failed: bool,
    closing: Vec<String>,
}

impl Outcome {
    pub(super) fn passed(&self) -> bool {
        !self.failed
    }

    /// The lines in which the runners themselves sum up.
    pub(super) fn closing_lines(&self) -> &[String] {
        &self.closing
    }

    fn add(&mut self, title: &str, result: Result<(Vec<String>, bool)>) {
        let (lines, passed) = result.unwrap_or_else(|error| (vec![format!("{error:#}")], false));
        self.failed |= !passed;
        self.closing.extend(lines.into_iter().map(|line| format!("{title}: {line}")));
    }
}

/// A line of `cargo build --message-format=json`, as far as it is read here.
#[derive(Deserialize)]
struct Message {
    executable: Option<String>,
}

/// Builds the shipped program as the tests use it and returns its path.
/// All members are selected, so that features are the same as in the test build and nothing compiles twice.
pub(super) fn build_program(workspace: &Workspace) -> Result<String> {
    let mut build = workspace.cargo().command();
    build.args(["build", "--workspace", "--locked", "--bin", "pmsgate"]);
    build.args(["--message-format", "json-render-diagnostics"]);
    let output = build.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the program `pmsgate` does not build");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .next_back()
        .context("cargo built no program")
}

/// Runs all tests, or those that `arguments` select.
pub(super) fn run_all(
    workspace: &Workspace,
    arguments: &[String],
    environment: &[(&'static str, String)],
) -> Outcome {
    let mut outcome = Outcome::default();
    let with_nextest = workspace.cargo().has_subcommand("nextest");
    let mut main = workspace.cargo().command();
    if with_nextest {
        main.args(["nextest", "run", "--locked"]);
    } else {
        main.args(["test", "--locked", "--all-targets", "--no-fail-fast"]);
    }
    if !selects_packages(arguments) {
        main.arg("--workspace");
    }
    main.args(arguments);
    run(&mut outcome, if with_nextest { "nextest" } else { "cargo test" }, main, environment);

    // Neither runner above runs doctests; a filter asks for other tests.
    if arguments.is_empty() && has_doctests(workspace) {
        let mut doctests = workspace.cargo().command();
        doctests.args(["test", "--workspace", "--locked", "--doc", "--quiet"]);
        run(&mut outcome, "doctests", doctests, environment);
    }
    outcome
}

fn run(outcome: &mut Outcome, title: &str, mut command: Command, environment: &[(&'static str, String)]) {
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    if io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    outcome.add(title, tee(&mut command));
}

/// Whether the person already said which packages, in Cargo's own words.
fn selects_packages(arguments: &[String]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| {
        argument.starts_with("--package")
            || (argument.starts_with("-p") && !argument.starts_with("--"))
            || argument == "--workspace"
    })
}

/// Shows both streams as they come and returns the closing lines and whether the command succeeded.
fn tee(command: &mut Command) -> Result<(Vec<String>, bool)> {
    let shown = command::describe(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{shown}`"))?;
    let stdout = child.stdout.take().context("no standard output")?;
    let stderr = child.stderr.take().context("no standard error")?;
    let from_stdout = std::thread::spawn(move || closing_of(stdout, |line| println!("{line}")));
    let mut closing = closing_of(stderr, |line| eprintln!("{line}"));
    closing.extend(from_stdout.join().unwrap_or_default());
    Ok((closing, child.wait()?.success()))
}

/// Passes every line on and keeps those that sum up.
fn closing_of(stream: impl io::Read, show: impl Fn(&str)) -> Vec<String> {
    let mut closing = Vec::new();
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    // A test may print anything: the lines are bytes until shown.
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        show(text);
        if is_closing(text) {
            closing.push(without_colour(text).trim().to_owned());
        }
        line.clear();
    }
    closing
}

/// nextest's `Summary [ 1.2s] 3 tests run: …` and libtest's `test result: ok. …`.
fn is_closing(line: &str) -> bool {
    let plain = without_colour(line);
    let plain = plain.trim_start();
    plain.starts_with("Summary [") || plain.starts_with("test result: ")
}

/// The line without terminal escape sequences of the form `ESC [ … letter`.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            for skipped in characters.by_ref() {
                if skipped.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Whether any documentation comment holds an example.
fn has_doctests(workspace: &Workspace) -> bool {
    let Ok(files) = workspace.files() else { return true };
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .filter_map(|path| workspace.read(path).ok())
        .any(|source| holds_doctest(&source))
}

/// Whether a documentation comment holds a code fence that rustdoc would run.
fn holds_doctest(source: &str) -> bool {
    let mut inside = false;
    for line in source.lines() {
        let line = line.trim_start();
        let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            inside = false;
            continue;
        };
        let Some(kind) = text.trim_start().strip_prefix("```") else { continue };
        if !inside && matches!(kind.trim(), "" | "rust" | "no_run" | "should_panic" | "compile_fail") {
            return true;
        }
        inside = !inside;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_closing_lines_are_known() {
        assert!(is_closing("     Summary [   1.203s] 12 tests run: 12 passed, 0 skipped"));
        assert!(is_closing("\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] 1 test run"));
        assert!(is_closing("test result: ok. 3 passed; 0 failed"));
        assert!(!is_closing("test summary_is_right ... ok"));
    }

    #[test]
    fn packages_are_selected_by_the_person_or_all() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(selects_packages(&words("-p gateway refusals")));
        assert!(selects_packages(&words("--package=gateway")));
        assert!(!selects_packages(&words("refusals -- -p")));
    }

    #[test]
    fn closing_lines_survive_bytes_that_are_no_text() {
        let printed = b"\xff\xfe noise\ntest result: ok. 1 passed\n".as_slice();
        assert_eq!(closing_of(printed, |_| ()), ["test result: ok. 1 passed"]);
    }

    #[test]
    fn a_fence_of_text_is_no_doctest() {
        assert!(holds_doctest("/// ```\n/// let a = 1;\n/// ```\n"));
        assert!(holds_doctest("    //! ```no_run\n"));
        assert!(!holds_doctest("/// ```text\n/// a → b\n/// ```\nfn f() {}\n"));
        assert!(!holds_doctest("// ```\n"));
    }
}
