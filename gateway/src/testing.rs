//! Settings that the tests of this crate share: a small route table.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use access_token::{AccessTokenClaims, authentication_methods};
use config::{
    ApiProduct, Budget, DataFile, Interaction, Method, Operation, ParameterTexts, RequestLimit, RequestLimits,
};
use pms_terms::{Domains, FhirVersion, Stakeholder};

use crate::{
    caller::Caller,
    settings::{GatewaySettings, Limits, ProductSettings, RateLimitRules, RateLimitSettings},
};

const MPD: &str = "MedicinalProductDefinition";

/// Settings with the three API products in a small form, all with one upstream (`http://host:port`).
pub fn settings(upstream: &str) -> GatewaySettings {
    let product = |id: &str, base_path: &str, fhir_version, resource: &str, roles: &[&str], operations| {
        ProductSettings {
            product: ApiProduct {
                id: id.into(),
                title: id.into(),
                base_path: base_path.into(),
                fhir_version,
                resource: resource.into(),
                roles: vec![],
                upstreams: vec![],
                enforce: config::Enforce::Backend,
                foreign: None,
                operations,
            },
            token_roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            upstreams: vec![upstream.into()],
        }
    };
    let pms_roles = ["PMS.Industry.API", "PMS.NCA.API"];
    let by_id = "/MedicinalProductDefinition/{id}";
    GatewaySettings {
        public_base_url: "https://gate.example:8443".into(),
        token_endpoint: "https://gate.example:8443/oauth2/token".into(),
        authentication_methods: authentication_methods(false, false),
        certificate_bound_tokens: false,
        issuers: vec!["https://gate.example:8443".into()],
        jwks_url: "http://127.0.0.1:9/jwks".into(),
        jwks_refresh: Duration::from_secs(300),
        jwks_cool_down: Duration::from_secs(5),
        revocations: None,
        clock_skew: Duration::from_secs(60),
        token_cache_capacity: 1000,
        dpop_nonces: None,
        products: vec![
            product(
                "pms-read-v3",
                "/pms/api/v3",
                FhirVersion::V4_4_0,
                "api://pmsgate/pms",
                &pms_roles,
                vec![
                    operation("EP301", "/MedicinalProductDefinition", Interaction::Search, "s"),
                    Operation {
                        method: Method::Post,
                        form: true,
                        ..operation(
                            "EP301-form",
                            "/MedicinalProductDefinition/_search",
                            Interaction::Search,
                            "s",
                        )
                    },
                    operation("EP303", by_id, Interaction::Read, "r"),
                    operation("EP304", &format!("{by_id}/$everything"), Interaction::Everything, "r"),
                    operation("EP306", &format!("{by_id}/_history/{{vid}}"), Interaction::Vread, "r"),
                    operation("EP307", &format!("{by_id}/_history"), Interaction::History, "r"),
                ],
            ),
            product(
                "pms-write-v5-alpha",
                "/pms/api/v5-alpha",
                FhirVersion::V5_0_0,
                "api://pmsgate/pms",
                &pms_roles,
                vec![operation("EP502a", "/MedicinalProductDefinition/$merge", Interaction::Merge, "u")],
            ),
            product(
                "public-v1",
                "/public/v1",
                FhirVersion::V5_0_0,
                "api://pmsgate/public",
                &["Public.PMS.API"],
                vec![operation("public-search", "/MedicinalProductDefinition", Interaction::Search, "s")],
            ),
        ],
        access_levels: access_levels(),
        limits: Limits {
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
            max_in_flight: 64,
            max_body: 64 * 1024,
        },
        response_cache: None,
        upstreams: vec![],
        rate_limits: RateLimitSettings { rules: rules(10_000, None), shared: None },
        audit: None,
        parameter_texts: ParameterTexts::new(),
        sandbox: false,
        apim_errors: false,
    }
}

/// The access levels that are shipped.
pub fn access_levels() -> DataFile {
    DataFile { place: "access-levels.toml".into(), text: fhir_model::access::DEFAULT_MATRIX.into() }
}

/// A product in front of a foreign server (`http://host:port`, everything below `/fhir`).
pub fn partner(upstream: &str) -> ProductSettings {
    let everything = "/MedicinalProductDefinition/{id}/$everything";
    let plain = ["_format", "_pretty"].map(String::from);
    let mut search = operation("P1", "/MedicinalProductDefinition", Interaction::Search, "s");
    search.restricted_parameters.clear();
    search.parameters = [
        "_id",
        "_lastUpdated",
        "identifier",
        "name",
        "status",
        "domain",
        "product-classification",
        "characteristic",
        "contact",
        "master-file",
        "_count",
        "_cursor",
        "_sort",
    ]
    .map(String::from)
    .to_vec();
    search.parameters.extend(plain.clone());
    let form = Operation {
        method: Method::Post,
        form: true,
        ep: "P1-form".into(),
        path: "/MedicinalProductDefinition/_search".into(),
        ..search.clone()
    };
    let read = |ep: &str, kind: &str| Operation {
        resource_type: kind.into(),
        scope: format!("system/{kind}.r"),
        parameters: plain.to_vec(),
        ..operation(ep, &format!("/{kind}/{{id}}"), Interaction::Read, "r")
    };
    ProductSettings {
        product: ApiProduct {
            id: "partner-r5".into(),
            title: "Partner".into(),
            base_path: "/partner/r5".into(),
            fhir_version: FhirVersion::V5_0_0,
            resource: "api://pmsgate/pms".into(),
            roles: vec![],
            upstreams: vec![upstream.into()],
            enforce: config::Enforce::Gateway,
            foreign: Some(config::Foreign { path: Some("/fhir".into()), ..config::Foreign::default() }),
            operations: vec![
                search,
                read("P2", MPD),
                read("P3", "RegulatedAuthorization"),
                read("P4", "Ingredient"),
                read("P5", "PackagedProductDefinition"),
                Operation {
                    parameters: plain.to_vec(),
                    ..operation("P6", everything, Interaction::Everything, "r")
                },
                form,
            ],
        },
        token_roles: ["PMS.Industry.API", "PMS.NCA.API", "Public.PMS.API"].map(String::from).to_vec(),
        upstreams: vec![upstream.into()],
    }
}

/// A caller as its token describes it: an industry client, changed.
pub fn caller(change: impl FnOnce(&mut AccessTokenClaims)) -> Caller {
    let mut claims = claims();
    change(&mut claims);
    Caller::new(claims, String::new())
}

/// An industry client's token.
pub fn claims() -> AccessTokenClaims {
    let text = String::new;
    AccessTokenClaims {
        iss: text(),
        sub: text(),
        aud: text(),
        exp: 0,
        nbf: 0,
        iat: 0,
        jti: text(),
        client_id: "client-1".into(),
        azp: text(),
        scope: "system/*.rs".into(),
        roles: vec!["PMS.Industry.API".into()],
        org_id: None,
        stakeholder: Stakeholder::Industry,
        qualified: false,
        domains: Domains::NONE,
        tid: text(),
        ver: text(),
        secret_id: text(),
        cnf: None,
    }
}

/// One row of limits for everybody: so many at once and for each minute, so many for each day.
pub fn rules(burst: u32, per_day: Option<u64>) -> RateLimitRules {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let row = RequestLimit {
        product: None,
        role: None,
        burst,
        per_minute: burst,
        per_day: per_day.and_then(std::num::NonZeroU64::new),
    };
    let address = Budget { burst, per_minute: burst };
    RateLimitRules { limits: RequestLimits { rows: vec![row], address }, token_roles: BTreeMap::new() }
}

fn operation(ep: &str, path: &str, interaction: Interaction, letters: &str) -> Operation {
    let search = interaction == Interaction::Search;
    Operation {
        ep: ep.into(),
        title: ep.into(),
        method: if interaction == Interaction::Merge { Method::Post } else { Method::Get },
        path: path.into(),
        interaction,
        resource_type: MPD.into(),
        scope: format!("system/{MPD}.{letters}"),
        parameters: if search {
            ["name", "status", "_count", "_sort", "_cursor"].map(String::from).to_vec()
        } else {
            vec![]
        },
        form_path: None,
        form: false,
        restricted_parameters: search
            .then(|| ("contact".to_owned(), vec![Stakeholder::Nca, Stakeholder::Ema]))
            .into_iter()
            .collect(),
    }
}
