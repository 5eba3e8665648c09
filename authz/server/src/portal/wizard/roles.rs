//! Step 3: the roles, several of which may go into the cart.

use std::sync::Arc;

use authz_domain::{AccessRequest, AccessRole, NotOffered};
use axum::{
    extract::{Path, State as Extract},
    response::Response,
};

use super::{KEEPING, before_roles, change, draft, kept, needs_organisation, step, step_page};
use crate::{
    portal::{
        error::PortalError,
        form::{Button, Errors, Field, Fields, Form, Kind},
        page::{Block, Page, link, see_other},
        visitor::{Posted, Visitor},
    },
    state::State,
    use_cases::{RequestPlan, UseCases},
};

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

/// The roles that a draft's page offers.
fn fitting<'s>(state: &'s State, plan: &'s RequestPlan) -> impl Iterator<Item = &'s AccessRole> {
    let offered = state.settings.portal.catalogue.roles_of(&plan.request.application);
    offered.filter(|role| role.admits(plan.organisation.as_ref()).is_ok())
}

fn page(state: &State, plan: &RequestPlan, fields: &Fields, errors: &Errors) -> Page {
    let (catalogue, request) = (&state.settings.portal.catalogue, &plan.request);
    let fitting = || fitting(state, plan);
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
    let mut page = step_page("Roles", 2).script(KEEPING);
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
        let back = link(before_roles(state, request), "Back", "");
        return page
            .text("None of this application's roles is for this kind of organisation. Go back and choose another one.")
            .block(Block::Links(vec![back]));
    }
    let form = Form::post(
        step(&request.id, "roles"),
        all,
        vec![Button::main("Next: recap"), Button::other("Back", "back")],
    );
    page.form(form.kept())
}

/// `GET /portal/requests/{id}/roles`
pub(in crate::portal) async fn get(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let plan = draft(&state, visitor.require()?, &id).await?;
    if needs_organisation(&state, &plan.request.application) && plan.organisation.is_none() {
        return Ok(see_other(&visitor, &step(&id, "organisation")));
    }
    Ok(page(&state, &plan, &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/requests/{id}/roles`
pub(in crate::portal) async fn post(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let before = draft(&state, one, &id).await?;
    let offered = |role: &String| fitting(&state, &before).any(|other| other.id == *role);
    let (mut wanted, strange): (Vec<String>, Vec<String>) = fields.all("role").into_iter().partition(offered);
    wanted.sort();
    wanted.dedup();
    let language = LANGUAGES
        .iter()
        .map(|(code, _)| *code)
        .find(|code| *code == fields.get("language"))
        .map(str::to_owned);
    let choose = |request: &mut AccessRequest| {
        if request.roles != wanted {
            request.waiver_asked = false;
        }
        request.roles = wanted;
        request.language = language;
    };
    let act = fields.get("do");
    if act == "remember" || act == "back" {
        let changed = change(&state, one, &id, choose).await?;
        return Ok(if act == "remember" {
            kept(&visitor)
        } else {
            see_other(&visitor, &before_roles(&state, &changed))
        });
    }
    let mut request = before.request.clone();
    choose(&mut request);
    let plan = UseCases::of(Arc::clone(&state)).plan_changed(&one.account, request.clone()).await?;
    let mut errors = Errors::default();
    if !strange.is_empty() {
        errors.add("role", NotOffered::NoSuchRole);
    }
    if plan.roles.is_empty() {
        errors.add("role", "Choose at least one role.");
    }
    // One that another request asks for can be kept: that one may be withdrawn.
    for planned in plan.roles.iter().filter(|one| one.waiting.is_none()) {
        if let Some(problem) = planned.obstacle() {
            let of_language = planned.refused == Some(NotOffered::LanguageMissing);
            errors.add(if of_language { "language" } else { "role" }, problem);
        }
    }
    // What is refused is not kept: the recap shows what can be handed in.
    if !errors.is_empty() {
        return Ok(page(&state, &plan, &fields, &errors).show(&visitor));
    }
    change(&state, one, &id, |kept| *kept = request).await?;
    let next = if plan.violations.is_empty() || plan.request.waiver_asked { "recap" } else { "violations" };
    Ok(see_other(&visitor, &step(&id, next)))
}
