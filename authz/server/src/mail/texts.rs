//! The words of letters: one file per language in `authz/server/mail`, each with every letter.
//!
//! A file is Markdown of a few marks: `## name` begins a letter, the next line is its subject, then blocks parted by
//! blank lines. An indented block is a code to type, one that begins with `$ ` a line for a shell, `[words](address)`
//! alone a link, lines that begin with `- ` are facts, the rest are paragraphs. `{name}` is a value; a fact or block whose values are all empty is left out.

use super::Part;

/// The languages there are letters in (ISO 639-1). The first one speaks for all others.
const LANGUAGES: [(&str, &str); 3] = [
    ("en", include_str!("../../mail/en.md")),
    ("de", include_str!("../../mail/de.md")),
    ("fr", include_str!("../../mail/fr.md")),
];

/// The letters of one language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texts {
    /// ISO 639-1.
    pub(crate) language: &'static str,
    file: &'static str,
}

/// A letter's subject and parts, with its values.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) subject: String,
    pub(crate) parts: Vec<Part>,
}

impl Texts {
    /// Those of a language; the first language's for one that there is nothing in.
    pub(crate) fn of(language: &str) -> Self {
        let (language, file) =
            LANGUAGES.into_iter().find(|(code, _)| *code == language).unwrap_or(LANGUAGES[0]);
        Self { language, file }
    }

    /// What stands under a heading.
    fn section(self, name: &str) -> Option<&'static str> {
        self.file.split("\n## ").skip(1).find_map(|section| {
            let (heading, text) = section.split_once('\n')?;
            (heading == name).then_some(text)
        })
    }

    /// One of the words that all letters share.
    pub(crate) fn word(self, name: &str) -> &'static str {
        let find = |texts: Self| {
            texts.section("words")?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        find(self).or_else(|| find(Self::of(LANGUAGES[0].0))).unwrap_or_default()
    }

    /// The letter with this name, filled in. None when there is no such letter in any language.
    pub(crate) fn compose(self, name: &str, value: &dyn Fn(&str) -> String) -> Option<Composed> {
        let text = self.section(name).or_else(|| Self::of(LANGUAGES[0].0).section(name))?;
        let (subject, body) = text.split_once('\n')?;
        let parts = body.split("\n\n").filter_map(|block| part(block.trim_matches('\n'), value)).collect();
        Some(Composed { subject: filled(subject, value).unwrap_or_default(), parts })
    }
}

/// One block; none when it is empty.
fn part(block: &str, value: &dyn Fn(&str) -> String) -> Option<Part> {
    if let Some(code) = block.strip_prefix("    ") {
        return Some(Part::Code(filled(code, value)?));
    }
    if let Some(command) = block.strip_prefix("$ ") {
        return Some(Part::Command(filled(command, value)?));
    }
    if block.starts_with("- ") {
        let facts: Vec<(String, String)> = block
            .lines()
            .filter_map(|line| {
                let (label, text) = line.strip_prefix("- ")?.split_once(": ")?;
                Some((format!("{label}:"), filled(text, value)?))
            })
            .collect();
        return Some(Part::Facts(facts)).filter(|_| block.contains(": "));
    }
    if let Some((label, url)) =
        block.strip_prefix('[').and_then(|rest| rest.strip_suffix(')')?.split_once("]("))
    {
        return Some(Part::Link { label: label.to_owned(), url: filled(url, value)? });
    }
    Some(Part::Text(filled(block, value)?)).filter(|_| !block.is_empty())
}

/// A text with its values; none when it has values and all are empty. What a value says is not looked at again.
pub(crate) fn filled(text: &str, value: &dyn Fn(&str) -> String) -> Option<String> {
    let (mut whole, mut named, mut given) = (String::with_capacity(text.len() + 40), false, false);
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        let filling = value(name);
        named = true;
        given |= !filling.is_empty();
        whole.push_str(before);
        whole.push_str(&filling);
        rest = after;
    }
    whole.push_str(rest);
    (!named || given).then_some(whole)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The names of all letters, in the order of the first file.
    pub(crate) fn names() -> Vec<&'static str> {
        sections(LANGUAGES[0].1).into_iter().map(|(name, _)| name).filter(|name| *name != "words").collect()
    }

    pub(crate) fn languages() -> Vec<&'static str> {
        LANGUAGES.iter().map(|(code, _)| *code).collect()
    }

    fn sections(file: &'static str) -> Vec<(&'static str, &'static str)> {
        file.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap()).collect()
    }

    fn values(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0).collect()
    }

    #[test]
    fn every_language_has_every_letter_with_the_same_values() {
        let first: BTreeMap<_, _> = sections(LANGUAGES[0].1).into_iter().collect();
        for (language, file) in LANGUAGES {
            let own = sections(file);
            let by_name: BTreeMap<_, _> = own.iter().copied().collect();
            assert_eq!(own.len(), by_name.len(), "{language}: a letter stands there twice");
            assert_eq!(
                by_name.keys().collect::<Vec<_>>(),
                first.keys().collect::<Vec<_>>(),
                "{language}: letters"
            );
            for (name, text) in by_name {
                assert_eq!(values(text), values(first[name]), "{language}: values of {name}");
                let subject = text.lines().next().unwrap();
                assert!(!subject.trim().is_empty(), "{language}: {name} has no subject");
            }
        }
    }

    #[test]
    fn a_block_is_what_its_mark_says_and_goes_when_its_values_are_empty() {
        let value = |name: &str| match name {
            "code" => "1234-5678".to_owned(),
            "sly" => "[x](y) {code}\n\n- a: b".to_owned(),
            _ => String::new(),
        };
        let kinds = |block: &str| format!("{:?}", part(block, &value));
        assert_eq!(kinds("    {code}"), "Some(Code(\"1234-5678\"))");
        assert_eq!(kinds("$ curl {code}"), "Some(Command(\"curl 1234-5678\"))");
        assert_eq!(kinds("[Open]({code})"), "Some(Link { label: \"Open\", url: \"1234-5678\" })");
        assert_eq!(kinds("- A: {code}\n- B: {none}"), "Some(Facts([(\"A:\", \"1234-5678\")]))");
        assert_eq!(kinds("{none}"), "None");
        assert_eq!(kinds("Text {sly}"), "Some(Text(\"Text [x](y) {code}\\n\\n- a: b\"))");
    }

    #[test]
    fn an_unknown_language_speaks_the_first() {
        assert_eq!(Texts::of("xx").language, "en");
        assert_eq!(Texts::of("de").word("agency"), "Die Agentur");
    }
}
