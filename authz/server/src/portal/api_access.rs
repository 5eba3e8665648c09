//! "Manage access": what can be asked for; terms and forms for API credentials (EU IG PMS Chapter 1 §3.2.1, Annex B §2.3).

use std::sync::Arc;

use authz_domain::{AccessRole, Organisation, Terms};
use axum::{
    extract::{Path, State as Extract},
    response::Response,
};
use pms_terms::{Domain, Domains};

use super::{
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind},
    page::{Block, Page, link, see_other},
    visitor::{Posted, SignedIn, Visitor},
};
use crate::{
    state::State,
    use_cases::{ApiAccessForm, FieldRefused, OrganisationAdmins, Submitted, UseCases},
};

/// The one application of the form. The agency's form calls it so.
const APPLICATION: &str = "IRIS PLM";

/// `GET /portal/access`
pub(crate) async fn overview(visitor: Visitor) -> Result<Response, PortalError> {
    visitor.require()?;
    Ok(Page::new("Manage access")
        .block(Block::Links(vec![
            link(
                "/portal/requests/new",
                "Request access",
                "Choose an application, your organisation and a role.",
            ),
            link(
                "/portal/api-access",
                "Request API access",
                "Credentials for a machine of your organisation: for its IRIS / PLM Admins.",
            ),
            link(
                "/portal/public-api-access",
                "Request Public API access PMS",
                "Credentials for a machine that reads public data: for everybody.",
            ),
            link("/portal/clients", "API clients", "Secrets, expiration dates, settings to copy, rotation."),
            link(
                "/portal/api-services",
                "Request SPOR API Services",
                "The Service-Desk form: renewal of API secret credentials.",
            ),
            link("/portal/requests", "Track my requests", "Where your requests stand, and who decides."),
        ]))
        .show(&visitor))
}

/// The two ways to ask, each with terms of its own.
struct Asking {
    for_organisations: bool,
    path: &'static str,
    intro: &'static str,
}

const FOR_ORGANISATIONS: Asking = Asking {
    for_organisations: true,
    path: "/portal/api-access",
    intro: "Request API access: credentials for a machine of your organisation.",
};
const FOR_EVERYBODY: Asking = Asking {
    for_organisations: false,
    path: "/portal/public-api-access",
    intro: "Request Public API access PMS: credentials for a machine that reads public data.",
};

impl Asking {
    /// A role that is asked for so, and the terms that it needs.
    fn role<'s>(&self, state: &'s State) -> Result<(&'s AccessRole, &'s Terms), PortalError> {
        let catalogue = &state.settings.portal.catalogue;
        let role = catalogue.issuing(self.for_organisations).next().ok_or(PortalError::NotFound)?;
        let terms = role.terms.as_deref().and_then(|id| catalogue.terms(id)).ok_or(PortalError::NotFound)?;
        Ok((role, terms))
    }

    /// The page with the terms.
    fn page(&self, terms: &Terms, fields: &Fields, errors: &Errors) -> Page {
        let agreement = Field::new(Kind::Tick, "terms", "User agreement")
            .hint(format!(
                "By checking the User Agreement, you acknowledge that you have read and understood {}.",
                terms.title
            ))
            .typed(fields, errors);
        Page::new("EMA - API Approve ToC")
            .text(self.intro)
            .block(Block::Heading(terms.title.clone()))
            .text(
                "The use of the API is subject of specific Terms and Conditions. Please check the user agreement below \
                 to acknowledge that you have read and understood them.",
            )
            .blocks(terms.text.split("\n\n").map(|text| Block::text(text.trim())))
            .text(format!("Version {}", terms.version))
            .form(Form::post(
                self.path,
                vec![agreement],
                vec![Button::main("Next"), Button::other("Cancel", "cancel")],
            ))
    }
}

/// For who is no Admin: who the Admins are.
fn no_admin_page(admins: &[OrganisationAdmins]) -> Page {
    let mut page = Page::new("Request API access").block(Block::note(
        "You are no Admin of an organisation",
        "API credentials are requested by an IRIS / PLM Industry Admin or NCA Admin of the organisation.",
    ));
    for one in admins {
        let name = format!("{} ({})", one.organisation.name, one.organisation.id);
        page = page.block(Block::Heading(name));
        page = if one.admins.is_empty() {
            page.text("It has no Admin yet.")
        } else {
            page.text("Its Admins are:")
                .block(Block::List(one.admins.iter().map(authz_domain::Account::full_name).collect()))
        };
    }
    page.block(Block::Links(vec![
        link(
            "/portal/requests/new",
            "Request the Admin role",
            "Choose IRIS / PLM, your organisation and the role.",
        ),
        link(
            "/portal/public-api-access",
            "Request Public API access PMS",
            "Public data need no organisation.",
        ),
    ]))
}

/// `GET /portal/api-access`
pub(crate) async fn terms(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let acts = UseCases::of(Arc::clone(&state));
    if acts.organisations_for_api(&one.held).await?.is_empty() {
        return Ok(no_admin_page(&acts.admins_for(&one.held).await?).show(&visitor));
    }
    let (_, terms) = FOR_ORGANISATIONS.role(&state)?;
    Ok(FOR_ORGANISATIONS.page(terms, &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/api-access`
pub(crate) async fn accept(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    if fields.get("do") == "cancel" {
        return Ok(see_other(&visitor, "/portal/access"));
    }
    let acts = UseCases::of(Arc::clone(&state));
    if acts.organisations_for_api(&one.held).await?.is_empty() {
        return Ok(see_other(&visitor, "/portal/api-access"));
    }
    let (_, terms) = FOR_ORGANISATIONS.role(&state)?;
    if !fields.has("terms") {
        return Ok(FOR_ORGANISATIONS.page(terms, &fields, &Errors::of("terms", AGREE)).show(&visitor));
    }
    let request = acts.accept_terms(&one.account, &terms.id).await?;
    Ok(see_other(&visitor, &format!("/portal/api-access/{request}")))
}

const AGREE: &str = "Check the user agreement to go on.";

fn form_page(
    state: &State,
    one: &SignedIn,
    id: &str,
    organisations: &[Organisation],
    fields: &Fields,
    errors: &Errors,
) -> Page {
    let application = Field::new(Kind::Select, "application", "1. Select your Application")
        .choice(APPLICATION, APPLICATION, "", true)
        .with_error(errors);
    let mut organisation = Field::new(Kind::Select, "organisation", "2. Select Organisation").hint(
        "In case you cannot find your organisation in the list, please verify that you have an Admin role for it.",
    );
    for place in organisations {
        let name = format!("{} {}", place.id, place.name);
        organisation = organisation.choice(place.id.to_string(), name, "", false);
    }
    let contact = Field::new(Kind::Email, "contact", "3. Provide an API Technical contact email")
        .hint(
            "Email that will be used to send notification about the API account including the initial notification \
             with Client ID and Secret",
        )
        .autocomplete("email")
        .value(one.account.email.as_str())
        .typed(fields, errors);
    let mut role = Field::new(Kind::Radios, "role", "4. Select the right API role");
    for known in state.settings.portal.catalogue.issuing(true) {
        let fits = |place: &Organisation| known.admits(Some(place)).is_ok();
        let only = organisations.iter().all(fits);
        role = role.choice(known.id.clone(), known.title.clone(), known.summary.clone(), only);
    }
    let label = Field::new(Kind::Text, "label", "Name of the client")
        .optional()
        .hint("To tell several clients of your organisation apart, such as: nightly export.")
        .typed(fields, errors);
    let qualified = Field::new(Kind::Tick, "qualified", "Qualified")
        .optional()
        .hint("The client sees commercially confidential data of your organisation's own products.")
        .typed(fields, errors);
    let domain = Field::new(Kind::Ticks, "domain", "Products that the client sees")
        .choice(Domain::Human.as_str(), "Human", "", true)
        .choice(Domain::Veterinary.as_str(), "Veterinary", "", true)
        .typed(fields, errors);
    let access = Field::new(Kind::Radios, "access", "What the client may do")
        .choice("all", "Everything that the role may do", "", true)
        .choice("read", "Read and search only", "", false)
        .choice("scope", "Only what the scope below says", "", false)
        .typed(fields, errors);
    let scope = Field::new(Kind::Text, "scope", "Narrower scope")
        .optional()
        .hint(
            "For the last choice: SMART scopes, parted by spaces, such as system/MedicinalProductDefinition.rs to read \
             and search products and nothing that belongs to them.",
        )
        .typed(fields, errors);
    let fields = vec![
        application,
        organisation.typed(fields, errors),
        contact,
        role.typed(fields, errors),
        label,
        qualified,
        domain,
        access,
        scope,
    ];
    Page::new("Request API access")
        .text(
            "Once the request is processed an email will be sent to the API Technical contact email containing the \
             Client Credentials and instructions on how to consume the API. Please remember to rotate the client \
             credentials before their expiration.",
        )
        .form(Form::post(
            format!("/portal/api-access/{id}"),
            fields,
            vec![Button::main("Submit"), Button::other("Cancel", "cancel")],
        ))
}

/// `GET /portal/api-access/{id}`
pub(crate) async fn form(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let acts = UseCases::of(Arc::clone(&state));
    let (_, terms) = FOR_ORGANISATIONS.role(&state)?;
    let organisations = acts.organisations_for_api(&one.held).await?;
    if organisations.is_empty() || !acts.has_accepted(&one.account, &terms.id, &id).await? {
        return Ok(see_other(&visitor, "/portal/api-access"));
    }
    let (fields, errors) = (Fields::default(), Errors::default());
    Ok(form_page(&state, one, &id, &organisations, &fields, &errors).show(&visitor))
}

/// Reads and searches everything (SMART App Launch, scopes).
const READ_ONLY: &str = "system/*.rs";

/// The scope that the two fields about it say; empty for everything.
fn read_scope(fields: &Fields) -> Result<&str, FieldRefused> {
    let refused = |field, problem: &str| Err(FieldRefused { field, problem: problem.to_owned() });
    match (fields.get("access"), fields.get("scope")) {
        ("all", "") => Ok(""),
        ("read", "") => Ok(READ_ONLY),
        ("scope", "") => refused("scope", "Write the scope, such as system/MedicinalProductDefinition.rs."),
        ("scope", scope) => Ok(scope),
        ("all" | "read", _) => {
            refused("scope", "Leave this empty, or choose above: Only what the scope below says.")
        }
        _ => refused("access", "Choose what the client may do."),
    }
}

/// What the form says; or what is wrong with it at first sight.
fn read_form(state: &State, fields: &Fields) -> Result<ApiAccessForm, FieldRefused> {
    let refused = |field, problem: &str| Err(FieldRefused { field, problem: problem.to_owned() });
    if fields.get("application") != APPLICATION {
        return refused("application", "Choose the application.");
    }
    let role = fields.get("role");
    let mut offered = state.settings.portal.catalogue.issuing(FOR_ORGANISATIONS.for_organisations);
    if !offered.any(|one| one.id == role) {
        return refused("role", "Choose the API role.");
    }
    Ok(ApiAccessForm {
        role: role.to_owned(),
        organisation: fields.get("organisation").parse().ok(),
        contact: fields.get("contact").to_owned(),
        label: fields.get("label").to_owned(),
        qualified: fields.has("qualified"),
        domains: fields.all("domain").iter().filter_map(|word| word.parse::<Domain>().ok()).collect(),
        scope: read_scope(fields)?.to_owned(),
    })
}

/// `POST /portal/api-access/{id}`
pub(crate) async fn submit(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    if fields.get("do") == "cancel" {
        return Ok(see_other(&visitor, "/portal/access"));
    }
    let acts = UseCases::of(Arc::clone(&state));
    let refused = match read_form(&state, &fields) {
        Ok(form) => match acts.request_api_access(&one.account, &one.held, &id, form).await? {
            None => return Err(PortalError::NotFound),
            Some(Submitted::Request(request)) => return Ok(see_other(&visitor, &tracked(request.number))),
            Some(Submitted::NoTerms) => return Ok(see_other(&visitor, "/portal/api-access")),
            Some(Submitted::Refused(refused)) => refused,
        },
        Err(refused) => refused,
    };
    let organisations = acts.organisations_for_api(&one.held).await?;
    let errors = Errors::of(refused.field, refused.problem);
    Ok(form_page(&state, one, &id, &organisations, &fields, &errors).show(&visitor))
}

/// Where a request is tracked, with a word about it.
pub(super) fn tracked(number: Option<i64>) -> String {
    format!("/portal/requests?submitted={}", number.unwrap_or_default())
}

/// `GET /portal/public-api-access`
pub(crate) async fn public_terms(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    visitor.require()?;
    let (_, terms) = FOR_EVERYBODY.role(&state)?;
    Ok(FOR_EVERYBODY.page(terms, &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/public-api-access`
pub(crate) async fn public_submit(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    if fields.get("do") == "cancel" {
        return Ok(see_other(&visitor, "/portal/access"));
    }
    let acts = UseCases::of(Arc::clone(&state));
    let (role, terms) = FOR_EVERYBODY.role(&state)?;
    let show = |errors: Errors| FOR_EVERYBODY.page(terms, &fields, &errors).show(&visitor);
    if !fields.has("terms") {
        return Ok(show(Errors::of("terms", AGREE)));
    }
    let form = ApiAccessForm {
        role: role.id.clone(),
        contact: one.account.email.as_str().to_owned(),
        domains: Domains::BOTH,
        ..ApiAccessForm::default()
    };
    let id = acts.accept_terms(&one.account, &terms.id).await?;
    match acts.request_api_access(&one.account, &one.held, &id, form).await? {
        Some(Submitted::Request(request)) => Ok(see_other(&visitor, &tracked(request.number))),
        // There is one field on this page.
        Some(Submitted::Refused(refused)) => Ok(show(Errors::of("terms", refused.problem))),
        Some(Submitted::NoTerms) | None => Err(PortalError::NotFound),
    }
}
