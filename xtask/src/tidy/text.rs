//! Rules for the text of our files: module docs, trailing space, markers of unfinished work.

use std::path::Path;

use super::Violation;

/// Endings of files whose text is checked.
const CHECKED: [&str; 18] = [
    "cfg", "conf", "css", "html", "js", "json", "lua", "md", "mjs", "py", "rs", "scss", "sh", "sql", "toml",
    "txt", "yaml", "yml",
];

/// Words that mark unfinished work anywhere. Written in halves, so that this file does not hold them.
const MARKERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// What no Rust file of ours may hold, and what to do instead.
const FORBIDDEN_IN_RUST: [(&str, &str); 6] = [
    (concat!("todo", "!("), "finish it, or leave it out"),
    (concat!("unimplemented", "!("), "finish it, or leave it out"),
    (concat!("#[ig", "nore"), "a test either runs or goes"),
    (concat!("#[should_", "panic"), "assert on a result instead"),
    (concat!("#[al", "low("), "use `#[expect(…, reason = \"…\")]`"),
    (concat!("#![al", "low("), "use `#![expect(…, reason = \"…\")]`"),
];

/// Whether the rules apply to this file.
pub(super) fn is_checked(path: &Path) -> bool {
    let written_by_tools = path.extension().is_some_and(|ending| ending == "snap")
        || path.file_name().is_some_and(|name| name == "Cargo.lock" || name == "package-lock.json");
    let known_ending =
        path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| CHECKED.contains(&ending));
    known_ending && !written_by_tools
}

/// Every rule this text breaks.
pub(super) fn violations(path: &Path, source: &str) -> Vec<Violation> {
    let is_rust = path.extension().is_some_and(|ending| ending == "rs");
    let mut violations = Vec::new();
    if is_rust && !source.starts_with("//! ") {
        violations.push(Violation::on_line(path, 1, "a Rust file opens with `//! ` and what it is"));
    }
    if !source.is_empty() && !source.ends_with('\n') {
        violations.push(Violation::in_file(path, "the last line has no line end"));
    }
    for (index, line) in source.lines().enumerate() {
        let number = index + 1;
        if line.ends_with([' ', '\t', '\r']) {
            violations.push(Violation::on_line(path, number, "trailing space"));
        }
        for marker in MARKERS {
            if has_word(line, marker) {
                violations.push(Violation::on_line(
                    path,
                    number,
                    format!("`{marker}`: finish it, or open an issue"),
                ));
            }
        }
        if is_rust {
            for (needle, advice) in FORBIDDEN_IN_RUST {
                if line.contains(needle) {
                    violations.push(Violation::on_line(path, number, format!("`{needle}`: {advice}")));
                }
            }
        }
    }
    violations
}

/// Whether `word` stands in the line with no letter or digit beside it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        ![before, after].into_iter().flatten().any(|beside| beside.is_alphanumeric() || beside == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, source: &str) -> Vec<String> {
        violations(Path::new(path), source).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_documented_file_is_tidy() {
        assert_eq!(complaints("a.rs", "//! What it is.\n\nfn main() {}\n"), Vec::<String>::new());
    }

    #[test]
    fn a_file_without_module_doc_is_found() {
        assert_eq!(
            complaints("a.rs", "fn main() {}\n"),
            ["a.rs:1: a Rust file opens with `//! ` and what it is"]
        );
    }

    #[test]
    fn trailing_space_is_found_with_its_line() {
        assert_eq!(complaints("a.md", "one \ntwo\n"), ["a.md:1: trailing space"]);
        assert_eq!(complaints("a.md", "one\r\n").len(), 0, "`lines` takes a whole line end");
    }

    #[test]
    fn a_missing_last_line_end_is_found() {
        assert_eq!(complaints("a.toml", "a = 1"), ["a.toml: the last line has no line end"]);
    }

    #[test]
    fn markers_are_found_as_words_only() {
        let marker = MARKERS[0];
        assert_eq!(complaints("a.py", &format!("# {marker}: later\n")).len(), 1);
        assert_eq!(complaints("a.py", &format!("{marker}S_AND_MORE = 1\n")).len(), 0);
    }

    #[test]
    fn unfinished_or_silenced_rust_is_found() {
        for (needle, _) in FORBIDDEN_IN_RUST {
            let source = format!("//! Doc.\n    {needle}dead_code)]\n");
            assert_eq!(complaints("a.rs", &source).len(), 1, "{needle}");
            assert_eq!(complaints("a.md", &source).len(), 0, "{needle} may be spoken of");
        }
    }

    #[test]
    fn generated_files_are_left_alone() {
        assert!(!is_checked(Path::new("tests/clients/package-lock.json")));
        assert!(!is_checked(Path::new("src/a.snap")));
        assert!(!is_checked(Path::new("logo.png")));
        assert!(is_checked(Path::new("bench/wrk/token.lua")));
    }
}
