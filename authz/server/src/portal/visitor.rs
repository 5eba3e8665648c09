//! Who looks at a page: a cookie, and behind it perhaps a session and an account.
//!
//! The cookie is random from the first visit on; forms carry a hash of it. Signing in replaces it, so that nobody can
//! prepare a session for somebody else. Of a session's cookie the database has a keyed hash only.

use std::{net::IpAddr, sync::Arc};

use authz_domain::{Account, AccountStatus, HeldRole};
use authz_store::{
    accounts, granted_roles,
    granted_roles::GrantedRole,
    sessions::{self, Session},
};
use axum::{
    body::{BodyDataStream, to_bytes},
    extract::{FromRequest, FromRequestParts, Request},
    response::Response,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, header, request::Parts};
use http_service::Peer;
use multer::{Constraints, Multipart, SizeLimit};
use pms_terms::OrganisationId;
use time::Duration;

use super::{error::PortalError, form::Fields, keys::Label};
use crate::{
    entropy::entropy,
    state::State,
    use_cases::{Reviewer, UseCaseError},
};

/// The cookie's name: the prefix makes browsers insist on Secure, no Domain, and Path=/ (RFC 6265bis §4.1.3).
const COOKIE: &str = "__Host-pmsgate";
/// Characters of the cookie: 32 bytes in hexadecimal.
const COOKIE_LENGTH: usize = 64;
/// How often a session's last use is written down.
const TOUCH_EVERY: Duration = Duration::minutes(1);
/// Bytes of a form without files, and of what stands around a file.
const MAX_FORM: usize = 64 * 1024;
/// Bytes of a file beyond the limit that are taken and forgotten.
const MAX_READ_AWAY: usize = 256 * 1024 * 1024;
/// How long that may take.
const READING_AWAY: std::time::Duration = std::time::Duration::from_secs(60);

/// Who looks at a page.
#[derive(Clone)]
pub(crate) struct Visitor {
    /// The cookie's value.
    cookie: String,
    /// Whether the browser does not have it yet.
    fresh: bool,
    /// What forms carry.
    pub(crate) csrf: String,
    /// The session, when there is one, also one that waits for its second factor.
    pub(crate) session: Option<Session>,
    /// Who is signed in.
    pub(crate) signed_in: Option<SignedIn>,
    /// From where.
    pub(crate) address: IpAddr,
    /// With which browser.
    pub(crate) agent: String,
    /// Whether this is a sandbox whose mailbox can be read.
    pub(crate) sandbox: bool,
}

/// A person who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub(crate) account: Account,
    pub(crate) roles: Vec<GrantedRole>,
    /// What counts now: roles that need a second factor count only in a session that has one.
    pub(crate) held: Vec<HeldRole>,
    pub(crate) for_agency: bool,
    pub(crate) reviews: bool,
    /// The organisations whose API clients are theirs to look after.
    pub(crate) administers: Vec<OrganisationId>,
}

impl SignedIn {
    /// As the use cases of reviewers see them.
    pub(crate) fn reviewer(&self) -> Reviewer<'_> {
        Reviewer { account: &self.account, held: &self.held }
    }
}

impl Visitor {
    /// Reads the cookie and what stands behind it.
    async fn read(state: &State, headers: &HeaderMap, address: IpAddr) -> Result<Self, PortalError> {
        let given = cookie_of(headers);
        let fresh = given.is_none();
        let cookie = match given {
            Some(cookie) => cookie,
            None => hex::encode(entropy::<32>()?),
        };
        let agent =
            headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
        let portal = &state.settings.portal;
        let mut visitor = Self {
            csrf: state.keys.portal_hash(Label::Csrf, &cookie),
            cookie,
            fresh,
            session: None,
            signed_in: None,
            address,
            agent: agent.chars().filter(|c| !c.is_control()).take(200).collect(),
            sandbox: state.settings.sandbox && portal.spool().is_some(),
        };
        if !fresh {
            visitor.find_session(state).await?;
        }
        Ok(visitor)
    }

    async fn find_session(&mut self, state: &State) -> Result<(), PortalError> {
        let (now, portal) = (state.clock.now(), &state.settings.portal);
        let hash = state.keys.portal_hash(Label::Session, &self.cookie);
        let mut reader = state.database.read().await?;
        let mut db = reader.db();
        let Some(session) = sessions::find(&mut db, &hash).await? else { return Ok(()) };
        if now - session.seen_at > portal.session_idle || now - session.created_at > portal.session_lifetime {
            return Ok(());
        }
        let Some(account) = accounts::find(&mut db, &session.account).await? else { return Ok(()) };
        if account.status != AccountStatus::Active {
            return Ok(());
        }
        // Whoever sets up a second factor is asked for it everywhere: sessions that never showed one are over.
        if !session.pending && (session.second_factor || !account.has_second_factor()) {
            let roles = granted_roles::of_account(&mut db, &account.id).await?;
            let catalogue = &portal.catalogue;
            let counts = |one: &HeldRole| {
                session.second_factor || catalogue.role(&one.role).is_none_or(|role| !role.second_factor)
            };
            let held: Vec<HeldRole> = roles.iter().map(GrantedRole::held).filter(counts).collect();
            let for_agency = catalogue.acts_for_agency(&held);
            let reviews = for_agency || held.iter().any(|one| !catalogue.decided_by(&one.role).is_empty());
            let administers = state.settings.administered(&held);
            self.signed_in = Some(SignedIn { account, roles, held, for_agency, reviews, administers });
        }
        drop(reader);
        if now - session.seen_at > TOUCH_EVERY {
            let mut work = state.database.begin().await?;
            sessions::touch(&mut work.db(), &hash, now).await?;
            work.commit().await?;
        }
        self.session = Some(session);
        Ok(())
    }

    /// Whether somebody is signed in.
    pub(crate) const fn is_signed_in(&self) -> bool {
        self.signed_in.is_some()
    }

    /// The name of who is signed in.
    pub(crate) fn name(&self) -> &str {
        self.signed_in.as_ref().map_or("", |one| &one.account.user_name)
    }

    /// Who is signed in, or the way to sign in.
    pub(crate) fn require(&self) -> Result<&SignedIn, PortalError> {
        self.signed_in.as_ref().ok_or(PortalError::SignInFirst)
    }

    /// Who is signed in and reviews something. Others are told that there is no such page.
    pub(crate) fn require_reviewer(&self) -> Result<&SignedIn, PortalError> {
        let signed_in = self.require()?;
        if signed_in.reviews { Ok(signed_in) } else { Err(PortalError::NotFound) }
    }

    /// The entries of the menu.
    pub(crate) fn menu(&self) -> Vec<(&'static str, &'static str)> {
        let mut menu = Vec::new();
        if let Some(one) = &self.signed_in {
            menu.push(("/portal/access", "Manage access"));
            menu.push(("/portal/requests/new", "Request access"));
            menu.push(("/portal/requests", "Track my requests"));
            menu.push(("/portal/clients", "API clients"));
            if one.reviews {
                menu.push(("/portal/review", "Reviews"));
                menu.push(("/portal/people", "People"));
            }
            if one.for_agency || !one.administers.is_empty() {
                menu.push(("/portal/expiring", "Expiring credentials"));
                menu.push(("/portal/notifications", "Notifications"));
            }
            if one.for_agency {
                menu.push(("/portal/audit", "Audit trail"));
            }
            menu.push(("/portal/organisations", "Organisations"));
            menu.push(("/portal/account", "Account"));
        } else {
            menu.push(("/portal/organisations", "Organisations"));
            menu.push(("/portal/register", "Create account"));
            menu.push(("/portal/sign-in", "Sign in"));
        }
        menu
    }

    /// A new cookie in place of the present one; its hash for the database.
    pub(crate) fn renew(&mut self, state: &State) -> Result<String, UseCaseError> {
        self.cookie = hex::encode(entropy::<32>()?);
        self.csrf = state.keys.portal_hash(Label::Csrf, &self.cookie);
        self.fresh = true;
        Ok(state.keys.portal_hash(Label::Session, &self.cookie))
    }

    /// The answer with the cookie, when the browser does not have it yet.
    pub(crate) fn with_cookie(&self, mut response: Response) -> Response {
        if self.fresh
            && let Ok(value) = HeaderValue::from_str(&format!(
                "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax",
                self.cookie
            ))
        {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    }

    /// Whether a form comes from a page of ours: the hash of the cookie, and no other site by the browser's word.
    pub(crate) fn check_form(
        &self,
        state: &State,
        headers: &HeaderMap,
        token: &str,
    ) -> Result<(), PortalError> {
        let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
        let elsewhere = site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
        if self.fresh || elsewhere || !state.keys.portal_hash_is(Label::Csrf, &self.cookie, token) {
            return Err(PortalError::StaleForm);
        }
        Ok(())
    }
}

fn cookie_of(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned())
        .filter(|value| value.len() == COOKIE_LENGTH && value.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn address_of(parts: &Parts) -> IpAddr {
    parts.extensions.get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.address.ip())
}

impl FromRequestParts<Arc<State>> for Visitor {
    type Rejection = PortalError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, PortalError> {
        Self::read(state, &parts.headers, address_of(parts)).await
    }
}

/// A form that comes from a page of ours.
pub(crate) struct Posted {
    pub(crate) visitor: Visitor,
    pub(crate) fields: Fields,
}

impl FromRequest<Arc<State>> for Posted {
    type Rejection = PortalError;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, PortalError> {
        let (parts, body) = request.into_parts();
        let visitor = Visitor::read(state, &parts.headers, address_of(&parts)).await?;
        let bytes = to_bytes(body, MAX_FORM).await.map_err(|_| PortalError::TooLarge)?;
        let fields = Fields::parse(&bytes);
        visitor.check_form(state, &parts.headers, fields.get("csrf"))?;
        Ok(Self { visitor, fields })
    }
}

/// A file in a form.
#[derive(Debug)]
pub(crate) enum Upload {
    /// No file was chosen.
    None,
    /// A file that the limit allows.
    File {
        /// Its name, as the browser has it.
        name: String,
        /// Its content.
        bytes: Bytes,
    },
    /// A file beyond the limit. What follows it in the form is not known.
    TooLarge,
}

/// Takes the rest of a body and forgets it: a browser that cannot send what it began to send shows no answer. There is a
/// limit to that, in bytes and in time.
async fn read_away(mut body: BodyDataStream) {
    let reading = async {
        let mut rest = MAX_READ_AWAY;
        while let Some(Ok(chunk)) = body.next().await {
            rest = rest.saturating_sub(chunk.len());
            if rest == 0 {
                return;
            }
        }
    };
    // However it ends, the answer is the same.
    let _ = tokio::time::timeout(READING_AWAY, reading).await;
}

/// A form that comes from a page of ours, perhaps with a file. It is read for those who are signed in only.
pub(crate) struct PostedFile {
    pub(crate) visitor: Visitor,
    pub(crate) fields: Fields,
    pub(crate) file: Upload,
}

impl FromRequest<Arc<State>> for PostedFile {
    type Rejection = PortalError;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, PortalError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let Ok(boundary) = multer::parse_boundary(kind.unwrap_or_default()) else {
            let Posted { visitor, fields } = Posted::from_request(request, state).await?;
            return Ok(Self { visitor, fields, file: Upload::None });
        };
        let (parts, body) = request.into_parts();
        let visitor = Visitor::read(state, &parts.headers, address_of(&parts)).await?;
        visitor.require()?;
        let (limit, around) = (state.settings.portal.document_limit, MAX_FORM as u64);
        let limits = Constraints::new().size_limit(
            SizeLimit::new().whole_stream(limit + around).per_field(around).for_field("file", limit + 1),
        );
        let mut body = body.into_data_stream();
        let mut form = Multipart::with_constraints(&mut body, boundary, limits);
        let (mut fields, mut file, mut checked) = (Fields::default(), Upload::None, false);
        while let Some(field) = form.next_field().await.map_err(|_| PortalError::TooLarge)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == "file" {
                // The hash stands first in our forms: a file of somebody else is not read to its end.
                if !checked {
                    return Err(PortalError::StaleForm);
                }
                let file_name = field.file_name().unwrap_or_default().to_owned();
                match field.bytes().await {
                    // Browsers send an empty part where nothing was chosen.
                    Ok(bytes) if bytes.is_empty() && file_name.is_empty() => {}
                    Ok(bytes) => file = Upload::File { name: file_name, bytes },
                    Err(_) => {
                        file = Upload::TooLarge;
                        break;
                    }
                }
                continue;
            }
            let value = field.text().await.map_err(|_| PortalError::TooLarge)?;
            if name == "csrf" {
                visitor.check_form(state, &parts.headers, &value)?;
                checked = true;
            }
            fields.push(&name, value);
        }
        if !checked {
            return Err(PortalError::StaleForm);
        }
        if matches!(file, Upload::TooLarge) {
            drop(form);
            read_away(body).await;
        }
        Ok(Self { visitor, fields, file })
    }
}
