//! People of a reviewer's organisations: their roles, taking one away, stopping an account.

use std::sync::Arc;

use authz_domain::AccountStatus;
use authz_store::{accounts, granted_roles, granted_roles::GrantedRole};
use axum::{
    extract::{Path, RawQuery, State as Extract},
    response::Response,
};

use super::{
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind, read_reason, reason_field},
    page::{Block, Cell, Page, Table, see_other},
    visitor::{Posted, SignedIn, Visitor},
};
use crate::{
    mail::letters::shown,
    state::State,
    use_cases::{UseCaseError, UseCases},
};

/// People on one page.
const SHOWN: i64 = 100;

/// `GET /portal/people`
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let mut page = Page::new("People");
    let mut reader = state.database.read().await?;
    let mut found = Vec::new();
    if one.for_agency {
        let field = Field::new(
            Kind::Search,
            "q",
            "Beginning of an e-mail address (3 characters or more), or a user name",
        )
        .typed(&query, &Errors::default());
        page = page.form(Form::search("/portal/people", vec![field]));
        if !query.get("q").is_empty() {
            found = accounts::search(&mut reader.db(), query.get("q"), SHOWN).await?;
        }
    } else {
        for place in one.reviewer().places(&state.settings.portal.catalogue) {
            found.extend(accounts::of_organisation(&mut reader.db(), place.as_str(), SHOWN).await?);
        }
    }
    let rows = found
        .into_iter()
        .map(|person| {
            vec![
                Cell::link(format!("/portal/people/{}", person.id), person.full_name()),
                Cell::text(person.email.as_str()),
                Cell::State(person.status.to_string()),
            ]
        })
        .collect();
    Ok(page
        .block(Block::Table(Table {
            caption: "People with roles that you decide on".to_owned(),
            head: vec!["Name", "E-mail", "Account"],
            rows,
            empty: "Nobody to show.",
        }))
        .show(&visitor))
}

/// The roles of somebody that a reviewer may see: the agency all, others those that are theirs to take away.
fn visible(acts: &UseCases, one: &SignedIn, roles: Vec<GrantedRole>) -> Vec<GrantedRole> {
    roles.into_iter().filter(|role| acts.may_revoke(one.reviewer(), role)).collect()
}

async fn person_page(
    state: &Arc<State>,
    one: &SignedIn,
    id: &str,
    fields: &Fields,
    errors: &Errors,
) -> Result<Page, PortalError> {
    let acts = UseCases::of(Arc::clone(state));
    let mut reader = state.database.read().await?;
    let person = accounts::find(&mut reader.db(), id).await?.ok_or(PortalError::NotFound)?;
    let roles = granted_roles::of_account(&mut reader.db(), id).await?;
    drop(reader);
    let may_block = acts.may_block(one.reviewer(), id, &roles);
    let roles = visible(&acts, one, roles);
    if roles.is_empty() && !one.for_agency {
        return Err(PortalError::NotFound);
    }
    let catalogue = &state.settings.portal.catalogue;
    let rows = roles
        .into_iter()
        .map(|role| {
            let title = catalogue.title_of(&role.role);
            vec![
                Cell::text(title),
                Cell::text(role.organisation.as_ref().map(ToString::to_string).unwrap_or_default()),
                Cell::text(shown(role.granted_at)),
                Cell::link(format!("/portal/roles/{}/revoke", role.id), format!("Revoke {title}")),
            ]
        })
        .collect();
    let mut page = Page::new(person.full_name())
        .block(Block::Facts(vec![
            ("E-mail".to_owned(), person.email.as_str().to_owned()),
            ("Account".to_owned(), person.status.to_string()),
        ]))
        .block(Block::Table(Table {
            caption: "Roles".to_owned(),
            head: vec!["Role", "Organisation", "Since", ""],
            rows,
            empty: "No roles.",
        }));
    if may_block {
        let reason = reason_field("The person reads it.", fields, errors);
        let path = format!("/portal/people/{id}");
        page = if person.status == AccountStatus::Blocked {
            let button = Button { value: "unblock".to_owned(), ..Button::main("Let this user in again") };
            page.block(Block::Heading("The account was stopped".to_owned())).form(Form::post(
                path,
                vec![reason],
                vec![button],
            ))
        } else {
            let (warning, tick) = last_decider(&acts, id, errors).await?;
            page.block(Block::Heading("Stop the account".to_owned()))
                .text("The person is signed out and cannot sign in any more.")
                .blocks(warning)
                .form(Form::post(
                    path,
                    std::iter::once(reason).chain(tick).collect(),
                    vec![Button::danger("Deactivate this user", "block")],
                ))
        };
    }
    Ok(page)
}

/// `GET /portal/people/{id}`
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    Ok(person_page(&state, one, &id, &Fields::default(), &Errors::default()).await?.show(&visitor))
}

/// `POST /portal/people/{id}`
pub(crate) async fn block(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    let acts = UseCases::of(Arc::clone(&state));
    let blocks = fields.get("do") == "block";
    let mut errors = Errors::default();
    let reason = errors.take("reason", read_reason(&fields, true)).unwrap_or_default();
    if blocks && !fields.has("sure") && !acts.last_deciding_roles(&id).await?.is_empty() {
        errors.add("sure", SURE);
    }
    if !errors.is_empty() {
        return Ok(person_page(&state, one, &id, &fields, &errors).await?.show(&visitor));
    }
    acts.set_blocked(one.reviewer(), &id, blocks, reason).await?.ok_or(PortalError::NotFound)?;
    Ok(see_other(&visitor, &format!("/portal/people/{id}")))
}

/// What is asked of who does not confirm.
const SURE: &str = "Confirm that this is the last administrator.";

/// The warning and the box to tick when an organisation loses its last administrator with this account.
pub(super) async fn last_decider(
    acts: &UseCases,
    account: &str,
    errors: &Errors,
) -> Result<(Option<Block>, Option<Field>), PortalError> {
    let last = acts.last_deciding_roles(account).await?;
    let places: Vec<String> =
        last.iter().filter_map(|role| role.organisation.as_ref()).map(ToString::to_string).collect();
    Ok(if places.is_empty() { (None, None) } else { warn_of_last(&places.join(", "), errors) })
}

fn warn_of_last(places: &str, errors: &Errors) -> (Option<Block>, Option<Field>) {
    let warning = Block::Notice {
        look: "bad",
        title: "This is the last administrator of the organisation".to_owned(),
        text: vec![format!(
            "Nobody of {places} can decide on requests any more: the agency does, and is told. Credentials of the organisation keep working."
        )],
    };
    let tick = Field::new(Kind::Tick, "sure", "I know that this is the last one").with_error(errors);
    (Some(warning), Some(tick))
}

async fn revoke_page(
    state: &Arc<State>,
    one: &SignedIn,
    id: &str,
    fields: &Fields,
    errors: &Errors,
) -> Result<Page, PortalError> {
    let acts = UseCases::of(Arc::clone(state));
    let mut reader = state.database.read().await?;
    let role = granted_roles::find(&mut reader.db(), id).await?;
    let role = role.filter(|role| acts.may_revoke(one.reviewer(), role)).ok_or(PortalError::NotFound)?;
    let person = accounts::find(&mut reader.db(), &role.account).await?.ok_or(PortalError::NotFound)?;
    drop(reader);
    let title = state.settings.portal.catalogue.title_of(&role.role);
    let place = role.organisation.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut page = Page::new(format!("Revoke {title}")).block(Block::Facts(vec![
        ("Who".to_owned(), person.full_name()),
        ("Organisation".to_owned(), place.clone()),
    ]));
    let mut all = vec![reason_field("The person reads it.", fields, errors)];
    if acts.is_last_decider(&role).await? {
        let (warning, tick) = warn_of_last(&place, errors);
        page = page.blocks(warning);
        all.extend(tick);
    }
    Ok(page.form(Form::post(
        format!("/portal/roles/{id}/revoke"),
        all,
        vec![Button::danger("Revoke the role", "revoke")],
    )))
}

/// `GET /portal/roles/{id}/revoke`
pub(crate) async fn confirm(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    Ok(revoke_page(&state, one, &id, &Fields::default(), &Errors::default()).await?.show(&visitor))
}

/// `POST /portal/roles/{id}/revoke`
pub(crate) async fn revoke(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    let acts = UseCases::of(Arc::clone(&state));
    let mut errors = Errors::default();
    let reason = errors.take("reason", read_reason(&fields, true)).unwrap_or_default();
    let mut reader = state.database.read().await?;
    let role = granted_roles::find(&mut reader.db(), &id).await?;
    drop(reader);
    let Some(role) = role.filter(|role| acts.may_revoke(one.reviewer(), role)) else {
        return Err(PortalError::NotFound);
    };
    if acts.is_last_decider(&role).await? && !fields.has("sure") {
        errors.add("sure", SURE);
    }
    if !errors.is_empty() {
        return Ok(revoke_page(&state, one, &id, &fields, &errors).await?.show(&visitor));
    }
    match acts.revoke_role(one.reviewer(), &id, reason).await {
        Ok(Some(())) => {
            // Somebody without a role that is theirs to take away has no page for them any more.
            let left =
                granted_roles::of_account(&mut state.database.read().await?.db(), &role.account).await?;
            let gone = !one.for_agency && visible(&acts, one, left).is_empty();
            let person = if gone { String::new() } else { format!("/{}", role.account) };
            Ok(see_other(&visitor, &format!("/portal/people{person}")))
        }
        Ok(None) => Err(PortalError::NotFound),
        Err(UseCaseError::DecidedMeanwhile) => {
            Err(PortalError::Conflict("Somebody else revoked this role meanwhile.".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}
