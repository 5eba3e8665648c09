//! Swagger UI of an API product: one page, its parts inside this program, nothing from any other host.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;

use crate::{routes::Product, settings::GatewaySettings};

/// The page and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwaggerFile {
    /// `/swagger`: the page.
    Page,
    /// `/swagger/start.js`: what starts Swagger UI on the description that lies beside the page.
    Start,
    /// `/swagger/swagger-ui-bundle.js`: Swagger UI.
    Bundle,
    /// `/swagger/swagger-ui.css`: its looks.
    Style,
    /// `/swagger/favicon-32x32.png`: its icon.
    Icon,
}

impl SwaggerFile {
    /// The file at a path below a product's base path.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/swagger" => Some(Self::Page),
            "/swagger/start.js" => Some(Self::Start),
            "/swagger/swagger-ui-bundle.js" => Some(Self::Bundle),
            "/swagger/swagger-ui.css" => Some(Self::Style),
            "/swagger/favicon-32x32.png" => Some(Self::Icon),
            _ => None,
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Page => "text/html; charset=utf-8",
            Self::Start | Self::Bundle => "text/javascript; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Icon => "image/png",
        }
    }

    /// Its bytes, but for the page, which differs from product to product ([`page`]).
    fn bytes(self) -> Bytes {
        match self {
            Self::Page => Bytes::new(),
            Self::Start => Bytes::from_static(include_bytes!("start.js")),
            Self::Bundle => vendored("swagger-ui-bundle.js"),
            Self::Style => vendored("swagger-ui.css"),
            Self::Icon => vendored("favicon-32x32.png"),
        }
    }
}

/// A file of the Swagger UI that is packed into the program.
fn vendored(name: &str) -> Bytes {
    let config = Arc::new(utoipa_swagger_ui::Config::default());
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(file)) => match file.bytes {
            Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        },
        // A test holds that each is there.
        _ => Bytes::new(),
    }
}

/// Everything that Swagger UI is made of, for all products.
#[derive(Clone, Debug)]
pub struct SwaggerUi {
    start: Bytes,
    bundle: Bytes,
    style: Bytes,
    icon: Bytes,
    policy: HeaderValue,
}

impl SwaggerUi {
    /// Unpacks it.
    pub fn new(settings: &GatewaySettings) -> Self {
        Self {
            start: SwaggerFile::Start.bytes(),
            bundle: SwaggerFile::Bundle.bytes(),
            style: SwaggerFile::Style.bytes(),
            icon: SwaggerFile::Icon.bytes(),
            policy: HeaderValue::try_from(policy(settings))
                .unwrap_or(HeaderValue::from_static("default-src 'none'")),
        }
    }

    /// A file; `page` is the product's page.
    pub fn file(&self, file: SwaggerFile, page: &Bytes) -> Bytes {
        match file {
            SwaggerFile::Page => page,
            SwaggerFile::Start => &self.start,
            SwaggerFile::Bundle => &self.bundle,
            SwaggerFile::Style => &self.style,
            SwaggerFile::Icon => &self.icon,
        }
        .clone()
    }

    /// The Content-Security-Policy of the page.
    pub fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }
}

/// What the page may load and reach: itself, and the token endpoint where that has an address of its own. Swagger UI
/// draws its icons from `data:` and sets styles by script only, which needs no leave.
fn policy(settings: &GatewaySettings) -> String {
    let origin = |url: &str| {
        let authority = url.find("://").map_or(0, |at| at + 3);
        let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
        url[..end].to_owned()
    };
    let (ours, tokens) = (origin(&settings.public_base_url), origin(&settings.token_endpoint));
    let elsewhere = if ours == tokens { String::new() } else { format!(" {tokens}") };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{elsewhere}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The page of a product.
pub fn page(product: &Product) -> Bytes {
    let page = include_str!("page.html")
        .replace("{{title}}", &escaped(&product.title))
        .replace("{{scope}}", &escaped(&format!("{}/.default", product.resource)));
    Bytes::from(page)
}

/// Text of an HTML element or attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{routes::testing::routes, testing::settings};

    #[test]
    fn every_part_that_the_page_names_is_there() {
        let routes = routes();
        let page = String::from_utf8(page(&routes.products()[0]).to_vec()).unwrap();
        let mut parts = 0;
        for attribute in ["src=\"", "href=\""] {
            for (at, _) in page.match_indices(attribute) {
                let path = page[at + attribute.len()..].split('"').next().unwrap();
                if path != "openapi.json" {
                    let file = SwaggerFile::at(&format!("/{path}")).unwrap();
                    assert!(file.bytes().len() > 100, "{path}");
                    parts += 1;
                }
            }
        }
        assert_eq!(parts, 4);
        assert!(!page.contains("{{") && !page.contains("http"), "{page}");
    }

    #[test]
    fn the_page_reaches_the_token_endpoint_and_nobody_else() {
        let mut settings = settings("http://127.0.0.1:9");
        assert!(policy(&settings).contains("connect-src 'self';"));
        settings.token_endpoint = "https://login.example:8443/oauth2/token".into();
        assert!(policy(&settings).contains("connect-src 'self' https://login.example:8443;"));
    }
}
