//! Asking for access in four steps: application, organisation, roles, recap. Each step is kept as a draft, so that
//! going back, reloading and coming back later lose nothing.

use std::sync::Arc;

use authz_domain::{AccessRequest, OrganisationCategory, RequestState, Route};
use authz_store::{organisations, organisations::OrganisationQuery};
use axum::{
    extract::{Path, RawQuery, State as Extract},
    response::Response,
};
use pms_terms::OrganisationId;

use super::{
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind},
    page::{Block, Cell, Page, Step, Table, see_other},
    visitor::{Posted, SignedIn, Visitor},
};
use crate::{
    state::State,
    use_cases::{RequestPlan, UseCases},
};

/// Organisations on one page.
const SHOWN: i64 = 30;
/// Characters of a comment.
const MAX_COMMENT: usize = 2000;
/// Languages of translators: the official ones of the Union, with Icelandic and Norwegian.
const LANGUAGES: [(&str, &str); 26] = [
    ("bg", "Bulgarian"),
    ("cs", "Czech"),
    ("da", "Danish"),
    ("de", "German"),
    ("el", "Greek"),
    ("en", "English"),
    ("es", "Spanish"),
    ("et", "Estonian"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("ga", "Irish"),
    ("hr", "Croatian"),
    ("hu", "Hungarian"),
    ("is", "Icelandic"),
    ("it", "Italian"),
    ("lt", "Lithuanian"),
    ("lv", "Latvian"),
    ("mt", "Maltese"),
    ("nl", "Dutch"),
    ("no", "Norwegian"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("sk", "Slovak"),
    ("sl", "Slovenian"),
    ("sv", "Swedish"),
];

fn steps(now: usize, id: &str) -> Vec<Step> {
    let labels = ["Application", "Organisation", "Roles", "Recap and submit"];
    let paths = [
        "/portal/requests/new".to_owned(),
        format!("/portal/requests/{id}/organisation"),
        format!("/portal/requests/{id}/roles"),
        String::new(),
    ];
    labels
        .into_iter()
        .zip(paths)
        .enumerate()
        .map(|(n, (label, path))| {
            let state = match n.cmp(&now) {
                std::cmp::Ordering::Less => "done",
                std::cmp::Ordering::Equal => "now",
                std::cmp::Ordering::Greater => "later",
            };
            Step { label, state, href: path }
        })
        .collect()
}

/// A draft of who is signed in.
async fn draft(state: &Arc<State>, one: &SignedIn, id: &str) -> Result<RequestPlan, PortalError> {
    let plan = UseCases::of(Arc::clone(state)).plan_request(&one.account, id).await?;
    plan.filter(|plan| plan.request.state == RequestState::Draft).ok_or(PortalError::NotFound)
}

/// Changes a draft of who is signed in.
async fn change(
    state: &Arc<State>,
    one: &SignedIn,
    id: &str,
    change: impl FnOnce(&mut AccessRequest) + Send,
) -> Result<AccessRequest, PortalError> {
    let changed = UseCases::of(Arc::clone(state)).change_draft(&one.account.id, id, change).await?;
    changed.ok_or(PortalError::NotFound)
}

fn application_page(state: &State, errors: &Errors) -> Page {
    let mut field = Field::new(Kind::Radios, "application", "Application");
    for one in state.settings.portal.catalogue.offered() {
        field = field.choice(one.id.clone(), one.title.clone(), one.summary.clone(), false);
    }
    Page::new("Request access").steps(steps(0, "")).form(Form::post(
        "/portal/requests/new",
        vec![field.with_error(errors)],
        vec![Button::main("Next: organisation")],
    ))
}

/// `GET /portal/requests/new`
pub(crate) async fn application(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    visitor.require()?;
    Ok(application_page(&state, &Errors::default()).show(&visitor))
}

/// `POST /portal/requests/new`
pub(crate) async fn begin(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let (catalogue, wanted) = (&state.settings.portal.catalogue, fields.get("application"));
    if !catalogue.offered().any(|application| application.id == wanted) {
        return Ok(
            application_page(&state, &Errors::of("application", "Choose an application.")).show(&visitor)
        );
    }
    let id = UseCases::of(Arc::clone(&state)).begin_request(&one.account.id, wanted).await?;
    let next = if catalogue.categories_of(wanted).is_empty() { "roles" } else { "organisation" };
    Ok(see_other(&visitor, &format!("/portal/requests/{id}/{next}")))
}

/// `GET /portal/requests/{id}/organisation`
pub(crate) async fn organisation(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let plan = draft(&state, visitor.require()?, &id).await?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let application = state.settings.portal.catalogue.application(&plan.request.application);
    let mut page = Page::new("Your organisation").steps(steps(1, &id));
    if let Some(chosen) = &plan.organisation {
        page = page.block(Block::note("Chosen so far", format!("{} ({})", chosen.name, chosen.id))).block(
            Block::Links(vec![(
                format!("/portal/requests/{id}/roles"),
                "Keep it and go on".to_owned(),
                String::new(),
            )]),
        );
    }
    let page = if application.is_some_and(|one| one.by_network) {
        by_network(&state, &plan, page, &query).await?
    } else {
        by_name(&state, &plan, page, &query).await?
    };
    Ok(page.show(&visitor))
}

async fn by_name(state: &State, plan: &RequestPlan, page: Page, query: &Fields) -> Result<Page, PortalError> {
    let id = &plan.request.id;
    let field =
        Field::new(Kind::Search, "q", "Part of the name, ORG-ID or LOC-ID").typed(query, &Errors::default());
    let page = page.form(Form::search(format!("/portal/requests/{id}/organisation"), vec![field]));
    if !query.has("q") {
        return Ok(page);
    }
    let categories = state.settings.portal.catalogue.categories_of(&plan.request.application);
    let wanted =
        OrganisationQuery { text: query.get("q"), categories: &categories, ..OrganisationQuery::default() };
    choose_table(state, id, page, &wanted).await
}

/// A table of organisations, each with a button that chooses it.
async fn choose_table(
    state: &State,
    id: &str,
    page: Page,
    wanted: &OrganisationQuery<'_>,
) -> Result<Page, PortalError> {
    let mut reader = state.database.read().await?;
    let found = organisations::search(&mut reader.db(), wanted, SHOWN).await?;
    let rows = found
        .into_iter()
        .map(|one| {
            let button = Button::other(format!("Choose {}", one.id), "choose");
            let which = vec![Field::hidden("organisation", one.id.to_string())];
            vec![
                Cell::text(one.name),
                Cell::text(one.country),
                Cell::text(one.locations.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
                Cell::Form(Form::button(format!("/portal/requests/{id}/organisation"), which, button)),
            ]
        })
        .collect();
    Ok(page.block(Block::Table(Table {
        caption: "Organisations".to_owned(),
        head: vec!["Name", "Country", "Locations", ""],
        rows,
        empty: "Nothing fits. Try a shorter part of the name, or look under Organisations.",
    })))
}

/// Network, then country, then centre (seed 003 §4.3).
async fn by_network(
    state: &State,
    plan: &RequestPlan,
    page: Page,
    query: &Fields,
) -> Result<Page, PortalError> {
    let base = format!("/portal/requests/{}/organisation", plan.request.id);
    let mut reader = state.database.read().await?;
    let Ok(network) = query.get("network").parse::<OrganisationId>() else {
        let wanted = OrganisationQuery {
            categories: &[OrganisationCategory::Network],
            ..OrganisationQuery::default()
        };
        let networks = organisations::search(&mut reader.db(), &wanted, SHOWN).await?;
        let links = networks
            .into_iter()
            .map(|one| (format!("{base}?network={}", one.id), format!("Open {}", one.name), String::new()))
            .collect();
        return Ok(page.block(Block::Heading("Network".to_owned())).block(Block::Links(links)));
    };
    if !query.has("country") {
        let countries = organisations::countries(&mut reader.db(), Some(&network)).await?;
        let mut links: Vec<_> = countries
            .into_iter()
            .map(|code| {
                (format!("{base}?network={network}&country={code}"), format!("Open {code}"), String::new())
            })
            .collect();
        links.push((format!("{base}?network={network}&country="), "All countries".to_owned(), String::new()));
        let page = page.block(Block::Heading("Country".to_owned())).block(Block::Links(links));
        let itself = vec![Field::hidden("organisation", network.to_string())];
        let button = Button::other("Choose the network itself (coordinators)", "choose");
        return Ok(page.form(Form::button(base, itself, button)));
    }
    drop(reader);
    let wanted = OrganisationQuery {
        country: query.get("country"),
        parent: Some(&network),
        ..OrganisationQuery::default()
    };
    choose_table(state, &plan.request.id, page.block(Block::Heading("Centre".to_owned())), &wanted).await
}

/// `POST /portal/requests/{id}/organisation`
pub(crate) async fn choose(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let wanted: OrganisationId = fields.get("organisation").parse().map_err(|_| PortalError::NotFound)?;
    let mut reader = state.database.read().await?;
    let found = organisations::find(&mut reader.db(), &wanted).await?.ok_or(PortalError::NotFound)?;
    drop(reader);
    change(&state, one, &id, |request| {
        if request.organisation.as_ref() != Some(&found.id) {
            request.roles.clear();
            request.waiver_asked = false;
        }
        request.organisation = Some(found.id);
    })
    .await?;
    Ok(see_other(&visitor, &format!("/portal/requests/{id}/roles")))
}

fn roles_page(state: &State, plan: &RequestPlan, fields: &Fields, errors: &Errors) -> Page {
    let (catalogue, request) = (&state.settings.portal.catalogue, &plan.request);
    let fitting = || {
        catalogue
            .roles_of(&request.application)
            .filter(|role| role.admits(plan.organisation.as_ref()).is_ok())
    };
    let mut field = Field::new(Kind::Ticks, "role", "Roles").hint("You can choose several.");
    for role in fitting() {
        let mut hint = role.summary.clone();
        if let Some(document) = &role.document {
            let when = if role.document_for_first_only { " (for the first of an organisation)" } else { "" };
            hint = format!("{hint} Needs: {document}{when}.");
        }
        if role.second_factor {
            hint.push_str(" Needs a second factor.");
        }
        field = field.choice(role.id.clone(), role.title.clone(), hint, request.roles.contains(&role.id));
    }
    let mut all = vec![field.typed(fields, errors)];
    if fitting().any(|role| role.language) {
        let mut language =
            Field::new(Kind::Select, "language", "Language of your translations (translators only)")
                .choice("", "None", "", request.language.is_none())
                .optional();
        for (code, name) in LANGUAGES {
            language = language.choice(code, name, "", request.language.as_deref() == Some(code));
        }
        all.push(language.typed(fields, errors));
    }
    let mut page = Page::new("Roles").steps(steps(2, &request.id));
    if let Some(organisation) = &plan.organisation {
        page = page.block(Block::Facts(vec![(
            "Organisation".to_owned(),
            format!("{} ({})", organisation.name, organisation.id),
        )]));
    }
    if let Some(advice) = catalogue.application(&request.application).and_then(|one| one.advice.clone()) {
        page = page.block(Block::note("Good to know", advice));
    }
    if fitting().next().is_none() {
        return page.text("None of this application's roles is for this kind of organisation. Go back and choose another one.");
    }
    page.form(Form::post(
        format!("/portal/requests/{}/roles", request.id),
        all,
        vec![Button::main("Next: recap")],
    ))
}

/// `GET /portal/requests/{id}/roles`
pub(crate) async fn roles(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let plan = draft(&state, visitor.require()?, &id).await?;
    let needs_organisation =
        !state.settings.portal.catalogue.categories_of(&plan.request.application).is_empty();
    if needs_organisation && plan.organisation.is_none() {
        return Ok(see_other(&visitor, &format!("/portal/requests/{id}/organisation")));
    }
    Ok(roles_page(&state, &plan, &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/requests/{id}/roles`
pub(crate) async fn fill_cart(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let known = |role: &String| state.settings.portal.catalogue.role(role).is_some();
    let mut wanted: Vec<String> = fields.all("role").into_iter().filter(known).collect();
    wanted.sort();
    wanted.dedup();
    let language = LANGUAGES
        .iter()
        .map(|(code, _)| *code)
        .find(|code| *code == fields.get("language"))
        .map(str::to_owned);
    change(&state, one, &id, |request| {
        if request.roles != wanted {
            request.waiver_asked = false;
        }
        request.roles = wanted;
        request.language = language;
    })
    .await?;
    let plan = draft(&state, one, &id).await?;
    let mut errors = Errors::default();
    if plan.roles.is_empty() {
        errors.add("role", "Choose at least one role.");
    }
    for planned in &plan.roles {
        match (&planned.refused, &planned.route) {
            (Some(authz_domain::NotOffered::LanguageMissing), _) => {
                errors.add("language", "Choose the language of your translations.");
            }
            (Some(refused), _) => errors.add("role", refused),
            (None, _) if planned.held => {
                errors.add("role", format!("You hold the role {} already.", planned.role.title));
            }
            (None, Route::Refused(reason)) => {
                errors.add("role", format!("{}: {reason}.", planned.role.title));
            }
            (None, _) => {}
        }
    }
    if !errors.is_empty() {
        return Ok(roles_page(&state, &plan, &fields, &errors).show(&visitor));
    }
    let next = if plan.violations.is_empty() || plan.request.waiver_asked { "recap" } else { "violations" };
    Ok(see_other(&visitor, &format!("/portal/requests/{id}/{next}")))
}

/// `GET /portal/requests/{id}/violations`: three ways out.
pub(crate) async fn violations(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let plan = draft(&state, visitor.require()?, &id).await?;
    if plan.violations.is_empty() {
        return Ok(see_other(&visitor, &format!("/portal/requests/{id}/recap")));
    }
    let catalogue = &state.settings.portal.catalogue;
    let title = |role: &str| catalogue.role(role).map_or_else(|| role.to_owned(), |role| role.title.clone());
    let lines = plan.violations.iter().map(|broken| {
        let against = if broken.against_held { "which you hold" } else { "which you also ask for" };
        format!(
            "{} {} does not go with {}, {against}.",
            broken.rule,
            title(&broken.wanted),
            title(&broken.against)
        )
    });
    let mut buttons: Vec<Button> = plan
        .roles
        .iter()
        .map(|one| Button::other(format!("Remove {}", one.role.title), format!("remove {}", one.role.id)))
        .collect();
    let waivable = plan.violations.iter().all(|broken| broken.waivable);
    if waivable {
        buttons.push(Button::other("Go on with the violation", "waive"));
    }
    buttons.push(Button::danger("Cancel the request", "cancel"));
    let mut page = Page::new("These roles exclude each other").steps(steps(2, &id)).block(Block::Notice {
        look: "bad",
        title: "A rule is broken".to_owned(),
        text: lines.collect(),
    });
    page = page.text(if waivable {
        "You can remove a role, go on and let the reviewer decide, or cancel."
    } else {
        "This rule cannot be waived. You can remove a role or cancel."
    });
    Ok(page.form(Form::post(format!("/portal/requests/{id}/violations"), Vec::new(), buttons)).show(&visitor))
}

/// `POST /portal/requests/{id}/violations`
pub(crate) async fn settle(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let act = fields.get("do");
    if act == "cancel" {
        UseCases::of(Arc::clone(&state)).withdraw_request(&one.account, &id).await?;
        return Ok(see_other(&visitor, "/portal/requests"));
    }
    let plan = draft(&state, one, &id).await?;
    if act == "waive" && plan.violations.iter().all(|broken| broken.waivable) {
        change(&state, one, &id, |request| request.waiver_asked = true).await?;
    } else if let Some(role) = act.strip_prefix("remove ") {
        change(&state, one, &id, |request| request.roles.retain(|other| other != role)).await?;
    }
    let plan = draft(&state, one, &id).await?;
    let next = if plan.request.roles.is_empty() {
        "roles"
    } else if plan.violations.is_empty() || plan.request.waiver_asked {
        "recap"
    } else {
        "violations"
    };
    Ok(see_other(&visitor, &format!("/portal/requests/{id}/{next}")))
}

/// The recap, also for the upload of documents to come back to.
pub(super) fn recap_page(state: &Arc<State>, plan: &RequestPlan, fields: &Fields, errors: &Errors) -> Page {
    let request = &plan.request;
    let (id, catalogue) = (&request.id, &state.settings.portal.catalogue);
    let application = catalogue.application(&request.application).map_or("", |one| one.title.as_str());
    let mut facts = vec![("Application".to_owned(), application.to_owned())];
    if let Some(organisation) = &plan.organisation {
        facts.push(("Organisation".to_owned(), format!("{} ({})", organisation.name, organisation.id)));
    }
    if let Some(language) = &request.language {
        facts.push(("Language".to_owned(), language.clone()));
    }
    let rows = plan
        .roles
        .iter()
        .map(|one| {
            let who = match &one.route {
                Route::Automatic => "The system, at once".to_owned(),
                Route::Agency => "The agency".to_owned(),
                Route::Organisation => "An administrator of the organisation".to_owned(),
                Route::Refused(reason) => reason.clone(),
            };
            let which =
                Button::other(format!("Remove {}", one.role.title), format!("remove {}", one.role.id));
            vec![
                Cell::text(one.role.title.clone()),
                Cell::text(who),
                Cell::Form(Form::button(format!("/portal/requests/{id}/recap"), Vec::new(), which)),
            ]
        })
        .collect();
    let mut page = Page::new("Recap and submit").steps(steps(3, id)).block(Block::Facts(facts)).block(
        Block::Table(Table {
            caption: "Roles in your request".to_owned(),
            head: vec!["Role", "Who decides", ""],
            rows,
            empty: "There is no role in your request: go back one step.",
        }),
    );
    if request.waiver_asked && !plan.violations.is_empty() {
        let lines = plan.violations.iter().map(|broken| broken.rule.clone()).collect();
        page = page.block(Block::Notice {
            look: "note",
            title: "You go on with a violation; the reviewer sees it".to_owned(),
            text: lines,
        });
    }
    page = page.blocks(document_blocks(plan, errors));
    let mut all = vec![
        Field::new(Kind::Area, "comment", "Comment")
            .value(request.comment.clone())
            .optional()
            .typed(fields, errors),
    ];
    for terms in plan.needed_terms().into_iter().filter_map(|terms| catalogue.terms(terms)) {
        let label = format!("I accept: {} (version {})", terms.title, terms.version);
        all.push(
            Field::new(Kind::Tick, "terms", label)
                .hint(format!("Read them at /portal/terms/{}", terms.id))
                .typed(fields, errors),
        );
    }
    let buttons = vec![
        Button { value: "submit".to_owned(), ..Button::main("Submit request") },
        Button::other("Keep as draft", "keep"),
        Button::danger("Cancel the request", "cancel"),
    ];
    page.block(Block::Heading("Submit".to_owned())).form(Form::post(
        format!("/portal/requests/{id}/recap"),
        all,
        buttons,
    ))
}

/// The documents of a request, and the form for another one.
pub(super) fn document_blocks(plan: &RequestPlan, errors: &Errors) -> Vec<Block> {
    let id = &plan.request.id;
    let needed = plan.needed_documents();
    let mut blocks = vec![Block::Heading("Documents".to_owned())];
    let rows = plan
        .documents
        .iter()
        .map(|one| {
            let which = vec![Field::hidden("document", one.id.clone())];
            let button = Button::other(format!("Remove {}", one.file_name), "remove-document");
            let last = if plan.request.state == RequestState::Draft {
                Cell::Form(Form::button(format!("/portal/requests/{id}/recap"), which, button))
            } else {
                Cell::text("")
            };
            vec![
                Cell::text(one.file_name.clone()),
                Cell::text(format!("{} kB", one.bytes.div_euclid(1024) + 1)),
                last,
            ]
        })
        .collect::<Vec<_>>();
    if !rows.is_empty() {
        let head = vec!["File", "Size", ""];
        blocks.push(Block::Table(Table { caption: "Attached".to_owned(), head, rows, empty: "" }));
    }
    let label =
        if needed.is_empty() { "Document (PDF)".to_owned() } else { format!("{} (PDF)", needed.join(", ")) };
    let mut field = Field::new(Kind::File, "file", label)
        .hint("At most 10 MB. Only reviewers of your request can read it.")
        .with_error(errors);
    field.required = !needed.is_empty() && plan.documents.is_empty();
    let form = Form::post(
        format!("/portal/requests/{id}/documents"),
        vec![field],
        vec![Button::other("Attach", "attach")],
    );
    blocks.push(Block::Form(form.with_files()));
    blocks
}

/// `GET /portal/requests/{id}/recap`
pub(crate) async fn recap(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let plan = draft(&state, visitor.require()?, &id).await?;
    if plan.roles.is_empty() {
        return Ok(see_other(&visitor, &format!("/portal/requests/{id}/roles")));
    }
    Ok(recap_page(&state, &plan, &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/requests/{id}/recap`
pub(crate) async fn submit(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let acts = UseCases::of(Arc::clone(&state));
    let here = format!("/portal/requests/{id}/recap");
    match fields.get("do") {
        "remove-document" => {
            acts.remove_document(&one.account.id, &id, fields.get("document")).await?;
            return Ok(see_other(&visitor, &here));
        }
        "cancel" => {
            if !acts.withdraw_request(&one.account, &id).await? {
                return Err(PortalError::NotFound);
            }
            return Ok(see_other(&visitor, "/portal/requests"));
        }
        act => {
            if let Some(role) = act.strip_prefix("remove ") {
                change(&state, one, &id, |request| request.roles.retain(|other| other != role)).await?;
                return Ok(see_other(&visitor, &here));
            }
        }
    }
    // The second of two submissions finds it handed in already, and shows where it stands.
    let plan = acts.plan_request(&one.account, &id).await?.ok_or(PortalError::NotFound)?;
    if plan.request.state != RequestState::Draft {
        return Ok(see_other(&visitor, &format!("/portal/requests/{id}")));
    }
    let comment = fields.get("comment").to_owned();
    if comment.chars().count() > MAX_COMMENT {
        let errors = Errors::of("comment", format!("Use at most {MAX_COMMENT} characters."));
        return Ok(recap_page(&state, &plan, &fields, &errors).show(&visitor));
    }
    change(&state, one, &id, |request| request.comment = comment).await?;
    if fields.get("do") == "keep" {
        return Ok(see_other(&visitor, "/portal/requests"));
    }
    match acts.submit_request(&one.account, &id, fields.has("terms")).await? {
        None => Ok(see_other(&visitor, &format!("/portal/requests/{id}"))),
        Some(Ok(submitted)) => {
            let names: Vec<String> =
                submitted.iter().filter_map(|request| request.number.map(|n| n.to_string())).collect();
            Ok(see_other(&visitor, &format!("/portal/requests?submitted={}", names.join("."))))
        }
        Some(Err(refused)) => {
            use crate::use_cases::SubmitRefused::{Document, Empty, NoOrganisation, Role, Terms, Violation};
            let field = match &refused {
                Document(_) => "file",
                Terms => "terms",
                Empty | NoOrganisation | Role(_) | Violation(_) => "comment",
            };
            let plan = draft(&state, one, &id).await?;
            Ok(recap_page(&state, &plan, &fields, &Errors::of(field, refused)).show(&visitor))
        }
    }
}
