//! Step 4: the recap. One form around the page: whatever button is pressed, comment, terms and file come with it and are
//! kept first.

use std::sync::Arc;

use authz_domain::{RequestState, Route};
use axum::{
    extract::{Path, RawQuery, State as Extract},
    response::Response,
};

use super::{KEEPING, change, draft, kept, step, step_page};
use crate::{
    portal::{
        documents::file_field,
        error::PortalError,
        form::{Button, Errors, Field, Fields, Kind},
        page::{Block, Cell, Page, Table, see_other},
        visitor::{PostedFile, SignedIn, Upload, Visitor},
    },
    state::State,
    use_cases::{DocumentRefused, RequestPlan, SubmitRefused, UseCases},
};

/// The query of a recap that was not handed in.
const REFUSED: &str = "refused";
/// Characters of a comment.
const MAX_COMMENT: usize = 2000;

fn page(state: &State, plan: &RequestPlan, fields: &Fields, errors: &Errors) -> Page {
    let request = &plan.request;
    let catalogue = &state.settings.portal.catalogue;
    let application = catalogue.application(&request.application).map_or("", |one| one.title.as_str());
    let mut facts = vec![("Application".to_owned(), application.to_owned())];
    if let Some(organisation) = &plan.organisation {
        facts.push(("Organisation".to_owned(), format!("{} ({})", organisation.name, organisation.id)));
    }
    if let Some(language) = &request.language {
        facts.push(("Language".to_owned(), language.clone()));
    }
    let mut page = step_page("Recap and submit", 3)
        .script(KEEPING)
        .around(step(&request.id, "recap"))
        .block(Block::Facts(facts))
        .block(Block::Table(role_table(plan)));
    if request.waiver_asked && !plan.violations.is_empty() {
        page = page.block(Block::Notice {
            look: "note",
            title: "You go on with a violation; the reviewer sees it".to_owned(),
            text: plan.violations.iter().map(|broken| broken.rule.clone()).collect(),
        });
    }
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
                .value(if request.terms_ticked { "yes" } else { "" })
                .with_error(errors),
        );
    }
    page = page
        .block(Block::Fields(all))
        .block(Block::Heading("Documents".to_owned()))
        .block(Block::Table(document_table(plan)))
        .block(Block::Fields(vec![file_field(plan, errors)]))
        .block(Block::Buttons(vec![Button::other("Attach", "attach")]))
        .block(Block::Heading("Submit".to_owned()));
    page.block(Block::Buttons(vec![
        Button { value: "submit".to_owned(), ..Button::main("Submit request") },
        Button::other("Back", "back"),
        Button::other("Keep as draft", "keep"),
        Button::danger("Cancel the request", "cancel"),
    ]))
}

fn role_table(plan: &RequestPlan) -> Table {
    let rows = plan
        .roles
        .iter()
        .map(|one| {
            let who = one.obstacle().unwrap_or_else(|| match &one.route {
                Route::Automatic => "The system, at once".to_owned(),
                Route::Agency => "The agency".to_owned(),
                Route::Organisation => "An administrator of the organisation".to_owned(),
                Route::Refused(reason) => reason.clone(),
            });
            let which =
                Button::other(format!("Remove {}", one.role.title), format!("remove {}", one.role.id));
            vec![Cell::text(one.role.title.clone()), Cell::text(who), Cell::Button(which)]
        })
        .collect();
    Table {
        caption: "Roles in your request".to_owned(),
        head: vec!["Role", "Who decides", ""],
        rows,
        empty: "There is no role in your request: go back one step.",
    }
}

fn document_table(plan: &RequestPlan) -> Table {
    let rows = plan
        .documents
        .iter()
        .map(|one| {
            let which =
                Button::other(format!("Remove {}", one.file_name), format!("remove-document {}", one.id));
            vec![
                Cell::text(one.file_name.clone()),
                Cell::text(format!("{} kB", one.bytes.div_euclid(1024) + 1)),
                Cell::Button(which),
            ]
        })
        .collect();
    Table {
        caption: "Attached".to_owned(),
        head: vec!["File", "Size", ""],
        rows,
        empty: "Nothing is attached.",
    }
}

/// `GET /portal/requests/{id}/recap`; with `?refused` it says what stands in the way of handing the request in.
pub(in crate::portal) async fn get(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let plan = draft(&state, visitor.require()?, &id).await?;
    if plan.roles.is_empty() {
        return Ok(see_other(&visitor, &step(&id, "roles")));
    }
    let acts = UseCases::of(Arc::clone(&state));
    let refused = match acts.may_submit(&plan, plan.request.terms_ticked) {
        Err(refused) if query.as_deref() == Some(REFUSED) => refused,
        _ => return Ok(page(&state, &plan, &Fields::default(), &Errors::default()).show(&visitor)),
    };
    let problem = refused.to_string();
    let errors = match refused {
        SubmitRefused::Document(_) => Errors::of("file", problem),
        SubmitRefused::Terms => Errors::of("terms", problem),
        // Of the roles and the organisation, which are chosen on other pages.
        SubmitRefused::Empty
        | SubmitRefused::NoOrganisation
        | SubmitRefused::Role(_)
        | SubmitRefused::Violation(_) => {
            let page = page(&state, &plan, &Fields::default(), &Errors::default());
            return Ok(page.refused("This request cannot be submitted so", problem).show(&visitor));
        }
    };
    Ok(page(&state, &plan, &Fields::default(), &errors).show(&visitor))
}

/// `POST /portal/requests/{id}/recap`
pub(in crate::portal) async fn post(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    PostedFile { visitor, fields, file }: PostedFile,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let acts = UseCases::of(Arc::clone(&state));
    // The second of two submissions finds it handed in already, and shows where it stands.
    let plan = acts.plan_request(&one.account, &id).await?.ok_or(PortalError::NotFound)?;
    if plan.request.state != RequestState::Draft {
        return Ok(see_other(&visitor, &format!("/portal/requests/{id}")));
    }
    let errors = keep(&state, one, &id, &fields, file).await?;
    if !errors.is_empty() {
        let plan = draft(&state, one, &id).await?;
        return Ok(page(&state, &plan, &fields, &errors).show(&visitor));
    }
    let here = step(&id, "recap");
    let next = match fields.get("do") {
        "remember" => return Ok(kept(&visitor)),
        "attach" => here,
        "keep" => "/portal/requests".to_owned(),
        "back" => step(&id, "roles"),
        "cancel" => {
            acts.withdraw_request(&one.account, &id).await?;
            "/portal/requests".to_owned()
        }
        "submit" => return submit(&state, visitor, &id, &fields).await,
        act => {
            if let Some(document) = act.strip_prefix("remove-document ") {
                acts.remove_document(&one.account.id, &id, document).await?;
            } else if let Some(role) = act.strip_prefix("remove ") {
                change(&state, one, &id, |request| request.roles.retain(|other| other != role)).await?;
            }
            here
        }
    };
    Ok(see_other(&visitor, &next))
}

/// Keeps what was typed, and the file. What cannot be kept is named.
async fn keep(
    state: &Arc<State>,
    one: &SignedIn,
    id: &str,
    fields: &Fields,
    file: Upload,
) -> Result<Errors, PortalError> {
    let mut errors = Errors::default();
    if fields.has("comment") {
        let comment = fields.get("comment").to_owned();
        let fits = comment.chars().count() <= MAX_COMMENT;
        if !fits {
            errors.add("comment", format!("Use at most {MAX_COMMENT} characters."));
        }
        let ticked = fields.has("terms");
        change(state, one, id, |request| {
            request.terms_ticked = ticked;
            if fits {
                request.comment = comment;
            }
        })
        .await?;
    }
    let acts = UseCases::of(Arc::clone(state));
    let taken = match file {
        Upload::None if fields.get("do") == "attach" => {
            errors.add("file", "Choose a file first.");
            Ok(())
        }
        Upload::None => Ok(()),
        Upload::TooLarge => Err(DocumentRefused::too_large(state.settings.portal.document_limit)),
        Upload::File { name, bytes } => {
            acts.add_document(&one.account, id, &name, &bytes).await?.ok_or(PortalError::NotFound)?
        }
    };
    errors.take("file", taken);
    Ok(errors)
}

async fn submit(
    state: &Arc<State>,
    visitor: Visitor,
    id: &str,
    fields: &Fields,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let acts = UseCases::of(Arc::clone(state));
    match acts.submit_request(&one.account, id, fields.has("terms")).await? {
        None => Ok(see_other(&visitor, &format!("/portal/requests/{id}"))),
        Some(Ok(submitted)) => {
            let names: Vec<String> =
                submitted.iter().filter_map(|request| request.number.map(|n| n.to_string())).collect();
            Ok(see_other(&visitor, &format!("/portal/requests?submitted={}", names.join("."))))
        }
        // All that was typed is kept: a page of its own shows it, and reloading that one sends nothing again.
        Some(Err(_)) => Ok(see_other(&visitor, &format!("{}?{REFUSED}", step(id, "recap")))),
    }
}
