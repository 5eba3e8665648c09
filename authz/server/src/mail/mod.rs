//! Mails and text messages: composed here, kept in the outbox, sent by a job.
//!
//! # How to add a mail
//!
//! A function in `letters.rs` that makes a [`Letter`] from exactly the data it needs, an act that calls
//! [`crate::UseCases::post`] in its own unit of work, and a line in the test that renders every letter.

pub(crate) mod letters;
pub(crate) mod transport;

use askama::Template;
use serde::{Deserialize, Serialize};

/// A mail in parts: rendered as text and as HTML from the same.
#[derive(Clone, Debug)]
pub struct Letter {
    /// What it is about, without anything personal: for lists and logs.
    pub notice: &'static str,
    /// The subject.
    pub subject: String,
    /// What it says.
    pub parts: Vec<Part>,
}

/// One part of a mail.
#[derive(Clone, Debug)]
pub enum Part {
    /// A paragraph.
    Text(String),
    /// A code to type.
    Code(String),
    /// An address to open.
    Link {
        /// What it leads to.
        label: String,
        /// The address.
        url: String,
    },
    /// Names and values.
    Facts(Vec<(String, String)>),
}

#[derive(Template)]
#[template(path = "mail/letter.txt", escape = "none")]
struct TextLetter<'a> {
    letter: &'a Letter,
    greeting: &'a str,
    base_url: &'a str,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct HtmlLetter<'a> {
    letter: &'a Letter,
    greeting: &'a str,
    base_url: &'a str,
}

/// A message as it waits in the outbox, sealed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Address or phone number; none when nobody is to get it, which keeps the pages alike.
    pub(crate) to: Option<String>,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Letter {
    /// A letter without parts.
    pub fn new(notice: &'static str, subject: impl Into<String>) -> Self {
        Self { notice, subject: subject.into(), parts: Vec::new() }
    }

    /// With a paragraph.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    /// With a code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.parts.push(Part::Code(code.into()));
        self
    }

    /// With an address to open.
    #[must_use]
    pub fn link(mut self, label: impl Into<String>, url: impl Into<String>) -> Self {
        self.parts.push(Part::Link { label: label.into(), url: url.into() });
        self
    }

    /// With names and values.
    #[must_use]
    pub fn facts(mut self, facts: Vec<(String, String)>) -> Self {
        self.parts.push(Part::Facts(facts));
        self
    }

    /// Rendered for somebody.
    pub(crate) fn render(
        &self,
        to: Option<&str>,
        name: &str,
        base_url: &str,
    ) -> Result<Message, askama::Error> {
        let greeting = if name.is_empty() { "Hello,".to_owned() } else { format!("Dear {name},") };
        Ok(Message {
            to: to.map(str::to_owned),
            // A subject is one line, whatever it was made from.
            subject: self.subject.chars().filter(|c| !c.is_control()).collect(),
            text: TextLetter { letter: self, greeting: &greeting, base_url }.render()?,
            html: HtmlLetter { letter: self, greeting: &greeting, base_url }.render()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_says_the_same_in_text_and_html_and_escapes_in_html_only() {
        let letter = Letter::new("test", "Your code\r\nBcc: x@y.example")
            .text("Somebody & <b>you</b> asked.")
            .code("1234-5678")
            .link("Open", "https://x.example/?a=1&b=2")
            .facts(vec![("Request".to_owned(), "REQ-00000001".to_owned())]);
        let message = letter.render(Some("a@x.example"), "Ana <Silva>", "https://x.example").unwrap();
        assert_eq!(message.subject, "Your codeBcc: x@y.example");
        assert!(message.text.contains("Dear Ana <Silva>,") && message.text.contains("<b>you</b>"));
        assert!(message.text.contains("    1234-5678\n") && message.text.contains("Request: REQ-00000001"));
        assert!(!message.html.contains("<b>you") && !message.html.contains("<Silva>"));
        assert!(message.html.contains("1234-5678") && message.html.contains("REQ-00000001"));
    }
}
