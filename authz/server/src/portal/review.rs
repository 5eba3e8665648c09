//! Reviewing: the inbox, one request, the decision.

use std::sync::Arc;

use axum::{
    extract::{Path, State as Extract},
    response::Response,
};

use super::{
    error::PortalError,
    form::{Button, Errors, Fields, Form, read_reason, reason_field},
    page::{Block, Cell, Page, Table, see_other},
    requests::facts,
    visitor::{Posted, SignedIn, Visitor},
};
use crate::{
    mail::letters::shown,
    state::State,
    use_cases::{Decision, UseCaseError, UseCases},
};

/// `GET /portal/review`
pub(crate) async fn inbox(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    let acts = UseCases::of(Arc::clone(&state));
    let rows = acts
        .inbox(one.reviewer())
        .await?
        .into_iter()
        .map(|(request, requester)| {
            let mut state = request.state.title().to_owned();
            if request.waiver_asked {
                state.push_str(", with a violation");
            }
            vec![
                Cell::link(format!("/portal/review/{}", request.id), request.name()),
                Cell::text(requester.full_name()),
                Cell::text(acts.what(&request)),
                Cell::State(state),
                Cell::text(request.submitted_at.map(shown).unwrap_or_default()),
            ]
        })
        .collect();
    Ok(Page::new("Reviews")
        .block(Block::Table(Table {
            caption: "Requests that wait for you, oldest first".to_owned(),
            head: vec!["Request", "Who asks", "What", "State", "Submitted"],
            rows,
            empty: "Nothing waits for you.",
        }))
        .show(&visitor))
}

async fn page(
    state: &Arc<State>,
    one: &SignedIn,
    id: &str,
    fields: &Fields,
    errors: &Errors,
) -> Result<Page, PortalError> {
    let acts = UseCases::of(Arc::clone(state));
    let found = acts.review(one.reviewer(), id).await?;
    let (plan, requester, may_decide) = found.ok_or(PortalError::NotFound)?;
    let mut all = facts(&acts, &plan).await?;
    all.push(("Who asks".to_owned(), format!("{}, {}", requester.full_name(), requester.email.as_str())));
    let mut page = Page::new(format!("Review {}", plan.request.name())).block(Block::Facts(all));
    if let Some(broken) = plan.unwaived() {
        page = page.block(Block::Notice {
            look: "bad",
            title: "This cannot be approved".to_owned(),
            text: vec![broken.rule.clone(), "Reject it, or take the other role away first.".to_owned()],
        });
    } else if !plan.violations.is_empty() {
        let lines = plan.violations.iter().map(|broken| broken.rule.clone()).collect();
        page = page.block(Block::Notice {
            look: "bad",
            title: "Submitted with a violation".to_owned(),
            text: lines,
        });
    }
    if !plan.documents.is_empty() {
        let rows = plan
            .documents
            .iter()
            .map(|one| {
                vec![
                    Cell::link(format!("/portal/documents/{}", one.id), one.file_name.clone()),
                    Cell::text(format!("{} kB", one.bytes.div_euclid(1024) + 1)),
                    Cell::text(one.sha256.clone()),
                ]
            })
            .collect();
        let head = vec!["File", "Size", "SHA-256"];
        page = page.block(Block::Table(Table { caption: "Documents".to_owned(), head, rows, empty: "" }));
    }
    if may_decide {
        let hint = "Needed when you reject or ask for a document. The requester reads it.";
        let reason = reason_field(hint, fields, errors).optional();
        let mut buttons =
            vec![Button::other("Ask for a document", "ask"), Button::danger("Reject", "reject")];
        if plan.unwaived().is_none() {
            buttons.insert(0, Button { value: "approve".to_owned(), ..Button::main("Approve") });
        }
        page = page.block(Block::Heading("Your decision".to_owned())).form(Form::post(
            format!("/portal/review/{id}"),
            vec![reason],
            buttons,
        ));
    }
    Ok(page)
}

/// `GET /portal/review/{id}`
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    Ok(page(&state, one, &id, &Fields::default(), &Errors::default()).await?.show(&visitor))
}

/// `POST /portal/review/{id}`: the second of two reviewers is told.
pub(crate) async fn decide(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    let decision = match fields.get("do") {
        "approve" => Decision::Approve,
        "ask" => Decision::AskForDocuments,
        "reject" => Decision::Reject,
        _ => return Err(PortalError::NotFound),
    };
    let reason = match read_reason(&fields, decision != Decision::Approve) {
        Ok(reason) => reason,
        Err(problem) => {
            let errors = Errors::of("reason", problem);
            return Ok(page(&state, one, &id, &fields, &errors).await?.show(&visitor));
        }
    };
    let acts = UseCases::of(Arc::clone(&state));
    match acts.decide_request(one.reviewer(), &id, decision, reason).await {
        Ok(Some(_)) => Ok(see_other(&visitor, &format!("/portal/review/{id}"))),
        Ok(None) => Err(PortalError::NotFound),
        Err(UseCaseError::DecidedMeanwhile | UseCaseError::State(_)) => Err(PortalError::Conflict(
            "Somebody else decided on this request while you looked at it. Open it again to see how."
                .to_owned(),
        )),
        Err(error @ (UseCaseError::Account(_) | UseCaseError::Excluded(_))) => {
            Err(PortalError::Conflict(format!("{error}.")))
        }
        Err(error) => Err(error.into()),
    }
}
