//! Somebody at the portal without a browser: a cookie, the hash in the forms, redirects.

use http::header;

use crate::{Answer, ApiClient};

/// One person with one cookie.
#[derive(Clone, Debug)]
pub struct Visitor {
    api: ApiClient,
    cookie: String,
    /// The page that came last.
    pub page: String,
    /// Its path.
    pub path: String,
}

impl Visitor {
    /// Somebody who has not been here.
    pub fn new(api: ApiClient) -> Self {
        Self { api, cookie: String::new(), page: String::new(), path: String::new() }
    }

    /// Signs in with a password.
    pub async fn sign_in(&mut self, name: &str, password: &str) {
        self.open("/portal/sign-in").await;
        self.post("/portal/sign-in", &[("name", name), ("password", password)]).await;
        assert!(self.page.contains("Sign out"), "{}", self.page);
    }

    /// Opens a page, wherever that leads.
    pub async fn open(&mut self, path: &str) {
        let request = self.api.request("GET", path).header(header::COOKIE, &self.cookie);
        let answer = self.api.send(request).await;
        self.take(path, answer).await;
    }

    /// Sends a form, and goes where that leads.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) {
        let answer = self.api.send(self.form(path, fields)).await;
        self.take(path, answer).await;
    }

    /// A form with the hash of the page, not sent yet.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let csrf = self.hidden("csrf");
        let fields: Vec<(&str, &str)> =
            [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
        self.api.request("POST", path).header(header::COOKIE, &self.cookie).form(&fields)
    }

    /// Sends a form with a file, and goes where that leads.
    pub async fn post_file(&mut self, path: &str, fields: &[(&str, &str)], name: &str, content: &[u8]) {
        let csrf = self.hidden("csrf");
        let mut body = Vec::new();
        for (name, value) in [("csrf", csrf.as_str())].iter().chain(fields) {
            let part = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/pdf\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--b--\r\n");
        let request = self
            .api
            .request("POST", path)
            .header(header::COOKIE, &self.cookie)
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
            .body(body);
        let answer = self.api.send(request).await;
        self.take(path, answer).await;
    }

    /// The value of a hidden field of the page.
    pub fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        self.page
            .split_once(&start)
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap_or_default()
            .to_owned()
    }

    async fn take(&mut self, path: &str, mut answer: Answer) {
        path.clone_into(&mut self.path);
        loop {
            for value in answer.headers.get_all(header::SET_COOKIE) {
                let value = value.to_str().unwrap();
                value.split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
            }
            if answer.status != http::StatusCode::SEE_OTHER {
                break;
            }
            answer.header("location").clone_into(&mut self.path);
            let request = self.api.request("GET", &self.path).header(header::COOKIE, &self.cookie);
            answer = self.api.send(request).await;
        }
        self.page = answer.text();
    }
}
