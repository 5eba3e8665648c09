//! The shape of `access-levels.toml` as written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileText {
    pub(super) banner: String,
    pub(super) switches: SwitchesText,
    pub(super) history: HistoryText,
    #[serde(default)]
    pub(super) class: BTreeMap<String, Spanned<ClassText>>,
    #[serde(default)]
    pub(super) extension: Vec<Spanned<ExtensionText>>,
    pub(super) rows: RowsText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwitchesText {
    pub(super) industry_non_owner: NonOwner,
    pub(super) marketing_status: Spanned<Vec<String>>,
    pub(super) batch_release_manufacturer: Spanned<Vec<String>>,
    pub(super) public_authorisations: Spanned<Vec<String>>,
    pub(super) industry_authorisations: Spanned<Vec<String>>,
    pub(super) not_confidential: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NonOwner {
    PublicSubset,
    None,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryText {
    pub(super) public: bool,
    pub(super) industry: bool,
    pub(super) owner: bool,
    #[serde(default = "yes")]
    pub(super) qualified: bool,
    #[serde(default = "yes")]
    pub(super) nca: bool,
    #[serde(default = "yes")]
    pub(super) ema: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassText {
    pub(super) at: Option<String>,
    pub(super) target: Option<String>,
    #[serde(default)]
    pub(super) systems: Vec<String>,
    #[serde(default)]
    pub(super) codes: Vec<String>,
    #[serde(default)]
    pub(super) texts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtensionText {
    pub(super) url: String,
    pub(super) path: Option<String>,
    pub(super) public: bool,
    pub(super) industry: bool,
    pub(super) owner: bool,
    #[serde(default = "yes")]
    pub(super) qualified: bool,
    #[serde(default = "yes")]
    pub(super) nca: bool,
    #[serde(default = "yes")]
    pub(super) ema: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowsText {
    pub(super) element: Vec<Spanned<RowText>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum PermissionText {
    Plain(bool),
    Named(String),
}

const fn allowed() -> PermissionText {
    PermissionText::Plain(true)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowText {
    pub(super) path: String,
    pub(super) class: Option<String>,
    pub(super) public: PermissionText,
    pub(super) industry: PermissionText,
    pub(super) owner: PermissionText,
    #[serde(default = "allowed")]
    pub(super) qualified: PermissionText,
    #[serde(default = "allowed")]
    pub(super) nca: PermissionText,
    #[serde(default = "allowed")]
    pub(super) ema: PermissionText,
}
