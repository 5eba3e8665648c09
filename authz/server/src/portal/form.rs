//! Forms: what was typed, what is wrong with it, and how fields are shown.

use std::collections::BTreeMap;

use authz_domain::PASSWORD_RULES;

use crate::use_cases::{MAX_REASON, is_sound_reason};

/// What a form brought: names and values, in order.
#[derive(Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fields(…)")
    }
}

impl Fields {
    /// Notes a field that did not come in a form's usual clothes.
    pub(crate) fn push(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    /// From `application/x-www-form-urlencoded`, or the query of an address.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(bytes)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// One field.
    pub(crate) fn of(name: &str, value: &str) -> Self {
        Self(vec![(name.to_owned(), value.to_owned())])
    }

    /// The first value of a field, trimmed; empty when it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The first value of a field as typed: passwords keep their spaces.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(one, _)| one == name).map_or("", |(_, value)| value)
    }

    /// Every value of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(one, _)| one == name).map(|(_, value)| value.clone()).collect()
    }

    /// Whether nothing came: the form is shown for the first time.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a box was ticked, or a button pressed.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(one, _)| one == name)
    }
}

/// What is wrong, by field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors(BTreeMap<&'static str, String>);

impl Errors {
    /// Notes what is wrong with a field; the first complaint stays.
    #[expect(clippy::needless_pass_by_value, reason = "callers hand their errors over as they are")]
    pub(crate) fn add(&mut self, field: &'static str, problem: impl ToString) {
        self.0.entry(field).or_insert_with(|| problem.to_string());
    }

    /// Takes the value, or notes the complaint.
    pub(crate) fn take<T, E: ToString>(&mut self, field: &'static str, outcome: Result<T, E>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(problem) => {
                self.add(field, problem);
                None
            }
        }
    }

    /// One complaint about one field.
    pub(crate) fn of(field: &'static str, problem: impl ToString) -> Self {
        let mut errors = Self::default();
        errors.add(field, problem);
        errors
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is wrong with a field.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }
}

/// How a field is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Email,
    Password,
    Tel,
    Code,
    Search,
    Area,
    Select,
    Tick,
    Ticks,
    Radios,
    File,
    Hidden,
}

/// One thing to choose.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) hint: String,
    pub(crate) chosen: bool,
    /// Distinguishes the inputs of one group.
    pub(crate) number: usize,
}

/// A field as shown.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) hint: String,
    pub(crate) error: String,
    pub(crate) autocomplete: &'static str,
    pub(crate) required: bool,
    pub(crate) choices: Vec<Choice>,
    /// For scripts: `data-` attributes of a hidden field.
    pub(crate) data: Vec<(&'static str, String)>,
}

/// The password of who is signed in, asked again before something that matters.
pub(crate) fn current_password(errors: &Errors) -> Field {
    Field::new(Kind::Password, "current", "Current password")
        .autocomplete("current-password")
        .with_error(errors)
}

/// The new password, twice.
pub(crate) fn new_password(label: &str, again: &str, errors: &Errors) -> [Field; 2] {
    [
        Field::new(Kind::Password, "password", label)
            .hint(PASSWORD_RULES)
            .autocomplete("new-password")
            .with_error(errors),
        Field::new(Kind::Password, "password_again", again).autocomplete("new-password").with_error(errors),
    ]
}

/// Why somebody does something to a client; not everybody says it.
pub(crate) fn why_field(fields: &Fields, errors: &Errors) -> Field {
    Field::new(Kind::Text, "reason", "Reason")
        .optional()
        .hint("It is kept in the audit trail.")
        .typed(fields, errors)
}

/// Why a reviewer does something.
pub(crate) fn reason_field(hint: &str, fields: &Fields, errors: &Errors) -> Field {
    Field::new(Kind::Area, "reason", "Reason").hint(hint).typed(fields, errors)
}

/// The typed reason; an empty one only where none is needed.
pub(crate) fn read_reason(fields: &Fields, needed: bool) -> Result<&str, String> {
    let reason = fields.get("reason");
    if reason.chars().count() > MAX_REASON {
        Err(format!("Use at most {MAX_REASON} characters."))
    } else if !is_sound_reason(reason) {
        Err("Use letters, digits and signs only: there is a control character in it.".to_owned())
    } else if reason.is_empty() && needed {
        Err("Say why: the person reads it.".to_owned())
    } else {
        Ok(reason)
    }
}

impl Field {
    pub(crate) fn new(kind: Kind, name: &'static str, label: impl Into<String>) -> Self {
        Self {
            kind,
            name,
            label: label.into(),
            value: String::new(),
            hint: String::new(),
            error: String::new(),
            autocomplete: "",
            required: true,
            choices: Vec::new(),
            data: Vec::new(),
        }
    }

    pub(crate) fn hidden(name: &'static str, value: impl Into<String>) -> Self {
        Self::new(Kind::Hidden, name, "").value(value)
    }

    pub(crate) fn value(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    pub(crate) fn data(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.data.push((name, value.into()));
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn autocomplete(mut self, words: &'static str) -> Self {
        self.autocomplete = words;
        self
    }

    pub(crate) fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// Adds a choice.
    pub(crate) fn choice(
        mut self,
        value: impl Into<String>,
        label: impl Into<String>,
        hint: impl Into<String>,
        chosen: bool,
    ) -> Self {
        let number = self.choices.len();
        self.choices.push(Choice {
            value: value.into(),
            label: label.into(),
            hint: hint.into(),
            chosen,
            number,
        });
        self
    }

    /// Takes over what was typed and what is wrong with it. Passwords, codes and files are never given back.
    pub(crate) fn typed(mut self, fields: &Fields, errors: &Errors) -> Self {
        match self.kind {
            Kind::Password | Kind::Code | Kind::File | Kind::Hidden => {}
            Kind::Tick => self.value = if fields.has(self.name) { "yes".to_owned() } else { String::new() },
            // Of boxes that are all empty nothing comes.
            Kind::Select | Kind::Radios | Kind::Ticks => {
                if fields.has(self.name) || (self.kind == Kind::Ticks && !fields.is_empty()) {
                    let chosen = fields.all(self.name);
                    for choice in &mut self.choices {
                        choice.chosen = chosen.contains(&choice.value);
                    }
                }
            }
            Kind::Text | Kind::Email | Kind::Tel | Kind::Search | Kind::Area => {
                if fields.has(self.name) {
                    fields.raw(self.name).clone_into(&mut self.value);
                }
            }
        }
        self.with_error(errors)
    }

    /// Takes over what is wrong with it.
    pub(crate) fn with_error(mut self, errors: &Errors) -> Self {
        self.error = errors.0.get(self.name).cloned().unwrap_or_default();
        self
    }

    /// The id that the error summary points to.
    pub(crate) fn target(&self) -> String {
        match self.kind {
            Kind::Radios | Kind::Ticks => format!("f-{}-0", self.name),
            _ => format!("f-{}", self.name),
        }
    }

    /// What describes it, for assistive technology.
    pub(crate) fn described_by(&self) -> String {
        let mut ids = Vec::new();
        if !self.hint.is_empty() {
            ids.push(format!("f-{}-hint", self.name));
        }
        if !self.error.is_empty() {
            ids.push(format!("f-{}-error", self.name));
        }
        ids.join(" ")
    }

    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    /// The `type` of an input.
    pub(crate) const fn input_type(&self) -> &'static str {
        match self.kind {
            Kind::Email => "email",
            Kind::Password => "password",
            Kind::Tel => "tel",
            Kind::Search => "search",
            Kind::File => "file",
            Kind::Hidden => "hidden",
            _ => "text",
        }
    }
}

/// A button of a form.
#[derive(Clone, Debug)]
pub(crate) struct Button {
    pub(crate) label: String,
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) look: &'static str,
}

impl Button {
    pub(crate) fn main(label: impl Into<String>) -> Self {
        Self { label: label.into(), name: "do", value: "next".to_owned(), look: "main" }
    }

    pub(crate) fn other(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), name: "do", value: value.into(), look: "quiet" }
    }

    pub(crate) fn danger(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), name: "do", value: value.into(), look: "danger" }
    }
}

/// A form as shown.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) get: bool,
    pub(crate) multipart: bool,
    pub(crate) inline: bool,
    /// Whether a script keeps what is typed while it is typed.
    pub(crate) kept: bool,
    pub(crate) fields: Vec<Field>,
    pub(crate) buttons: Vec<Button>,
}

impl Form {
    pub(crate) fn post(action: impl Into<String>, fields: Vec<Field>, buttons: Vec<Button>) -> Self {
        Self {
            action: action.into(),
            get: false,
            multipart: false,
            inline: false,
            kept: false,
            fields,
            buttons,
        }
    }

    pub(crate) fn search(action: impl Into<String>, fields: Vec<Field>) -> Self {
        let look = Button { label: "Search".to_owned(), name: "", value: String::new(), look: "main" };
        Self {
            action: action.into(),
            get: true,
            multipart: false,
            inline: true,
            kept: false,
            fields,
            buttons: vec![look],
        }
    }

    /// A form of one button in a table.
    pub(crate) fn button(action: impl Into<String>, fields: Vec<Field>, button: Button) -> Self {
        Self { inline: true, ..Self::post(action, fields, vec![button]) }
    }

    pub(crate) fn with_files(mut self) -> Self {
        self.multipart = true;
        self
    }

    pub(crate) fn kept(mut self) -> Self {
        self.kept = true;
        self
    }
}
