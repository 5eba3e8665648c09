//! Mails and text messages: put into words here, kept in the outbox, sent by a job.
//!
//! # How to add a mail
//!
//! Its text in every language (`authz/server/mail`, see [`texts`]), a function in `letters.rs` that makes a [`Letter`]
//! from exactly the data it needs, an act that calls [`crate::UseCases::post_to`] in its own unit of work, and a line in
//! the test that writes every letter in every language.

pub(crate) mod credentials;
pub(crate) mod expiry_letters;
pub(crate) mod letters;
pub(crate) mod texts;
pub(crate) mod transport;

use askama::Template;
use serde::{Deserialize, Serialize};

use self::texts::{Composed, Texts, filled};

/// A mail before it is put into words: which one it is, and its values.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its name: what it is about, without anything personal. For lists and logs, and the heading of its text.
    pub notice: &'static str,
    values: Vec<(&'static str, Value)>,
}

/// What stands for a `{name}` in the text.
#[derive(Clone, Debug)]
enum Value {
    /// The same in every language.
    Text(String),
    /// A word of the language.
    Word(&'static str),
}

/// One part of a mail: rendered as text and as HTML from the same.
#[derive(Clone, Debug)]
pub enum Part {
    /// A paragraph.
    Text(String),
    /// A code to type.
    Code(String),
    /// A line for a shell.
    Command(String),
    /// An address to open.
    Link {
        /// What it leads to.
        label: String,
        /// The address.
        url: String,
    },
    /// Names, with their colons, and values.
    Facts(Vec<(String, String)>),
}

/// To whom a letter goes.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'r> {
    /// The address; none when nobody is to get it, which keeps the pages alike.
    pub address: Option<&'r str>,
    /// Their name; empty when it is not told.
    pub name: &'r str,
    /// The language they read (ISO 639-1).
    pub language: &'r str,
}

/// What both templates say.
struct Words<'a> {
    language: &'static str,
    subject: String,
    parts: Vec<Part>,
    greeting: String,
    sent_by: String,
    no_answers: &'a str,
}

#[derive(Template)]
#[template(path = "mail/letter.txt", escape = "none")]
struct TextLetter<'a> {
    words: &'a Words<'a>,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct HtmlLetter<'a> {
    words: &'a Words<'a>,
}

/// A message as it waits in the outbox, sealed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Address or phone number; none when nobody is to get it.
    pub(crate) to: Option<String>,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Letter {
    /// A letter by the name of its text.
    pub fn new(notice: &'static str) -> Self {
        Self { notice, values: Vec::new() }
    }

    /// With a value. An empty one takes its fact or paragraph out of the letter.
    #[must_use]
    pub fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.values.push((name, Value::Text(text.into())));
        self
    }

    /// With a word of the recipient's language.
    #[must_use]
    pub fn with_word(mut self, name: &'static str, word: &'static str) -> Self {
        self.values.push((name, Value::Word(word)));
        self
    }

    /// Put into the recipient's language. None when there is no text of this name.
    pub(crate) fn render(&self, to: Recipient<'_>, base_url: &str) -> Result<Option<Message>, askama::Error> {
        let texts = Texts::of(to.language);
        let value = |name: &str| match self.values.iter().find(|(one, _)| *one == name) {
            Some((_, Value::Text(text))) => text.clone(),
            Some((_, Value::Word(word))) => texts.word(word).to_owned(),
            None => String::new(),
        };
        let Some(Composed { subject, parts }) = texts.compose(self.notice, &value) else { return Ok(None) };
        let greeting = if to.name.is_empty() { "hello" } else { "dear" };
        let with = |text: &str, value: &str| filled(text, &|_| value.to_owned()).unwrap_or_default();
        let words = Words {
            language: texts.language,
            // A subject is one line, whatever it was made from.
            subject: subject.chars().filter(|c| !c.is_control()).collect(),
            parts,
            greeting: with(texts.word(greeting), to.name),
            sent_by: with(texts.word("sent-by"), base_url),
            no_answers: texts.word("no-answers"),
        };
        Ok(Some(Message {
            to: to.address.map(str::to_owned),
            text: TextLetter { words: &words }.render()?,
            html: HtmlLetter { words: &words }.render()?,
            subject: words.subject,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: Recipient<'_> =
        Recipient { address: Some("a@x.example"), name: "Ana <Silva>", language: "en" };

    #[test]
    fn a_letter_says_the_same_in_text_and_html_and_escapes_in_html_only() {
        let letter = Letter::new("request-rejected")
            .with("request", "REQ-00000001\r\nBcc: x@y.example")
            .with("what", "PUI & <b>more</b>")
            .with("reason", "")
            .with("url", "https://x.example/?a=1&b=2");
        let message = letter.render(ANA, "https://x.example").unwrap().unwrap();
        assert_eq!(message.subject, "REQ-00000001Bcc: x@y.example: rejected");
        assert!(message.text.contains("Dear Ana <Silva>,") && message.text.contains("<b>more</b>"));
        assert!(message.text.contains("What: PUI &") && !message.text.contains("Reason"), "{}", message.text);
        assert!(!message.html.contains("<b>more") && !message.html.contains("<Silva>"));
        assert!(message.html.contains("REQ-00000001") && message.html.contains("lang=\"en\""));
    }

    #[test]
    fn it_speaks_the_language_of_who_gets_it() {
        let letter = Letter::new("user-name").with("user_name", "nx").with("url", "https://x.example");
        for (language, subject, greeting) in [
            ("de", "Ihr Benutzername", "Guten Tag Ana <Silva>,"),
            ("fr", "Votre nom d'utilisateur", "Bonjour Ana <Silva>,"),
            ("mt", "Your user name", "Dear Ana <Silva>,"),
        ] {
            let message = letter.render(Recipient { language, ..ANA }, "https://x.example").unwrap().unwrap();
            assert_eq!(message.subject, subject);
            assert!(message.text.starts_with(greeting), "{}", message.text);
        }
        assert!(Letter::new("no such letter").render(ANA, "").unwrap().is_none());
    }
}
