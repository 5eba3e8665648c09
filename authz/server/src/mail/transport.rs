//! The two ways out: an SMTP server, or a folder that a sandbox shows as its mailbox; and the provider of text messages.

use std::{fs, path::Path};

use config::MailTls;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message as Mail, Tokio1Executor,
    message::{Mailbox, MultiPart, header::MessageId},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use thiserror::Error;
use time::OffsetDateTime;

use super::Message;
use crate::portal::settings::{MailSettings, MailTransport, TextMessages};

/// Why a message did not leave. The text holds nothing personal: it is kept and logged.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    /// The sender or the recipient is no address.
    #[error("an address cannot be used")]
    Address(#[from] lettre::address::AddressError),
    /// The message cannot be put together.
    #[error("the message cannot be put together")]
    Build(#[from] lettre::error::Error),
    /// The server.
    #[error("the mail server did not take it")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// A file: password, certificate, or the spool.
    #[error("a file cannot be used")]
    File(#[from] std::io::Error),
    /// The provider of text messages.
    #[error("the provider of text messages did not take it")]
    Provider(#[source] Option<reqwest::Error>),
    /// Text messages are not configured.
    #[error("no provider of text messages is configured")]
    NoProvider,
}

/// How messages leave.
#[derive(Debug)]
pub(crate) struct Transport {
    sender: String,
    way: Way,
    texts: TextMessages,
    /// For the provider of text messages, when there is one.
    http: Option<reqwest::Client>,
}

#[derive(Debug)]
enum Way {
    Spool(std::path::PathBuf),
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
}

impl Transport {
    pub(crate) fn new(settings: &MailSettings, texts: &TextMessages) -> Result<Self, SendError> {
        let way = match &settings.transport {
            MailTransport::Spool(folder) => Way::Spool(folder.clone()),
            MailTransport::Smtp { host, port, tls, login, ca_file, timeout } => {
                let parameters = |host: &str| -> Result<TlsParameters, SendError> {
                    let mut builder = TlsParameters::builder(host.to_owned());
                    if let Some(path) = ca_file {
                        builder = builder.add_root_certificate(Certificate::from_pem(&fs::read(path)?)?);
                    }
                    Ok(builder.build()?)
                };
                let tls = match tls {
                    MailTls::Starttls => Tls::Required(parameters(host)?),
                    MailTls::Tls => Tls::Wrapper(parameters(host)?),
                    MailTls::Off => Tls::None,
                };
                let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.as_str())
                    .port(*port)
                    .timeout(Some(*timeout))
                    .tls(tls);
                if let Some((name, file)) = login {
                    let password = match file {
                        Some(path) => fs::read_to_string(path)?.trim_end_matches(['\r', '\n']).to_owned(),
                        None => String::new(),
                    };
                    builder = builder.credentials(Credentials::new(name.clone(), password));
                }
                Way::Smtp(Box::new(builder.build()))
            }
        };
        let http = match texts {
            TextMessages::Http { .. } => Some(
                reqwest::Client::builder()
                    .timeout(std::time::Duration::from_secs(15))
                    .redirect(reqwest::redirect::Policy::none())
                    .build()
                    .map_err(|error| SendError::Provider(Some(error)))?,
            ),
            TextMessages::None | TextMessages::Spool => None,
        };
        Ok(Self { sender: settings.sender.clone(), way, texts: texts.clone(), http })
    }

    /// Sends a mail. `id` makes its Message-ID, so that a second delivery can be recognised.
    pub(crate) async fn mail(
        &self,
        id: &str,
        message: &Message,
        now: OffsetDateTime,
    ) -> Result<(), SendError> {
        let Some(to) = &message.to else { return Ok(()) };
        let sender: Mailbox = self.sender.parse()?;
        let domain = sender.email.domain().to_owned();
        let built = Mail::builder()
            .from(sender)
            .to(to.parse()?)
            .subject(message.subject.as_str())
            .date(now.into())
            .header(MessageId::from(format!("<{id}@{domain}>")))
            .multipart(MultiPart::alternative_plain_html(message.text.clone(), message.html.clone()))?;
        match &self.way {
            Way::Spool(folder) => {
                write_spool(folder, id, "eml", &built.formatted(), now)?;
                let shown = serde_json::json!({
                    "to": to, "subject": message.subject, "text": message.text, "at": now.unix_timestamp(),
                });
                Ok(write_spool(folder, id, "json", shown.to_string().as_bytes(), now)?)
            }
            Way::Smtp(smtp) => {
                smtp.send(built).await?;
                Ok(())
            }
        }
    }

    /// Sends a text message.
    pub(crate) async fn text(
        &self,
        id: &str,
        message: &Message,
        now: OffsetDateTime,
    ) -> Result<(), SendError> {
        let Some(to) = &message.to else { return Ok(()) };
        match (&self.texts, &self.http, &self.way) {
            (TextMessages::Http { url, body, authorization_file }, Some(http), _) => {
                let quoted = |text: &str| {
                    let json = serde_json::Value::from(text).to_string();
                    json[1..json.len() - 1].to_owned()
                };
                let body = body.replace("{phone}", &quoted(to)).replace("{text}", &quoted(&message.text));
                let mut request = http.post(url).header("content-type", "application/json").body(body);
                if let Some(path) = authorization_file {
                    request = request.header("authorization", fs::read_to_string(path)?.trim());
                }
                let answer =
                    request.send().await.map_err(|error| SendError::Provider(Some(error.without_url())))?;
                if answer.status().is_success() { Ok(()) } else { Err(SendError::Provider(None)) }
            }
            (TextMessages::Spool, _, Way::Spool(folder)) => {
                let shown = serde_json::json!({
                    "to": to, "subject": "Text message", "text": message.text, "at": now.unix_timestamp(),
                });
                Ok(write_spool(folder, id, "json", shown.to_string().as_bytes(), now)?)
            }
            _ => Err(SendError::NoProvider),
        }
    }
}

/// Writes a file whole or not at all, readable for its owner only. Names sort by time.
fn write_spool(
    folder: &Path,
    id: &str,
    kind: &str,
    content: &[u8],
    now: OffsetDateTime,
) -> Result<(), std::io::Error> {
    use std::io::Write as _;
    fs::create_dir_all(folder)?;
    let name = format!("{:020}-{id}", now.unix_timestamp_nanos() / 1000);
    let draft = folder.join(format!(".{name}.{kind}.part"));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&draft)?.write_all(content)?;
    fs::rename(&draft, folder.join(format!("{name}.{kind}")))
}
