//! The peers, where installed: nginx as upstream and as plain proxy, HAProxy with JWT checking.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::pem;
use super::server::{Server, free_address};
use crate::command::{self, find_program};
use serde_json::Value;

/// Bytes of the upstream's answers, read and search alike.
const BODY_LENGTH: usize = 4096;

/// Bytes of its large answers.
const LARGE_LENGTH: usize = 100_000;

/// The product that the static upstream answers with, whatever id is asked for but the next one.
pub(super) const PRODUCT_ID: &str = "benchmark-1";

/// Entries of its large page.
const LARGE_PAGE: usize = 10;

/// The product whose answer is large.
pub(super) const LARGE_ID: &str = "benchmark-large";

/// Path of the product type below the public base.
pub(super) const PRODUCTS: &str = "/pms/api/v3/MedicinalProductDefinition";

/// Where programs, templates and written configurations are.
pub(super) struct Peers {
    templates: PathBuf,
    folder: PathBuf,
    nginx: Option<PathBuf>,
    haproxy: Option<PathBuf>,
}

impl Peers {
    pub(super) fn find(root: &Path, folder: &Path) -> Self {
        Self {
            templates: root.join("bench"),
            folder: folder.to_owned(),
            nginx: find_program("nginx"),
            haproxy: find_program("haproxy"),
        }
    }

    /// One line for each peer: its version, or that it is missing.
    pub(super) fn remarks(&self) -> Vec<String> {
        let version = |program: &Option<PathBuf>, name: &str, argument: &str| match program {
            None => format!("{name} is not installed: its rows are missing"),
            Some(program) => {
                let output = Command::new(program).arg(argument).output();
                // nginx tells its version on standard error.
                let printed =
                    output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
                let printed = String::from_utf8_lossy(&printed).into_owned();
                printed.lines().next().unwrap_or(name).to_owned()
            }
        };
        vec![version(&self.nginx, "nginx", "-v"), version(&self.haproxy, "haproxy", "-v")]
    }

    pub(super) fn has_nginx(&self) -> bool {
        self.nginx.is_some()
    }

    pub(super) fn has_haproxy(&self) -> bool {
        self.haproxy.is_some()
    }

    /// nginx with one worker that answers every read with one product and every search with one page.
    pub(super) fn static_upstream(&self) -> Result<(Server, SocketAddr)> {
        let address = free_address()?;
        let files = self.folder.join("static");
        fs::create_dir_all(&files)?;
        fs::write(files.join("read.json"), product(PRODUCT_ID, BODY_LENGTH))?;
        fs::write(files.join("read-large.json"), product(LARGE_ID, LARGE_LENGTH))?;
        fs::write(files.join("search.json"), page(address, 1, BODY_LENGTH))?;
        fs::write(files.join("search-large.json"), page(address, LARGE_PAGE, LARGE_LENGTH))?;
        let values = [("FILES", files.display().to_string())];
        self.nginx_server("nginx-static", address, &values)
    }

    /// nginx with two workers that passes everything on and checks nothing.
    pub(super) fn plain_proxy(&self, upstream: SocketAddr) -> Result<(Server, SocketAddr)> {
        self.nginx_server("nginx-proxy", free_address()?, &[("UPSTREAM", upstream.to_string())])
    }

    /// HAProxy with two threads that checks each token as our gateway does, but remembers no verdict.
    pub(super) fn checking_proxy(
        &self,
        upstream: SocketAddr,
        key: &Value,
        claims: &Value,
        algorithm: &str,
    ) -> Result<(Server, SocketAddr)> {
        let name = format!("haproxy-{algorithm}");
        let address = free_address()?;
        let key_file = self.folder.join(format!("{name}.pem"));
        fs::write(&key_file, pem::from_jwk(key)?)?;
        let text =
            |claim: &str| claims[claim].as_str().map(str::to_owned).context(format!("no claim `{claim}`"));
        let values = [
            ("LISTEN", address.to_string()),
            ("UPSTREAM", upstream.to_string()),
            ("ALGORITHM", algorithm.to_owned()),
            ("KEY_FILE", key_file.display().to_string()),
            ("ISSUER", text("iss")?),
            ("AUDIENCE", text("aud")?),
        ];
        let configuration = self.fill("haproxy.cfg", &name, &values)?;
        let mut haproxy = Command::new(self.haproxy.as_ref().context("haproxy is not installed")?);
        haproxy.args(["-db", "-f"]).arg(configuration);
        self.start(&name, &haproxy, address)
    }

    fn nginx_server(
        &self,
        name: &str,
        address: SocketAddr,
        values: &[(&str, String)],
    ) -> Result<(Server, SocketAddr)> {
        let mut values = values.to_vec();
        values.push(("LISTEN", address.to_string()));
        values.push(("FOLDER", self.folder.display().to_string()));
        values.push(("NAME", name.to_owned()));
        // As root nginx would lend its workers to a person who may not read the build folder.
        let is_root = command::stdout_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        values.push(("USER", if is_root { "user root;" } else { "" }.to_owned()));
        let configuration = self.fill(&format!("{name}.conf"), name, &values)?;
        let mut nginx = Command::new(self.nginx.as_ref().context("nginx is not installed")?);
        nginx.arg("-p").arg(&self.folder).arg("-e").arg(self.folder.join(format!("{name}.error.log")));
        nginx.arg("-c").arg(configuration);
        self.start(name, &nginx, address)
    }

    fn start(&self, name: &str, command: &Command, address: SocketAddr) -> Result<(Server, SocketAddr)> {
        let mut server = Server::start(name, command, &self.folder.join(format!("{name}.log")))?;
        server.wait_for_listener(address)?;
        Ok((server, address))
    }

    /// Writes a configuration from its template, in which `{{NAME}}` stands for a value.
    fn fill(&self, template: &str, name: &str, values: &[(&str, String)]) -> Result<PathBuf> {
        let source = self.templates.join(template);
        let mut text = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
        for (placeholder, value) in values {
            text = text.replace(&format!("{{{{{placeholder}}}}}"), value);
        }
        let path = self.folder.join(format!("{name}.filled"));
        fs::write(&path, text)?;
        Ok(path)
    }
}

/// A fictional product of so many bytes.
fn product(id: &str, length: usize) -> String {
    let head = format!(
        r#"{{"resourceType":"MedicinalProductDefinition","id":"{id}","meta":{{"versionId":"1"}},"name":[{{"productName":"Benchmarkin 10 mg tablets"}}],"description":""#
    );
    padded(head, "\"}", length)
}

/// A page of search results with links to the upstream itself, as the backend writes them.
fn page(upstream: SocketAddr, entries: usize, length: usize) -> String {
    let base = format!("http://{upstream}{PRODUCTS}");
    let mut page = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","total":{entries},"link":[{{"relation":"self","url":"{base}?_count=10"}}],"entry":["#
    );
    let end = "]}";
    let share = (length - page.len() - end.len()) / entries;
    for n in 0..entries {
        // The last one takes what is left over; the others are followed by a comma.
        let (length, comma) =
            if n + 1 == entries { (length - page.len() - end.len(), "") } else { (share - 1, ",") };
        let head = format!(
            r#"{{"fullUrl":"{base}/{PRODUCT_ID}","resource":{{"resourceType":"MedicinalProductDefinition","id":"{PRODUCT_ID}","name":[{{"productName":"Benchmarkin 10 mg tablets"}}],"description":""#
        );
        page.push_str(&padded(head, "\"},\"search\":{\"mode\":\"match\"}}", length));
        page.push_str(comma);
    }
    page + end
}

fn padded(head: String, tail: &str, length: usize) -> String {
    let filling = "For measuring only. ".repeat(length / 20);
    let missing = length - head.len() - tail.len();
    head + &filling[..missing] + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_answers_are_json_of_the_agreed_length() {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 8081));
        for length in [BODY_LENGTH, LARGE_LENGTH] {
            let pages = [1, LARGE_PAGE].map(|entries| page(upstream, entries, length));
            for body in pages.into_iter().chain([product(PRODUCT_ID, length)]) {
                assert_eq!(body.len(), length);
                assert!(serde_json::from_str::<Value>(&body).is_ok());
            }
        }
    }
}
